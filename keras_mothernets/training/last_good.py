"""Ends a job whose loss is no number any more, or explodes; and knows how it was before."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_mothernets.errors import RunError
from keras_mothernets.training.callbacks import EpochLogs
from keras_mothernets.training.job import Job

EXPLODED = 1000.0  # times the loss of the first epoch


class BadLoss(RunError):
    """The loss or the weights of a job are no numbers any more, or the loss has exploded."""


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the training when no later epoch can mend it; stands before callbacks that keep epochs.

    Looks at the mean loss of an epoch, which is NaN as soon as one step's is.

    Args:
        job: The job, for the message.
        logs: What Keras said of the epochs before.
        keeps: Whether to keep the network after each good epoch, in memory.
        explodes: Whether a loss that has grown a thousandfold is bad too.
    """

    def __init__(
        self, job: Job, logs: EpochLogs, *, keeps: bool = False, explodes: bool = False
    ) -> None:
        super().__init__()
        self.job = job
        self.logs = logs
        self.keeps = keeps
        self.explodes = explodes
        self._values: list[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Of a job that goes on, what was there is good."""
        if self.logs.epochs:
            self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Check the loss.

        Raises:
            BadLoss: It is NaN or infinite, or a thousand times what it was after the first epoch;
                or the network that is to be kept holds such values.
        """
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise self._error(f"the loss became {loss} in epoch {epoch + 1}", "a finite loss")
        first = self.logs.epochs[0].get("loss") if self.logs.epochs else None
        if self.explodes and first is not None and loss > EXPLODED * abs(first):
            raise self._error(
                f"the loss grew from {first:.4g} to {loss:.4g} by epoch {epoch + 1}",
                f"less than {EXPLODED:g} times the loss of the first epoch",
            )
        self._keep()

    def give_back(self) -> bool:
        """Make the network what it was after the last good epoch.

        Returns:
            Whether there was one.
        """
        if self._values is None:
            return False
        for variable, value in zip(self.model.variables, self._values, strict=True):
            variable.assign(value)
        return True

    def _keep(self) -> None:
        if self.keeps:
            check_weights(self.job, self.model)
            to_numpy = keras.ops.convert_to_numpy
            self._values = [to_numpy(variable) for variable in self.model.variables]

    def _error(self, what: str, expected: str) -> BadLoss:
        return BadLoss(
            f"Job `{self.job.name}`: {what}",
            expected=expected,
            fix="Lower the learning rate, or clip gradients with the optimizer's `clipnorm`",
        )


def check_weights(job: Job, model: keras.Model) -> None:
    """Weights must be numbers; some activations hide from the loss that they are not.

    Args:
        job: The job, for the message.
        model: Its network.

    Raises:
        BadLoss: They are not.
    """
    for weight in model.trainable_weights:
        if not bool(keras.ops.all(keras.ops.isfinite(weight.value))):
            raise BadLoss(
                f"Job `{job.name}`: the weights became NaN or infinite, at `{weight.path}`",
                expected="finite weights",
                fix="Look for NaN in the data, or lower the learning rate",
            )
