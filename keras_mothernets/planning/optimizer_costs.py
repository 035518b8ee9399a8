"""What an optimizer takes in each step: so much for each variable and for each parameter."""

from __future__ import annotations

from collections.abc import Mapping
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


def measure_optimizer(optimizer: keras.optimizers.Optimizer) -> tuple[float, float, int]:
    """Let a copy of an optimizer update variables.

    Args:
        optimizer: The optimizer; it is only looked at.

    Returns:
        Seconds for each variable, seconds for each parameter in it, and how many numbers the
        optimizer keeps for each parameter.
    """
    small, _ = _update(optimizer, [8] * FEW)
    large, slots = _update(optimizer, [MANY])
    per_variable = small / FEW
    return per_variable, max(0.0, large - per_variable) / MANY, slots


def _update(optimizer: keras.optimizers.Optimizer, sizes: list[int]) -> tuple[float, int]:
    """Seconds of an update, and what the optimizer keeps for the first variable."""
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

    seconds = call_seconds(lambda: update(gradients).numpy())
    slots = sum(tuple(one.shape) == (sizes[0],) for one in copied.variables)
    return seconds, slots // len(sizes)
