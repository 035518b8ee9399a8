"""Rules of normalisations over the channels of one example: LayerNormalization and its kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mothernets.graph import Node
from keras_mothernets.rules.regroup import in_groups
from keras_mothernets.rules.rule import Axes, Copy, Refusal, Role, Rule, with_config
from keras_mothernets.rules.spaces import Spaces

_SAME_COUNT = "it is normalised over, which counts every copy"


class LayerNormalizationRule(Rule):
    """LayerNormalization, RMSNormalization: exact if all channels have equally many copies.

    Mean and variance over channels do not change when every channel is repeated
    equally often. Other widths would need another epsilon in the member, which
    is a setting of the user's.

    Args:
        names: Variables that follow the normalised axes.
    """

    flags = ("center", "scale")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        for position in self._axes(member):
            spaces.even_out(inputs[0][position], _SAME_COUNT)
        return (inputs[0],)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        axes = tuple(Copy(inputs[0][position]) for position in self._axes(member))
        return dict.fromkeys(self._names, axes)

    def absent(self, name: str) -> float:
        return 0.0 if name == "beta" else 1.0

    def channel_axis(self, node: Node) -> int:
        return self._axes(node)[-1]

    def _axes(self, node: Node) -> list[int]:
        axis = node.config["axis"]
        axes = [axis] if isinstance(axis, int) else list(axis)
        rank = len(node.input_shapes[0]) + 1
        return [entry % rank - 1 for entry in axes]


class GroupNormalizationRule(Rule):
    """GroupNormalization: exact if all channels have equally many copies, side by side.

    More groups may be copies of whole groups. With one group per channel (instance
    normalisation) any number of copies will do. Keras writes their number into a built layer
    where `groups=-1` was asked for.
    """

    flags = ("center", "scale")

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        ours, theirs = first.config["groups"], second.config["groups"]
        if not (self._is_instance(first) and self._is_instance(second)):
            if ours == theirs or not self._copies_groups(first, second):
                return super().meet(first, second)
        changes = super().meet(first, with_config(second, {"groups": ours}))
        if isinstance(changes, Refusal) or self._is_instance(first) or ours < theirs:
            return changes
        return {**changes, "groups": theirs}

    def resized(self, before: Node, after: Node) -> Node:
        if self._is_instance(before) and not self._is_instance(after):
            return with_config(after, {"groups": -1})
        return after

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axis = inputs[0][self.channel_axis(member)]
        groups = mother.config["groups"], member.config["groups"]
        if self._is_instance(mother) and self._is_instance(member):
            return (inputs[0],)
        if groups[0] == groups[1]:
            spaces.even_out(axis, _SAME_COUNT, parts=int(groups[0]))
        else:
            spaces.even_out(in_groups(axis, groups, spaces)[1], _SAME_COUNT)
        return (inputs[0],)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        axis = Copy(inputs[0][self.channel_axis(member)])
        return {"gamma": (axis,), "beta": (axis,)}

    def absent(self, name: str) -> float:
        return 0.0 if name == "beta" else 1.0

    def channel_axis(self, node: Node) -> int:
        axis: int = node.config["axis"]
        return axis % (len(node.input_shapes[0]) + 1) - 1

    def _copies_groups(self, first: Node, second: Node) -> bool:
        """Whether the fewer groups and the fewer channels make groups that both can have copied."""
        groups = min(node.config["groups"] for node in (first, second))
        size, rest = divmod(min(self._channels(node) for node in (first, second)), groups)
        own = [self._channels(node) // int(node.config["groups"]) for node in (first, second)]
        return groups > 0 and rest == 0 and size > 1 and not any(each % size for each in own)

    def _channels(self, node: Node) -> int:
        return node.input_shapes[0][self.channel_axis(node)] or 0

    def _is_instance(self, node: Node) -> bool:
        return node.config["groups"] in (-1, self._channels(node))


class UnitNormalizationRule(Rule):
    """UnitNormalization: the norm changes with every copy, so nothing may be widened there."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axis = member.config["axis"]
        for entry in [axis] if isinstance(axis, int) else axis:
            position = entry % (len(inputs[0]) + 1) - 1
            spaces.pin(inputs[0][position], "its length is normalised, which copies change")
        return (inputs[0],)


class LayerScaleRule(Rule):
    """LayerScale: one factor per channel of the last axis."""

    free = frozenset({"init_values", "projection_dim"})

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        changes = super().meet(first, second)
        size = min(node.config["projection_dim"] for node in (first, second))
        if isinstance(changes, Refusal) or size == first.config["projection_dim"]:
            return changes
        return {**changes, "projection_dim": size}

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        same = sizes[-1] == node.config["projection_dim"]
        return {} if same else {"projection_dim": sizes[-1]}

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {name: (Copy(inputs[0][-1]),) for name in member.layer.variables}

    def zeros(self, node: Node) -> tuple[str, ...]:
        return tuple(node.layer.variables)
