"""Rules of layers and operations in which branches meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis, Concat
from keras_mothernets.rules.rule import (
    Axes,
    Refusal,
    Rule,
    Value,
    same,
    static_arguments,
)
from keras_mothernets.rules.spaces import Spaces

_COMMUTING = {"Add", "Multiply", "Average", "Maximum", "Minimum"}


class ElementwiseMergeRule(Rule):
    """Add, Multiply, Maximum, ...: channels of all branches are widened by one and the same map.

    Axes of size one are stretched over the others and stay apart. A layer and
    the raw operation that computes the same are of one kind.

    Args:
        merge: `"sum"`, `"product"` or `"other"`.
    """

    def __init__(self, merge: str) -> None:
        self.merge = merge

    def same_class(self, first: Node, second: Node) -> bool:
        return first.layer.cls.__name__ == second.layer.cls.__name__

    def commutes(self, node: Node) -> bool:
        return node.kind in _COMMUTING

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if not same(static_arguments(first), static_arguments(second)):
            return Refusal("they are called with different arguments")
        return {}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        rank = max(len(axes) for axes in inputs)
        out: list[Axis] = []
        for position in range(rank):
            here = [
                axes[position - rank + len(axes)]
                for axes in inputs
                if position - rank + len(axes) >= 0
            ]
            stretched = [axis for axis in here if spaces.size(axis) == (1, 1)]
            wide = [axis for axis in here if spaces.size(axis) != (1, 1)]
            for other in wide[1:]:
                spaces.join(wide[0], other)
            out.append(wide[0] if wide else stretched[0])
        return (tuple(out),)

    def merge_value(self, node: Node, values: Sequence[Value]) -> Value:
        if not values or len(values) < len(node.inputs) or static_arguments(node):
            return Value()
        lows, highs = [value.low for value in values], [value.high for value in values]
        if self.merge == "sum":
            return Value(sum(lows), sum(highs))
        if self.merge == "product":
            return Value(0.0 if min(lows) >= 0.0 else -math.inf)
        # An average, a maximum or a minimum lies where the numbers lie; others may not.
        return Value(min(lows), max(highs)) if node.kind in _COMMUTING else Value()

    def value(self, node: Node, value: Value) -> Value:
        return Value()


class ScaledSumRule(ElementwiseMergeRule):
    """A sum of two inputs of which the second is scaled first (InceptionResNetV2's residuals)."""

    def __init__(self) -> None:
        super().__init__("sum")

    def commutes(self, node: Node) -> bool:
        return False

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        return Rule.meet(self, first, second)

    def merge_value(self, node: Node, values: Sequence[Value]) -> Value:
        return Value()


class ConcatenateRule(Rule):
    """Concatenate: the axes of all branches one after the other."""

    merge = "concat"

    def same_class(self, first: Node, second: Node) -> bool:
        return first.layer.cls.__name__ == second.layer.cls.__name__

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if self.channel_axis(first) != self.channel_axis(second):
            return Refusal("they concatenate along different axes")
        return {}

    def channel_axis(self, node: Node) -> int:
        axis = int(node.config.get("axis", -1))
        return axis % (len(node.output_shapes[0]) + 1) - 1

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        position = self.channel_axis(member)
        for axes in inputs[1:]:
            for number, (first, other) in enumerate(zip(inputs[0], axes, strict=True)):
                if number != position:
                    spaces.join(first, other)
        joined = Concat(tuple(axes[position] for axes in inputs))
        return ((*inputs[0][:position], joined, *inputs[0][position + 1 :]),)

    def merge_value(self, node: Node, values: Sequence[Value]) -> Value:
        if not values:
            return Value()
        fixed = {value.fixed_by for value in values}
        low, high = min(v.low for v in values), max(v.high for v in values)
        return Value(low, high, fixed.pop() if len(fixed) == 1 else None)
