"""Walks a mother and a member side by side and notes where every channel comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from keras_mothernets.errors import SurgeryError, naming
from keras_mothernets.graph import Architecture, Node
from keras_mothernets.rules import (
    ActivationRule,
    Axes,
    Axis,
    Copy,
    Paired,
    Role,
    Spaces,
    Split,
    rule_for,
)
from keras_mothernets.surgery.alignment import Pair

How = Literal["matched", "inserted"]


@dataclass(frozen=True)
class Step:
    """A call of the member with the call of the mother that it comes from.

    Args:
        how: `"matched"`, or `"inserted"` if the mother has no such call.
        mother: The mother's call, or the identity that stands for it.
        member: The member's call.
        inputs: Axes of the input tensors.
        outputs: Axes of the output tensors, then axes inside the layer.
        place: Number of the mother's tensor that flows in at this place.
    """

    how: How
    mother: Node
    member: Node
    inputs: tuple[Axes, ...]
    outputs: tuple[Axes, ...]
    place: int


@dataclass(frozen=True)
class Correspondence:
    """All steps from a mother to a member, and the channel spaces they share."""

    mother: Architecture
    member: Architecture
    steps: tuple[Step, ...]
    spaces: Spaces


def correspond(mother: Architecture, member: Architecture, pairs: Sequence[Pair]) -> Correspondence:
    """Follow the channels of both networks along an alignment.

    Args:
        mother: The smaller network.
        member: The larger one.
        pairs: An alignment in which every call of the mother's is matched.

    Returns:
        The `Correspondence`; widths are not compared yet (`Spaces.maps` does that).

    Raises:
        SurgeryError: Channels cannot pass a layer; the message names it.
    """
    spaces = Spaces()
    views: dict[int, Axes] = {}
    places: dict[int, int] = {}
    for ours, theirs in zip(mother.inputs, member.inputs, strict=True):
        sizes = zip(ours.shape, theirs.shape, strict=True)
        views[theirs.tensor] = tuple(spaces.fixed(*pair, "it is the input") for pair in sizes)
        places[theirs.tensor] = ours.tensor
    steps = []
    for pair in pairs:
        node = pair.second
        assert node is not None
        inputs = tuple(views[tensor] for tensor in node.inputs)
        place = places[node.inputs[0]]
        with naming(f"Layer `{node.name}`"):
            step = _step(pair, node, inputs, place, spaces)
        steps.append(step)
        made = step.mother.outputs if step.how == "matched" else (place,)
        for number, tensor in enumerate(node.outputs):
            views[tensor] = step.outputs[number]
            places[tensor] = made[number]
    for tensor in member.outputs:
        for axis in views[tensor]:
            spaces.pin(axis, "it is the output")
    _share(steps, spaces)
    return Correspondence(mother, member, tuple(steps), spaces)


def _step(pair: Pair, node: Node, inputs: tuple[Axes, ...], place: int, spaces: Spaces) -> Step:
    rule = rule_for(node)
    if pair.first is not None:
        outputs = rule.flow(pair.first, node, inputs, spaces)
        return Step("matched", pair.first, node, inputs, outputs, place)
    if pair.paired:
        return Step("inserted", node, node, inputs, (_paired(node, inputs[0], spaces),), place)
    if rule.is_transparent or isinstance(rule, ActivationRule):
        return Step("inserted", node, node, inputs, inputs, place)
    channel = rule.channel_axis(node)
    channels = spaces.size(inputs[0][channel])[0]
    if channels is None:
        raise SurgeryError("It cannot be inserted where the number of channels is unknown")
    identity = rule.identity_node(node, channels)
    outputs = rule.flow(identity, node, inputs, spaces)
    return Step("inserted", identity, node, inputs, outputs, place)


def _paired(node: Node, axes: Axes, spaces: Spaces) -> Axes:
    """Axes after an activation that works on negated copies."""
    assert node.activation is not None
    constant = node.activation.pair_constant()
    assert constant is not None
    first = node.layer.config.get("data_format") == "channels_first"
    channel = 0 if first else len(axes) - 1
    spaces.sign(axes[channel])
    pairs: Axis = Paired(axes[channel], constant)
    return (*axes[:channel], pairs, *axes[channel + 1 :])


def step_roles(step: Step) -> dict[str, tuple[Role, ...]]:
    """The roles of the variables of a step's layer."""
    return rule_for(step.member).roles(step.mother, step.member, step.inputs, step.outputs)


def _share(steps: Sequence[Step], spaces: Spaces) -> None:
    """Let all calls of a shared layer have one source and the same channels."""
    first_calls: dict[tuple[str, ...], Step] = {}
    readers: dict[tuple[str, ...], tuple[str, ...]] = {}
    for step in steps:
        if not step.member.layer.variables or step.member.fused:
            continue
        path = step.member.layer.path
        first = first_calls.setdefault(path, step)
        same = first.how == step.how
        if step.how == "matched":
            same = same and first.mother.layer.path == step.mother.layer.path
            same = same and readers.setdefault(step.mother.layer.path, path) == path
        if not same:
            raise SurgeryError(
                f"Layer `{step.member.name}` is shared by several calls, which do not all come"
                " from one layer of the smaller network",
                fix="Share the layer in the same way in all networks",
            )
        if step is not first:
            _join_roles(first, step, spaces)


def _join_roles(first: Step, second: Step, spaces: Spaces) -> None:
    others = step_roles(second)
    for name, roles in step_roles(first).items():
        for ours, theirs in zip(roles, others[name], strict=True):
            if isinstance(ours, (Copy, Split)) and isinstance(theirs, (Copy, Split)):
                spaces.join(ours.axis, theirs.axis)
