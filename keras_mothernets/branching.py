"""A tree of networks: what they begin with in common is there once, as a trunk."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery import meet
from keras_mothernets.surgery.given import equal_weights, is_frozen

# What the names of layers in a tree begin with.
TRUNK, BRANCH = "trunk_", "branch_"

Path = tuple[str, ...]
Item = Node | Region


def grow_tree(members: Sequence[Member], *, shared_depth: int | None = None) -> keras.Model:
    """One network with the outputs of all members, whose first units are there once.

    The trunk ends at a cut point of all members: a place that everything passes, so that a
    residual unit belongs to the trunk as a whole or not at all. Trunk and branches have the
    weights of the members, the trunk those of the first. What training would not find, the weights
    of frozen layers and the settings of a Normalization, is shared only where it is the same.

    Args:
        members: At least two, with one input and one output of the same shapes.
        shared_depth: Units of the trunk that have weights: layers, and whole regions between cut
            points. By default all that the members begin with in common, without what comes
            before the last unit with weights of any.

    Returns:
        A built, uncompiled Functional model, its outputs a list in the order of the members and
        named as they are.

    Raises:
        SurgeryError: The members do not begin with so many equal units, or one has a name that
            the tree needs.
    """
    networks = [_Network.of(member) for member in members]
    _check_names(networks)
    trunk = _trunk(networks, shared_depth)
    tree = build(_combined(networks, trunk), blank=True)
    for number, network in reversed(list(enumerate(networks))):  # the first one's trunk stays
        for path, name in _names(network.architecture, number, trunk).items():
            copy_layer(network.layers[path], tree.get_layer(name))
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
    networks = [_Network.of(member) for member in members]
    groups: list[list[int]] = []
    for number in range(len(members)):
        for group in groups:
            try:
                _trunk([networks[other] for other in (*group, number)], shared_depth or 1)
            except SurgeryError:
                continue
            group.append(number)
            break
        else:
            groups.append([number])
    if len(members) > 1 and all(len(group) == 1 for group in groups):
        _trunk(networks, shared_depth or 1)  # says what is the matter
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
    trunk = sum(layer.name.startswith(TRUNK) for layer in tree.layers)
    number = tree.output_names.index(member.label)
    layers = live_layers(taken)
    for path, name in _names(read(member.model), number, trunk).items():
        copy_layer(tree.get_layer(name), layers[path])
    return taken


@dataclass(frozen=True, eq=False)
class _Network:
    """A member as it is compared: its calls in order, and the layers with their weights."""

    label: str
    architecture: Architecture
    layers: Mapping[Path, Any]

    @classmethod
    def of(cls, member: Member) -> _Network:
        """Read a member.

        Raises:
            SurgeryError: It has several inputs or outputs.
        """
        architecture = read(member.model)
        sizes = len(architecture.inputs), len(architecture.outputs)
        if sizes != (1, 1):
            raise SurgeryError(
                f"Member `{member.label}` cannot be a branch of a tree",
                expected="networks of one input and one output",
                received="{} and {}".format(*sizes),
            )
        return cls(member.label, architecture, live_layers(member.model))

    @property
    def items(self) -> tuple[Item, ...]:
        """What stands between its cut points."""
        return self.architecture.tree.items

    def calls_again(self, end: int) -> bool:
        """Whether a layer before a place is called again behind it."""
        before, behind = (
            {node.layer.path for item in part for node in _calls(item)}
            for part in (self.items[:end], self.items[end:])
        )
        return bool(before & behind)


def _check_names(networks: Sequence[_Network]) -> None:
    taken = networks[0].architecture.inputs[0].name
    for network in networks:
        if network.label == taken or network.label.startswith((TRUNK, BRANCH)):
            raise SurgeryError(
                f"Member `{network.label}` has a name that the tree needs for itself",
                expected=f"none that begins with `{TRUNK}` or `{BRANCH}`, nor that of the input",
                fix="Give it another one: `km.Member(model, name=...)`",
            )


def _trunk(networks: Sequence[_Network], depth: int | None) -> int:
    """How many layers the trunk has, counted in the order of their first calls."""
    first, *others = networks
    longest = min(_own_end(network.items) for network in networks)
    equal = 0
    while equal < longest and all(_equal(first, other, equal) for other in others):
        equal += 1
    ends = [
        end for end in _ends(first.items, equal) if not any(n.calls_again(end) for n in networks)
    ]
    if not ends or depth is not None and depth > len(ends):
        names = ", ".join(f"`{network.label}`" for network in networks)
        raise SurgeryError(
            f"The members {names} cannot share a trunk"
            + ("" if depth is None else f" of {depth} units"),
            expected="networks that begin with equal units, before the last one that has weights",
            received=f"{len(ends)} equal units with weights",
            fix="Give a smaller `shared_depth`" if ends else "Use another method for them",
        )
    end = ends[-1 if depth is None else depth - 1]
    return len({node.layer.path for item in first.items[:end] for node in _calls(item)})


def _ends(items: Sequence[Item], equal: int) -> list[int]:
    """Where a trunk of 1, 2, ... units ends: before the next one, or where networks part."""
    units = [number for number in range(equal) if _makes_channels(items[number])]
    return [*units[1:], equal] if units else []


def _own_end(items: Sequence[Item]) -> int:
    """The last item with weights, which every member has for itself."""
    weighted = [number for number, item in enumerate(items) if _makes_channels(item)]
    return weighted[-1] if weighted else 0


def _makes_channels(item: Item) -> bool:
    """Whether an item is a unit: one with a kernel of several axes, or several of them."""
    return any(
        len(shape) > 1
        for node in _calls(item)
        if not node.fused
        for shape in node.layer.variables.values()
    )


def _calls(item: Item) -> tuple[Node, ...]:
    return item.nodes if isinstance(item, Region) else (item,)


def _equal(first: _Network, second: _Network, number: int) -> bool:
    """Whether two networks compute the same there but for what training finds."""
    ours, theirs = _calls(first.items[number]), _calls(second.items[number])
    if len(ours) != len(theirs):
        return False
    tensors: dict[int, int] = {}
    for one, other in zip(ours, theirs, strict=True):
        if len(one.inputs) != len(other.inputs) or meet(one, other) != {} or meet(other, one) != {}:
            return False
        if not _same_given(one, first.layers[one.layer.path], second.layers[other.layer.path]):
            return False
        for mine, its in zip(one.inputs, other.inputs, strict=True):
            if tensors.setdefault(mine, its) != its:
                return False
        tensors.update(zip(one.outputs, other.outputs, strict=True))
    return True


def _same_given(node: Node, first: Any, second: Any) -> bool:
    """Whether two layers agree in what training leaves alone."""
    if is_frozen(first) != is_frozen(second):
        return False
    is_given = is_frozen(first) or rule_for(node).holds_settings
    return not is_given or equal_weights(first, second)


def _names(architecture: Architecture, number: int, trunk: int) -> dict[Path, str]:
    """Names in a tree of a member's layers: those of the trunk by number."""
    flat = flat_names(architecture)
    return {
        layer.path: f"{TRUNK}{place}" if place < trunk else f"{BRANCH}{number}_{flat[layer.path]}"
        for place, layer in enumerate(architecture.layers)
    }


def _combined(networks: Sequence[_Network], trunk: int) -> Architecture:
    """The tree as an architecture."""
    first = networks[0].architecture
    free = itertools.count(1 + max(tensor for node in first.nodes for tensor in node.outputs))
    names = _names(first, 0, trunk)
    shared, _ = _parted(first, trunk)
    nodes = [_renamed(node, names, {}) for node in shared]
    outputs: list[int] = []
    for number, network in enumerate(networks):
        architecture = network.architecture
        names = _names(architecture, number, trunk)
        inside, behind = _parted(architecture, trunk)
        tensors = {inside[-1].outputs[0]: shared[-1].outputs[0]}
        for node in behind:
            tensors |= {tensor: next(free) for tensor in node.outputs}
            nodes.append(_renamed(node, names, tensors))
        last = tensors[architecture.outputs[0]]
        nodes.append(_identity(network.label, last, next(free), architecture))
        outputs += nodes[-1].outputs
    return replace(
        first,
        name="tree",
        outputs=tuple(outputs),
        nodes=tuple(nodes),
        tree=Chain(tuple(nodes)),
        output_structure=[TensorRef(tensor) for tensor in outputs],
    )


def _parted(architecture: Architecture, trunk: int) -> tuple[list[Node], list[Node]]:
    """The calls of a member that belong to the trunk, the one at its end last, and the others."""
    paths = {layer.path for layer in architecture.layers[:trunk]}
    inside = [node for node in architecture.nodes if node.layer.path in paths]
    return inside, [node for node in architecture.nodes if node.layer.path not in paths]


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
