"""Cuts a graph at the tensors through which everything flows.

A tensor is a cut point if it is the only one alive at some place of the
topological order: all nodes before it lie above it, all nodes after it below
it. Since every node lies on a way from an input to an output, each cut point
shows in every topological order, so one sweep finds them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.graph.architecture import Chain, Node, Region


def build_tree(nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int]) -> Chain:
    """Read nodes in topological order as a chain of nodes and regions.

    Args:
        nodes: Nodes in topological order.
        inputs: Numbers of the tensors that the nodes start from.
        outputs: Numbers of the tensors that are wanted from them.

    Returns:
        A `Chain` that holds every node exactly once.
    """
    return Chain(tuple(_item(piece, outputs) for piece in _cut(nodes, inputs, outputs)))


def in_order(nodes: Sequence[Node], outputs: Sequence[int]) -> list[Node]:
    """Nodes in the order in which the outputs ask for them.

    It follows from the graph alone: a nested model, whose nodes Keras lists in
    one piece, and the same model made flat give the same order.

    Args:
        nodes: Nodes in any topological order.
        outputs: Numbers of the tensors that are wanted from them.

    Returns:
        The same nodes in topological order; those of which nothing is wanted come last.
    """
    makers = {tensor: node for node in nodes for tensor in node.outputs}
    ordered: dict[int, Node] = {}
    # Upside down: what is on top is asked for next; an asked node comes after its inputs.
    waiting = [makers[tensor] for tensor in reversed(outputs) if tensor in makers]
    asked: set[int] = set()
    while waiting:
        node = waiting[-1]
        if id(node) in asked:
            ordered.setdefault(id(waiting.pop()), node)
            continue
        asked.add(id(node))
        makers_here = [makers[tensor] for tensor in reversed(node.inputs) if tensor in makers]
        waiting += [maker for maker in makers_here if id(maker) not in asked]
    return [*ordered.values(), *(node for node in nodes if id(node) not in ordered)]


def _cut(nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int]) -> list[list[Node]]:
    readers = {tensor: 0 for node in nodes for tensor in node.outputs}
    readers |= dict.fromkeys(inputs, 0)
    for node in nodes:
        for tensor in node.inputs:
            readers[tensor] += 1
    for tensor in outputs:
        readers[tensor] += 1

    alive = {tensor for tensor in inputs if readers[tensor]}
    pieces: list[list[Node]] = []
    current: list[Node] = []
    for node in nodes:
        current.append(node)
        for tensor in node.inputs:
            readers[tensor] -= 1
            if not readers[tensor]:
                alive.discard(tensor)
        alive.update(tensor for tensor in node.outputs if readers[tensor])
        if len(alive) <= 1:
            pieces.append(current)
            current = []
    if current:
        pieces.append(current)
    return pieces


def _item(piece: list[Node], outputs: Sequence[int]) -> Node | Region:
    if len(piece) == 1:
        return piece[0]
    *inside, merge = piece
    if len(set(merge.inputs)) < len(merge.inputs):
        return Region(tuple(piece))  # what reads a tensor twice is no sum of branches
    entries = _entries(piece)
    branches = []
    claimed: set[int] = set()
    for tensor in dict.fromkeys(merge.inputs):
        feeding = _ancestors(inside, tensor)
        positions = {index for index, node in enumerate(inside) if node in feeding}
        if positions & claimed or len(entries) > 1 or set(outputs) & _produced(inside):
            return Region(tuple(piece))
        claimed |= positions
        branches.append(build_tree(feeding, entries, [tensor]))
    if len(claimed) < len(inside) or len(branches) < 2:
        return Region(tuple(piece))
    return Region(tuple(piece), tuple(branches), merge)


def _produced(nodes: Sequence[Node]) -> set[int]:
    return {tensor for node in nodes for tensor in node.outputs}


def _entries(nodes: Sequence[Node]) -> list[int]:
    produced = _produced(nodes)
    read = [tensor for node in nodes for tensor in node.inputs]
    return [tensor for tensor in dict.fromkeys(read) if tensor not in produced]


def _ancestors(nodes: Sequence[Node], tensor: int) -> list[Node]:
    wanted = {tensor}
    found = []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            found.append(node)
            wanted.update(node.inputs)
    return found[::-1]
