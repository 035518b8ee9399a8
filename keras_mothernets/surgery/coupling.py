"""What must be widened together, and what follows by itself when layers are widened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from keras_mothernets.graph import Architecture, Node
from keras_mothernets.rules import (
    Atom,
    Axis,
    Concat,
    Spaces,
    axis_parts,
    rule_for,
    with_config,
)
from keras_mothernets.surgery.correspondence import Correspondence, Step, correspond
from keras_mothernets.surgery.pairs import Pair


@dataclass(frozen=True)
class Coupled:
    """Layers that can be widened only together, all to one width.

    Args:
        layers: Their names, in order of their first call.
        key: The config entry that holds the width of the first: `"filters"`, `"units"`, ...
        width: Their width now.
        must_divide: Whether the new width must be a multiple of it.
    """

    layers: tuple[str, ...]
    key: str
    width: int
    must_divide: bool


def coupled_layers(architecture: Architecture) -> list[Coupled]:
    """All layers that can be widened, those together that must have one width.

    Left out are layers whose width is fixed (the head), and layers that are
    summed with a concatenation, whose parts each have a width of their own.

    Args:
        architecture: A network of which every layer has a rule.

    Returns:
        Groups in order of their first layer.
    """
    found = _itself(architecture)
    groups: dict[Atom, dict[str, tuple[str, int]]] = {}
    mixed: set[Atom] = set()
    for step, axis in _made(found):
        if isinstance(axis, Atom) and found.spaces.is_free(axis):
            key = str(rule_for(step.member).width)
            width = (key, step.member.config[key])
            groups.setdefault(axis, {})[step.member.layer.name] = width
        else:
            mixed.update(_atoms(axis, found.spaces))
    return [
        Coupled(
            tuple(widths), *next(iter(widths.values())), found.spaces.must_divide(axis) is not None
        )
        for axis, widths in groups.items()
        if axis not in mixed
    ]


def follow(architecture: Architecture, edited: Sequence[Node]) -> list[Node]:
    """Let what has no width of its own follow the layers that were widened.

    A Reshape to fixed sizes gets new ones, a LayerScale new factors, and a plain
    convolution with a group for every channel new groups.

    Args:
        architecture: The network before.
        edited: Its calls, some of them of widened layers.
    """
    found = _itself(architecture)
    changed = {
        old.outputs[0]: node.config[str(rule_for(node).width)]
        for old, node in zip(architecture.nodes, edited, strict=True)
        if rule_for(node).width is not None and node.layer is not old.layer
    }
    made = ((step.member.outputs[0], axis) for step, axis in _made(found))
    sizes = {axis: changed[out] for out, axis in made if out in changed and isinstance(axis, Atom)}
    return [
        _following(node, step, found.spaces, sizes)
        for node, step in zip(edited, found.steps, strict=True)
    ]


def _itself(architecture: Architecture) -> Correspondence:
    return correspond(architecture, architecture, [Pair(node, node) for node in architecture.nodes])


def _made(found: Correspondence) -> Iterator[tuple[Step, Axis]]:
    """The axis that each layer with a width of its own makes."""
    for step in found.steps:
        rule = rule_for(step.member)
        if rule.width is not None and not step.member.fused and not _is_depthwise(step.member):
            yield step, found.spaces.essence(rule.made_axis(step.member, step.outputs))


def _is_depthwise(node: Node) -> bool:
    """Whether a convolution makes as many channels as flow in, whatever that number is."""
    kernel = node.layer.variables.get("kernel", (0, 0))
    return bool(node.config.get("groups", 1) > 1 and kernel[-2] == 1)


def _following(node: Node, step: Step, spaces: Spaces, sizes: Mapping[Atom, int]) -> Node:
    if node.activation is not None or not step.outputs:
        return node
    shapes = [tuple(_size(axis, spaces, sizes) for axis in axes) for axes in step.outputs]
    changes = rule_for(node).follow(node, *shapes)
    made = tuple(shapes[: len(node.outputs)])
    return replace(with_config(node, changes), output_shapes=made) if changes else node


def _size(axis: Axis, spaces: Spaces, sizes: Mapping[Atom, int]) -> int | None:
    """Size of an axis with some atoms of new sizes."""
    axis = spaces.find(axis)
    if isinstance(axis, Atom):
        return sizes.get(axis, spaces.size(axis)[0])
    parts = [_size(part, spaces, sizes) for part in axis_parts(axis)]
    known = [size for size in parts if size is not None]
    if len(known) < len(parts):
        return None
    return sum(known) if isinstance(axis, Concat) else math.prod(known)


def _atoms(axis: Axis, spaces: Spaces) -> Iterator[Atom]:
    axis = spaces.find(axis)
    if isinstance(axis, Atom):
        yield axis
    for part in axis_parts(axis):
        yield from _atoms(part, spaces)
