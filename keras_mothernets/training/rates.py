"""What a job changes about the optimizer that the user chose: its rate, and averaged weights."""

from __future__ import annotations

from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, reason_of


@keras.saving.register_keras_serializable("keras_mothernets")
class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule times a factor.

    Args:
        schedule: The schedule.
        factor: The factor.

    Example:
        >>> half = ScaledSchedule(keras.optimizers.schedules.CosineDecay(0.1, 100), 0.5)
        >>> round(float(half(0)), 3)
        0.05
    """

    def __init__(self, schedule: Any, factor: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        return self.factor * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """What makes it."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        """Make it again."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["factor"])


def with_rate(optimizer: keras.optimizers.Optimizer, factor: float) -> keras.optimizers.Optimizer:
    """Multiply the learning rate of a new optimizer, whether a number or a schedule.

    Args:
        optimizer: The optimizer; changed in place.
        factor: The factor.

    Returns:
        The same optimizer.

    Raises:
        MotherNetsError: Its schedule cannot be made anew.

    Example:
        >>> float(with_rate(keras.optimizers.SGD(0.1), 0.5).learning_rate)
        0.05000000074505806
    """
    if factor == 1.0:
        return optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    config = inner.get_config()["learning_rate"]
    if isinstance(config, dict):
        inner.learning_rate = ScaledSchedule(_made_anew(config), factor)
    else:
        inner.learning_rate = factor * float(config)
    return optimizer


def with_average(
    optimizer: keras.optimizers.Optimizer, momentum: float | None
) -> keras.optimizers.Optimizer:
    """Let a new optimizer end with a running average of the weights, as its `use_ema` does.

    Args:
        optimizer: The optimizer; changed in place.
        momentum: What the average keeps of itself in a step; `None` for no change.

    Returns:
        The same optimizer.

    Example:
        >>> with_average(keras.optimizers.SGD(0.1), 0.99).get_config()["ema_momentum"]
        0.99
    """
    if momentum is not None:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner.use_ema, inner.ema_momentum, inner.ema_overwrite_frequency = True, momentum, None
    return optimizer


def _made_anew(config: dict[str, Any]) -> keras.optimizers.schedules.LearningRateSchedule:
    try:
        made = keras.optimizers.schedules.deserialize(config)
        # Of a class that it does not know Keras may give back the name.
        if not isinstance(made, keras.optimizers.schedules.LearningRateSchedule):
            raise TypeError(f"its config gives a {type(made).__name__}")
    except (TypeError, ValueError) as error:
        raise MotherNetsError(
            f"The learning rate schedule `{config.get('class_name')}` cannot be multiplied",
            expected="a schedule that Keras can make anew from its config",
            received=reason_of(error),
            fix="Register its class (`keras.saving.register_keras_serializable`), or multiply the"
            " rate in your function of the job",
        ) from error
    return made
