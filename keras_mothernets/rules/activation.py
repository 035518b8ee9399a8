"""Rules of activations: the element-wise ones, softmax over channels, and PReLU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mothernets.graph import Node
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Keep,
    Refusal,
    Role,
    Rule,
    Statistics,
    Value,
)
from keras_mothernets.rules.spaces import Spaces


class ActivationRule(Rule):
    """Any activation function of Keras, in whichever form it stands in the model."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if first.activation == second.activation:
            return {}
        return Refusal(f"`{first.kind}` is not `{second.kind}`")

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        activation = member.activation
        assert activation is not None
        for place in activation.mixed_axes:
            spaces.pin(inputs[0][place], f"{activation.name} mixes what stands along it")
        return (inputs[0],)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {}

    def value(self, node: Node, value: Value) -> Value:
        activation = node.activation
        assert activation is not None
        if activation.is_identity_on(value.low, value.high):
            return value
        low, high = activation.image
        return Value(low, high, activation if activation.is_idempotent else None)

    def changes(self, node: Node, value: Value) -> bool:
        """Whether the function changes any of the numbers that `value` allows."""
        activation = node.activation
        assert activation is not None
        same = activation.is_identity_on(value.low, value.high)
        return not same and value.fixed_by != activation

    def cannot_insert(self, node: Node) -> Refusal | None:
        return Refusal(f"{node.kind} changes what flows there")


class PReLURule(Rule):
    """PReLU: slopes follow every axis that is not shared."""

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        shared = {axis - 1 for axis in member.config.get("shared_axes") or ()}
        roles = (
            Keep() if position in shared else Copy(axis) for position, axis in enumerate(inputs[0])
        )
        return {"alpha": tuple(roles)}

    def cannot_insert(self, node: Node) -> Refusal | None:
        return None

    def identity_node(self, node: Node, channels: int) -> Node:
        return node

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        shape = [*node.layer.variables["alpha"]]
        shared = {axis - 1 for axis in node.config.get("shared_axes") or ()}
        last = len(shape) - 1
        if last not in shared:
            shape[last] = channels
        return {"alpha": np.ones(shape)}
