"""What an optimizer takes: so much for each variable and for each parameter."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.planning.stopwatch import call_seconds

FEW, MANY = 40, 2_000_000


def kind_of(optimizer: keras.optimizers.Optimizer) -> str:
    """What decides how much an optimizer works: its class, and what it does besides.

    Args:
        optimizer: The optimizer.

    Example:
        >>> kind_of(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-4))
        'SGD momentum nesterov weight_decay'
    """
    config: Mapping[str, Any] = optimizer.get_config()
    extras = (
        "momentum nesterov weight_decay clipnorm clipvalue global_clipnorm use_ema amsgrad centered"
        " gradient_accumulation_steps"
    ).split()
    return " ".join([type(optimizer).__name__, *(name for name in extras if config.get(name))])


@dataclass(frozen=True)
class OptimizerCosts:
    """What an optimizer takes.

    Args:
        variable: Seconds of an update for each variable.
        parameter: Seconds of an update for each parameter.
        traced: Seconds, once in a job, to trace the update of each variable.
        kept: Numbers that it keeps for each parameter.
    """

    variable: float
    parameter: float
    traced: float
    kept: int

    def update(self, variables: int, parameters: int) -> float:
        """Seconds of an update of a network.

        Args:
            variables: Number of its variables.
            parameters: Number of its parameters.
        """
        return self.variable * variables + self.parameter * parameters


def measure_optimizer(optimizer: keras.optimizers.Optimizer) -> OptimizerCosts:
    """Let copies of an optimizer update variables.

    Args:
        optimizer: The optimizer; it is only looked at.
    """
    one, traced_one, _ = _update(optimizer, [8])
    few, traced_few, _ = _update(optimizer, [8] * FEW)
    large, _, kept = _update(optimizer, [MANY])
    return OptimizerCosts(
        variable=max(0.0, few - one) / (FEW - 1),
        parameter=max(0.0, large - one) / MANY,
        traced=max(0.0, traced_few - traced_one) / (FEW - 1),
        kept=kept,
    )


def _update(optimizer: keras.optimizers.Optimizer, sizes: list[int]) -> tuple[float, float, int]:
    """Seconds of an update and of its tracing, and what is kept for each parameter."""
    copied = type(optimizer).from_config(optimizer.get_config())
    variables = [
        keras.Variable(tf.random.normal([size]), name=f"kernel_{number}")
        for number, size in enumerate(sizes)
    ]
    copied.build(variables)
    gradients = [tf.random.normal([size]) for size in sizes]

    @tf.function
    def update(given: Any) -> Any:
        copied.apply(given)
        return variables[0].value[:1]

    begin = time.perf_counter()
    update(gradients)
    traced = time.perf_counter() - begin
    seconds = call_seconds(lambda: update(gradients).numpy())
    kept = sum(tuple(one.shape) == (sizes[0],) for one in copied.variables)
    return seconds, traced, kept // len(sizes)
