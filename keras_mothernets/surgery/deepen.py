"""Repeating a layer or a whole unit of one model as an identity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, Chain, Node, Region, read
from keras_mothernets.member import Member, as_model
from keras_mothernets.rules import Refusal, Value, rule_for
from keras_mothernets.surgery.correspondence import correspond
from keras_mothernets.surgery.edited import (
    build_edited,
    find,
    node_pairs,
    readable,
    transfer,
    with_layer,
)
from keras_mothernets.surgery.insertion import Item, Side, insert, insert_region
from keras_mothernets.surgery.pairs import Pair
from keras_mothernets.surgery.weaving import redirect, tensor_values


def deepen(
    model: keras.Model | Member, after: str, *, copies: int = 1, calibration: Any = None
) -> keras.Model:
    """Insert more layers or units like one that is there, without changing what the model computes.

    A layer is repeated together with the normalisation, activation and dropout
    that follow it, each as an identity: `conv, norm, relu` becomes
    `conv, norm, relu, conv, norm, relu`. Named by the merge in which its
    branches meet (`add`, `concatenate`), a whole unit is repeated, and its new
    branches give nothing at first.

    Args:
        model: A built Functional or Sequential model, or `km.Member`.
        after: Name of a layer with weights (Dense, a convolution), or of the merge that ends a
            residual or dense unit.
        copies: How many times it is repeated.
        calibration: Inputs of the model, for the statistics of inserted
            BatchNormalization layers; derived from the layers before if not given.

    Returns:
        A new, built, uncompiled, flat Functional model. Inserted layers are
        named like the repeated ones, with `_deeper_1`, `_deeper_2`, ... appended; copies of an
        earlier call are counted on from.

    Raises:
        GraphError: The model cannot be read, or has no layer of that name.
        SurgeryError: No identity of that kind exists there; the message says why.

    Example:
        >>> hidden, head = keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, head])
        >>> [layer.name for layer in deepen(model, "hidden").layers][1:3]
        ['hidden', 'hidden_deeper_1']

    Source: Chen et al. 2016, Net2DeeperNet; units with a zeroed last step as in Goyal et al.
    2017, section 5.1, where it is an initialisation.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise SurgeryError("`copies` must be a whole number of at least 1", received=repr(copies))
    model = as_model(model)
    architecture = readable(model)
    unit = _unit(architecture, after)
    edited, sources = _repeat(architecture, unit, copies)
    target = build_edited(edited)
    built = read(target)
    last = nodes_in(unit[-1])[-1]
    value = tensor_values(architecture)[last.outputs[0]]
    pairs = _inserted(built, node_pairs(edited, built, sources), last, value)
    return transfer(model, target, correspond(architecture, built, pairs), calibration=calibration)


def _unit(architecture: Architecture, after: str) -> list[Item]:
    """A layer with weights or a region, and what belongs to it behind."""
    start = find(architecture, after)
    region = next((r for r in regions_in(architecture.tree) if r.merge is start), None)
    if region is None:
        _check_layer(start)
    unit: list[Item] = [region or start]
    while (node := _only_reader(architecture, nodes_in(unit[-1])[-1])) is not None:
        follows = rule_for(node)
        normalises = follows.carries_sign and region is None
        if not (normalises or follows.is_transparent or node.activation is not None):
            break
        unit.append(node)
    if nodes_in(unit[-1])[-1].outputs[0] in architecture.outputs:
        raise SurgeryError(
            f"Layer `{after}` makes the output",
            expected="a hidden layer",
            fix="Repeat a layer before it",
        )
    return unit


def _check_layer(node: Node) -> None:
    rule = rule_for(node)
    reason: object = rule.cannot_insert(_as_identity(node))
    if reason is None and rule.width is None:
        reason = "it has no weights of its own"
    if reason is not None:
        raise SurgeryError(
            f"Layer `{node.name}` ({node.kind}) cannot be repeated: {reason}",
            fix="Name a layer with weights, or the merge that ends a unit of a single input",
        )


def regions_in(chain: Chain) -> Iterator[Region]:
    """All regions of a tree that have branches, inner ones too."""
    for region in chain.regions:
        if region.merge is not None:
            yield region
        for branch in region.branches:
            yield from regions_in(branch)


def nodes_in(item: Item) -> tuple[Node, ...]:
    """The calls of which an item consists."""
    return item.nodes if isinstance(item, Region) else (item,)


def _only_reader(architecture: Architecture, node: Node) -> Node | None:
    tensor = node.outputs[0]
    readers = [other for other in architecture.nodes if tensor in other.inputs]
    return readers[0] if len(readers) == 1 and tensor not in architecture.outputs else None


def _as_identity(node: Node) -> Node:
    """A call like the given one with stride 1 and padding that keeps the resolution."""
    changes: dict[str, Any] = {}
    if "kernel_size" in node.config:
        changes["strides"] = tuple(1 for _ in node.config["kernel_size"])
        if node.config["padding"] == "valid":
            changes["padding"] = "same"
    if "depth_multiplier" in node.config:
        changes["depth_multiplier"] = 1
    shapes = node.output_shapes
    return replace(with_layer(node, changes), input_shapes=shapes, output_shapes=shapes)


def _repeat(
    architecture: Architecture, unit: Sequence[Item], copies: int
) -> tuple[Architecture, list[Node | None]]:
    """The architecture with the unit repeated behind itself, and where each node is from."""
    nodes = [node for item in unit for node in nodes_in(item)]
    made = {tensor for node in nodes for tensor in node.outputs}
    entry = next(tensor for tensor in nodes[0].inputs if tensor not in made)
    start = tensor = nodes[-1].outputs[0]
    free = 1 + max(out for node in architecture.nodes for out in node.outputs)
    added: list[Node] = []
    earlier = _earlier_copies(architecture, nodes)
    for copy in range(earlier + 1, earlier + copies + 1):
        numbers = {entry: tensor}
        for node in nodes:
            outputs = tuple(range(free, free + len(node.outputs)))
            new = redirect(with_layer(_as_identity(node), {}, f"_deeper_{copy}"), numbers)
            added.append(replace(new, outputs=outputs))
            numbers.update(zip(node.outputs, outputs, strict=True))
            free += len(outputs)
        tensor = numbers[start]
    place = architecture.nodes.index(nodes[-1]) + 1
    before, after = architecture.nodes[:place], architecture.nodes[place:]
    rest = [redirect(node, {start: tensor}) for node in after]
    edited = replace(architecture, nodes=(*before, *added, *rest))
    return edited, [*before, *[None] * len(added), *after]


def _earlier_copies(architecture: Architecture, nodes: Sequence[Node]) -> int:
    """How many copies of these nodes are there by name; new ones are counted on from there."""
    taken = {layer.path for layer in architecture.layers}
    copies = 0
    while any(with_layer(n, {}, f"_deeper_{copies + 1}").layer.path in taken for n in nodes):
        copies += 1
    return copies


def _inserted(built: Architecture, pairs: Sequence[Pair], last: Node, value: Value) -> list[Pair]:
    """The pairs with the new items as insertions, if each of them can be an identity there."""
    kept = [pair for pair in pairs if pair.first is not None]
    old = {node.outputs[0] for pair in kept if isinstance(node := pair.second, Node)}
    new = {node.outputs[0] for node in built.nodes} - old
    shape = last.output_shapes[0]
    side = Side()
    for item in _made_of(built.tree, new):
        node = item.merge if isinstance(item, Region) and item.merge else nodes_in(item)[0]
        channels = shape[rule_for(node).channel_axis(node)]
        found = insert(item, value, side, channels)
        if isinstance(found, Refusal):
            raise SurgeryError(
                f"`{built.name}`: `{last.name}` cannot be followed by"
                f" `{node.kind}` as an identity: {found}",
                fix="Choose a place after an activation that leaves its own outputs unchanged"
                " (relu), or hatch into a network of your own with twice the width there",
            )
        side = found
        inside = insert_region(item, value, channels) if isinstance(item, Region) else None
        assert not isinstance(inside, Refusal)
        kept.append(Pair(None, item, inside=inside))
    return kept


def _made_of(chain: Chain, tensors: set[int]) -> Iterator[Item]:
    """The items that hold none but nodes that make some of these tensors, outermost ones."""
    for item in chain.items:
        if all(node.outputs[0] in tensors for node in nodes_in(item)):
            yield item
        elif isinstance(item, Region) and item.branches:
            for branch in item.branches:
                yield from _made_of(branch, tensors)
        elif isinstance(item, Region):
            yield from (node for node in item.nodes if node.outputs[0] in tensors)
