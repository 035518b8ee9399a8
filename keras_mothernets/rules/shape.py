"""Rules of layers that move numbers without changing them: Flatten, Reshape, Permute, padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis, Product
from keras_mothernets.rules.regroup import regroup
from keras_mothernets.rules.rule import (
    Axes,
    Refusal,
    Rule,
    Value,
    same,
    static_arguments,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces


class FlattenRule(Rule):
    """Flatten: one axis that runs over all, the last one fastest."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axes = list(inputs[0])
        if member.config.get("data_format") == "channels_first" and len(axes) > 1:
            # Keras moves the channels to the end first, whatever the data format.
            axes = [*axes[1:], axes[0]]
        return ((axes[0] if len(axes) == 1 else Product(tuple(axes)),),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class ReshapeRule(Rule):
    """Reshape: axes are merged and taken apart, as long as each stays a run of whole axes."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if not same(static_arguments(first), static_arguments(second)):
            return Refusal("they are called with different arguments")
        ours, theirs = first.output_shapes[0], second.output_shapes[0]
        if len(ours) != len(theirs):
            return Refusal(f"they reshape to {len(ours)} and to {len(theirs)} axes")
        target = tuple(
            -1 if a is None or b is None else min(a, b) for a, b in zip(ours, theirs, strict=True)
        )
        known = tuple(-1 if size is None else size for size in ours)
        return {} if target == known else {"target_shape": target}

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        target = tuple(-1 if size is None else size for size in sizes)
        known = tuple(-1 if size is None else size for size in node.output_shapes[0])
        return {} if target == known else {"target_shape": target}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        wanted = list(zip(mother.output_shapes[0], member.output_shapes[0], strict=True))
        return (regroup(inputs[0], wanted, spaces),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class ReshapeOperationRule(ReshapeRule):
    """`keras.ops.reshape`: as the layer, with the batch axis named first."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        for node in (first, second):
            if node.config["newshape"][0] != -1:
                return Refusal("a reshape must leave the batch axis alone, as -1 in front")
        return self._named(super().meet(first, self._alike(first, second)))

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        changes = super().follow(node, sizes, *others)
        if changes.get("target_shape", ()).count(-1):
            raise SurgeryError("A reshape with the batch axis first cannot leave out another size")
        return self._named(changes)

    def _alike(self, first: Node, second: Node) -> Node:
        return with_config(second, {"newshape": first.config["newshape"]})

    def _named(self, changes: Any) -> Any:
        if isinstance(changes, Refusal) or "target_shape" not in changes:
            return changes
        return {"newshape": (-1, *changes["target_shape"])}


class PermuteRule(Rule):
    """Permute: the axes in another order."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        return (tuple(inputs[0][position - 1] for position in member.config["dims"]),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class RepeatVectorRule(Rule):
    """RepeatVector: a new first axis along which all is the same."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        repeats = member.config["n"]
        return ((spaces.fixed(repeats, repeats, "RepeatVector makes it"), *inputs[0]),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class ResizingRule(Rule):
    """ZeroPadding, Cropping, UpSampling, and pooling: spatial axes change, channels pass.

    Args:
        pads: Whether zeros are added to what flows.
        blends: Whether numbers are averaged, so that what an activation fixed may be lost.
    """

    def __init__(self, *, pads: bool = False, blends: bool = False) -> None:
        self._pads = pads
        self.keeps_zero = True
        self._blends = blends

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        channel = self.channel_axis(member)
        reason = f"{member.kind} works along it"
        out: list[Axis] = []
        for position, axis in enumerate(inputs[0]):
            if position == channel:
                out.append(axis)
                continue
            spaces.pin(axis, reason)
            sizes = mother.output_shapes[0][position], member.output_shapes[0][position]
            out.append(spaces.fixed(*sizes, reason))
        return (tuple(out),)

    def value(self, node: Node, value: Value) -> Value:
        low, high = (min(value.low, 0.0), max(value.high, 0.0)) if self._pads else (
            value.low,
            value.high,
        )  # fmt: skip
        return Value(low, high, None if self._blends else value.fixed_by)


class GlobalPoolingRule(Rule):
    """Global pooling: spatial axes go away or become of size one, channels pass."""

    def __init__(self, *, blends: bool) -> None:
        self._blends = blends

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        first = member.config.get("data_format") == "channels_first"
        channel = 0 if first else len(inputs[0]) - 1
        for position, axis in enumerate(inputs[0]):
            if position != channel:
                spaces.pin(axis, f"{member.kind} pools over it")
        if not member.config.get("keepdims"):
            return ((inputs[0][channel],),)
        return (
            tuple(
                axis if position == channel else spaces.fixed(1, 1, "it is pooled")
                for position, axis in enumerate(inputs[0])
            ),
        )

    def value(self, node: Node, value: Value) -> Value:
        return Value(value.low, value.high, None if self._blends else value.fixed_by)
