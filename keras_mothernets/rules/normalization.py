"""Rule of BatchNormalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import Node
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Refusal,
    Role,
    Rule,
    Statistics,
    with_channels,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces

_NEIGHBOURS = np.arange(-8192, 8193, dtype="float64")


class BatchNormalizationRule(Rule):
    """BatchNormalization: every variable follows the axis that is normalised.

    Copies have equal batch statistics, so widening is exact in training mode
    too. A negated channel has a negated mean and offset, and the same scale.
    """

    flags = ("center", "scale")
    free = frozenset({"momentum", "synchronized", "epsilon", "renorm_momentum", "renorm_clipping"})
    carries_sign = True
    keeps_zero = True

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("gamma", "beta") if node.config["scale"] else ()

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if first.config.get("renorm") or second.config.get("renorm"):
            return Refusal("batch renormalisation has no rule")
        if first.config["epsilon"] != second.config["epsilon"]:
            if not (first.config["scale"] and second.config["scale"]):
                return Refusal("`epsilon` differs, which only a learned scale can make up for")
        return super().meet(first, second)

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        own = self.channel_axis(member)
        for position, axis in enumerate(inputs[0]):
            # Batch statistics run over the other axes, where copies must not weigh differently.
            if position != own:
                spaces.even_out(axis, "batch statistics are taken over it")
        return (inputs[0],)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        axis = outputs[0][self.channel_axis(member)]
        return {
            "gamma": (Copy(axis),),
            "beta": (Copy(axis, odd=True),),
            "moving_mean": (Copy(axis, odd=True),),
            "moving_variance": (Copy(axis),),
        }

    def channel_axis(self, node: Node) -> int:
        axis = node.config["axis"]
        return axis % (len(node.input_shapes[0]) + 1) - 1

    def absent(self, name: str) -> float:
        return 1.0 if name in {"gamma", "moving_variance"} else 0.0

    def rebase(
        self, mother: Node, member: Node, values: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        ours, theirs = mother.config["epsilon"], member.config["epsilon"]
        if ours == theirs or "gamma" not in values:
            return values
        variance = values["moving_variance"].astype("float64")
        ratio = np.sqrt((variance + theirs) / (variance + ours))
        return {**values, "gamma": values["gamma"] * ratio}

    def cannot_insert(self, node: Node) -> Refusal | None:
        return Refusal("batch renormalisation has no rule") if node.config.get("renorm") else None

    def identity_node(self, node: Node, channels: int) -> Node:
        shape = with_channels(node.input_shapes[0], self.channel_axis(node), channels)
        virtual = with_config(node, {"scale": True, "center": True})
        return replace(virtual, input_shapes=(shape,), output_shapes=(shape,))

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        epsilon, config = node.config["epsilon"], node.config
        known = statistics or Statistics(np.zeros(channels), np.ones(channels))
        mean = known.mean if config["center"] else np.zeros(channels)
        # Without a scale the variance itself must make the divisor one.
        scale, variance = np.ones(channels), np.full(channels, 1.0 - epsilon)
        wide = keras.dtype_policies.get(config.get("dtype")).variable_dtype == "float64"
        if config["scale"] and wide:
            variance = np.maximum(known.variance, 0.0)
            scale = np.sqrt(variance + epsilon)
        elif config["scale"]:
            scale, variance = _exact_scale(np.maximum(known.variance, 0.0), epsilon)
        mean = mean if wide else mean.astype("float32").astype("float64")
        return {"gamma": scale, "beta": mean, "moving_mean": mean, "moving_variance": variance}


def _exact_scale(variance: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Numbers g and v near `variance` with g = sqrt(v + epsilon), both exact in float32.

    A rounded g is off by up to 6e-8, for which the layer is no identity in
    float64. Among 16 thousand neighbours of g, all within 0.1 % of it, there is
    one for which g * g - epsilon lies within about 3e-12 of a float32 number.

    Args:
        variance: Wanted variances, shape `(channels,)`.
        epsilon: The layer's epsilon.

    Returns:
        g and v, each of shape `(channels,)`, as float64 that float32 holds exactly.
    """
    found = [_exact_neighbour(value, epsilon) for value in variance]
    return np.array([g for g, _ in found]), np.array([v for _, v in found])


def _exact_neighbour(variance: float, epsilon: float) -> tuple[float, float]:
    nearest = np.sqrt(variance + epsilon).astype("float32")
    scale = float(nearest) + float(np.spacing(nearest)) * _NEIGHBOURS
    wanted = scale * scale - epsilon
    rounded = wanted.astype("float32").astype("float64")
    # What lies beside zero would be a variance below it.
    best = np.argmin(np.where(rounded >= 0.0, np.abs(rounded - wanted) / (scale * scale), np.inf))
    return float(scale[best]), float(rounded[best])
