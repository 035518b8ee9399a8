"""Rules of the raw operations in which Keras carries masks of padded sequences.

`Embedding(mask_zero=True)` and `Masking` leave nodes of their own in a network:
which tokens are not zero, and what becomes of that where sequences are joined.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.graph import Node
from keras_mothernets.rules.merging import ElementwiseMergeRule
from keras_mothernets.rules.rule import Axes, Rule, Value
from keras_mothernets.rules.spaces import Spaces


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
