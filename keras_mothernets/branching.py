"""A tree of networks: what they begin with in common is there once, as a trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import (
    Architecture,
    Chain,
    Layer,
    Node,
    Region,
    TensorRef,
    build,
    clone,
    copy_layer,
    flat_names,
    live_layers,
    read,
)
from keras_mothernets.member import Member
from keras_mothernets.surgery import meet

TRUNK = "trunk"

Path = tuple[str, ...]


def grow_tree(members: Sequence[Member], *, shared_depth: int | None = None) -> keras.Model:
    """One network with the outputs of all members, whose first units are there once.

    The trunk ends at a cut point of all members: a place that everything passes, so that a
    residual unit belongs to the trunk as a whole or not at all. Trunk and branches have the
    weights of the members, the trunk those of the first.

    Args:
        members: At least two, with one input and one output of the same shapes.
        shared_depth: Units of the trunk that have weights: layers, and whole regions between cut
            points. By default all that the members begin with in common, without what comes
            before the last unit with weights of any.

    Returns:
        A built, uncompiled Functional model, its outputs a list in the order of the members and
        named as they are.

    Raises:
        SurgeryError: The members do not begin with so many equal units.
    """
    architectures = [read(member.model) for member in members]
    _check_single(architectures)
    trunk = _trunk(architectures, shared_depth)
    labels = [member.label for member in members]
    tree = build(_combined(architectures, labels, trunk), blank=True)
    for number, member in reversed(list(enumerate(members))):  # the first one's trunk stays
        layers = live_layers(member.model)
        for path, name in _names(architectures[number], labels[number], trunk).items():
            copy_layer(layers[path], tree.get_layer(name))
    return tree


def group_by_trunk(
    members: Sequence[Member], shared_depth: int | None = None
) -> list[tuple[int, ...]]:
    """Which members can grow on one trunk.

    Args:
        members: The members.
        shared_depth: As in `grow_tree`; here `None` asks for one unit at least.

    Returns:
        Positions of members, in groups that have a trunk in common, or of one member.

    Raises:
        SurgeryError: A member has several inputs or outputs, or no two have a trunk in common.
    """
    architectures = [read(member.model) for member in members]
    _check_single(architectures)
    groups: list[list[int]] = []
    for number in range(len(members)):
        for group in groups:
            together = [architectures[other] for other in (*group, number)]
            try:
                _trunk(together, shared_depth or 1)
            except SurgeryError:
                continue
            group.append(number)
            break
        else:
            groups.append([number])
    if len(members) > 1 and all(len(group) == 1 for group in groups):
        _trunk(architectures, shared_depth or 1)  # says what is the matter
    return [tuple(group) for group in groups]


def take_branch(tree: keras.Model, member: Member) -> keras.Model:
    """The member as it stands in a tree: its architecture, with the weights of trunk and branch.

    Args:
        tree: What `grow_tree` gave, perhaps trained.
        member: One of its members.

    Returns:
        A new, built, uncompiled model that shares nothing with the tree.
    """
    taken = clone(member.model, name=member.label, weights=False)
    names = {layer.name for layer in tree.layers}
    trunk = sum(name.startswith(f"{TRUNK}_") for name in names)
    layers = live_layers(taken)
    for path, name in _names(read(member.model), member.label, trunk).items():
        copy_layer(tree.get_layer(name), layers[path])
    return taken


def _check_single(architectures: Sequence[Architecture]) -> None:
    for architecture in architectures:
        if len(architecture.inputs) != 1 or len(architecture.outputs) != 1:
            raise SurgeryError(
                f"`{architecture.name}` cannot be a branch of a tree",
                expected="networks of one input and one output",
                received=f"{len(architecture.inputs)} and {len(architecture.outputs)}",
            )


def _trunk(architectures: Sequence[Architecture], depth: int | None) -> int:
    """How many layers the trunk has, counted in the order of their first calls."""
    items = [architecture.tree.items for architecture in architectures]
    longest = min(_own_end(each) for each in items)
    equal = 0
    while equal < longest and all(_equal(items[0][equal], each[equal]) for each in items[1:]):
        equal += 1
    while equal and any(_calls_again(each, equal) for each in items):
        equal -= 1
    units = [number + 1 for number in range(equal) if _makes_channels(items[0][number])]
    wanted = len(units) if depth is None else depth
    if not 1 <= wanted <= len(units):
        names = ", ".join(f"`{architecture.name}`" for architecture in architectures)
        raise SurgeryError(
            f"The members {names} cannot share a trunk"
            + ("" if depth is None else f" of {depth} units"),
            expected="networks that begin with equal units, before the last one that has weights",
            received=f"{len(units)} equal units with weights",
            fix="Give a smaller `shared_depth`" if units else "Use another method for them",
        )
    end = equal if depth is None else _with_what_follows(items, units[wanted - 1], equal)
    return len({node.layer.path for item in items[0][:end] for node in _nodes(item)})


def _own_end(items: Sequence[Node | Region]) -> int:
    """The last item with weights, which every member has for itself."""
    weighted = [number for number, item in enumerate(items) if _makes_channels(item)]
    return weighted[-1] if weighted else 0


def _with_what_follows(items: Sequence[Sequence[Node | Region]], begin: int, end: int) -> int:
    """Normalisations and activations behind a unit belong to it; up to the next with a kernel."""
    position = begin
    while position < end and not _makes_channels(items[0][position]):
        position += 1
    return position


def _makes_channels(item: Node | Region) -> bool:
    """Whether an item is a unit: one with a kernel of several axes, or several of them."""
    return any(
        len(shape) > 1
        for node in _nodes(item)
        if not node.fused
        for shape in node.layer.variables.values()
    )


def _nodes(item: Node | Region) -> tuple[Node, ...]:
    return item.nodes if isinstance(item, Region) else (item,)


def _equal(first: Node | Region, second: Node | Region) -> bool:
    """Whether two items compute the same but for their weights."""
    ours, theirs = _nodes(first), _nodes(second)
    if len(ours) != len(theirs):
        return False
    tensors: dict[int, int] = {}
    for one, other in zip(ours, theirs, strict=True):
        if len(one.inputs) != len(other.inputs) or meet(one, other) != {} or meet(other, one) != {}:
            return False
        for mine, its in zip(one.inputs, other.inputs, strict=True):
            if tensors.setdefault(mine, its) != its:
                return False
        tensors.update(zip(one.outputs, other.outputs, strict=True))
    return True


def _calls_again(items: Sequence[Node | Region], end: int) -> bool:
    """Whether a layer before a place is called again behind it."""
    before, behind = (
        {node.layer.path for item in part for node in _nodes(item)}
        for part in (items[:end], items[end:])
    )
    return bool(before & behind)


def _names(architecture: Architecture, label: str, trunk: int) -> dict[Path, str]:
    """Names in a tree of a member's layers: those of the trunk by number."""
    flat = flat_names(architecture)
    return {
        layer.path: f"{TRUNK}_{number}" if number < trunk else f"{label}_{flat[layer.path]}"
        for number, layer in enumerate(architecture.layers)
    }


def _combined(
    architectures: Sequence[Architecture], labels: Sequence[str], trunk: int
) -> Architecture:
    """The tree as an architecture."""
    nodes: list[Node] = []
    outputs: list[int] = []
    entry = architectures[0].inputs[0]
    end = entry.tensor
    free = 1 + max(tensor for a in architectures for node in a.nodes for tensor in node.outputs)
    for architecture, label in zip(architectures, labels, strict=True):
        names = _names(architecture, label, trunk)
        shared = set(list(names)[:trunk])
        tensors = {architecture.inputs[0].tensor: entry.tensor}
        inside = [node for node in architecture.nodes if node.layer.path in shared]
        if architecture is architectures[0]:
            nodes += [_renamed(node, names, {}) for node in inside]
            end = inside[-1].outputs[0] if inside else entry.tensor
        if inside:
            tensors = {inside[-1].outputs[0]: end}
        for node in architecture.nodes:
            if node.layer.path in shared:
                continue
            for tensor in node.outputs:
                tensors[tensor] = free
                free += 1
            nodes.append(_renamed(node, names, tensors))
        named = _identity(label, tensors[architecture.outputs[0]], free, architecture)
        free += 1
        nodes.append(named)
        outputs.append(named.outputs[0])
    return replace(
        architectures[0],
        name="tree",
        outputs=tuple(outputs),
        nodes=tuple(nodes),
        tree=Chain(tuple(nodes)),
        output_structure=[TensorRef(tensor) for tensor in outputs],
    )


def _renamed(node: Node, names: Mapping[Path, str], tensors: Mapping[int, int]) -> Node:
    """A call in the tree: its layer under another name, its tensors under other numbers."""

    def renumbered(structure: Any) -> Any:
        return keras.tree.map_structure(
            lambda leaf: (
                TensorRef(tensors.get(leaf.tensor, leaf.tensor))
                if isinstance(leaf, TensorRef)
                else leaf
            ),
            structure,
        )

    name = names[node.layer.path]
    return replace(
        node,
        layer=replace(node.layer, name=name, path=(name,)),
        inputs=tuple(tensors.get(tensor, tensor) for tensor in node.inputs),
        outputs=tuple(tensors.get(tensor, tensor) for tensor in node.outputs),
        args=renumbered(node.args),
        kwargs=MappingProxyType(renumbered(dict(node.kwargs))),
    )


def _identity(label: str, tensor: int, output: int, architecture: Architecture) -> Node:
    """The end of a branch, by whose name its losses and metrics go."""
    config = MappingProxyType({"name": label})
    layer = Layer(label, (label,), keras.layers.Identity, config)
    shape = architecture.output_shapes[0]
    return Node(layer, (tensor,), (output,), (shape,), (shape,), args=(TensorRef(tensor),))
