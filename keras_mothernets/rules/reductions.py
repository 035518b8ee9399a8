"""Rules of raw operations that reduce axes to one number: `keras.ops.mean`, `max`, `any`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis
from keras_mothernets.rules.rule import Axes, Rule, Value
from keras_mothernets.rules.spaces import Spaces

Copies = Literal["ignored", "averaged", "counted"]


class ReductionRule(Rule):
    """An operation over some axes, the batch axis not among them.

    Args:
        copies: What copies of a channel do along a reduced axis. A maximum ignores them, a
            mean wants equally many of each, a sum counts them.
    """

    def __init__(self, copies: Copies) -> None:
        self._copies = copies

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        gone = _reduced(member, len(inputs[0]) + 1)
        out: list[Axis] = []
        for place, axis in enumerate(inputs[0], 1):
            if place not in gone:
                out.append(axis)
                continue
            if self._copies == "averaged":
                spaces.even_out(axis, f"{member.kind} goes over it")
            elif self._copies == "ignored":
                spaces.need_copies(axis)
            elif self._copies == "counted":
                spaces.pin(axis, f"{member.kind} goes over it, which counts every copy")
            if member.config.get("keepdims"):
                out.append(spaces.fixed(1, 1, "it is reduced"))
        return (tuple(out),)

    def value(self, node: Node, value: Value) -> Value:
        """A mean or an extreme lies where the numbers lie."""
        bounded = node.kind in ("Mean", "Max", "Min")
        return Value(value.low, value.high) if bounded else Value()


def _reduced(node: Node, rank: int) -> set[int]:
    """The axes that go, the batch axis counted."""
    given = node.config.get("axis")
    axes = range(rank) if given is None else [given] if isinstance(given, int) else given
    gone = {axis % rank for axis in axes}
    if 0 in gone:
        raise SurgeryError(f"{node.kind} must leave the batch axis alone")
    return gone
