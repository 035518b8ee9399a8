"""Rules of the raw operations in which Keras carries masks of padded sequences.

`Embedding(mask_zero=True)` and `Masking` leave nodes of their own in a network:
which tokens are not zero, and what becomes of that where sequences are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.merging import ElementwiseMergeRule
from keras_mothernets.rules.rule import Axes, Rule, Value
from keras_mothernets.rules.spaces import Axis, Spaces


class ComparisonRule(ElementwiseMergeRule):
    """NotEqual, LogicalOr, ...: true or false for each number, of one tensor or of several."""

    def __init__(self) -> None:
        super().__init__("other")

    def merge_value(self, node: Node, values: Sequence[Value]) -> Value:
        return Value()


class MaskingRule(Rule):
    """Masking: a step of time is left out where all its numbers are the mask value."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        spaces.pin(inputs[0][-1], "Masking looks at all its channels together")
        return (inputs[0],)


class AnyRule(Rule):
    """Any, All over axes: copies of what is true are true."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        rank = len(inputs[0]) + 1
        given = member.config.get("axis")
        axes = range(rank) if given is None else [given] if isinstance(given, int) else given
        gone = {axis % rank for axis in axes}
        if 0 in gone:
            raise SurgeryError(f"{member.kind} must leave the batch axis alone")
        out: list[Axis] = []
        for place, axis in enumerate(inputs[0], 1):
            if place not in gone:
                out.append(axis)
            elif member.config.get("keepdims"):
                out.append(spaces.fixed(1, 1, "it is reduced"))
        return (tuple(out),)


class ExpandDimsRule(Rule):
    """`keras.ops.expand_dims`: one more axis of size one."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axis = member.config["axis"]
        rank = len(inputs[0]) + 2
        places = [axis % rank] if isinstance(axis, int) else []
        if not places or not places[0]:
            raise SurgeryError(
                "`expand_dims` must add one axis, behind that of the batch", received=str(axis)
            )
        out = list(inputs[0])
        out.insert(places[0] - 1, spaces.fixed(1, 1, "`expand_dims` makes it"))
        return (tuple(out),)

    def value(self, node: Node, value: Value) -> Value:
        return value
