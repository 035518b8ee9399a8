"""Keeps the state of a job after its epochs, so that a kill loses no more than the last one."""

from __future__ import annotations

import time
import warnings
from typing import Any

import keras

from keras_mothernets.training.callback_states import CallbackStates, CannotKeep
from keras_mothernets.training.callbacks import EpochLogs
from keras_mothernets.training.checkpoint import Checkpoint, CheckpointFile
from keras_mothernets.training.meter import Meter
from keras_mothernets.training.start_job import Started

SHARE = 0.1  # of the time of a job that its checkpoints may take


class SaveEpochs(keras.callbacks.Callback):
    """Writes a checkpoint after an epoch; it stands behind all callbacks that may change the job.

    After every epoch, unless writing takes more than a tenth of the time: where epochs are
    shorter than ten times a write, some are passed over until so much time has gone by since
    the last one.

    Args:
        file: Where the checkpoint goes.
        started: What the job began or goes on with.
        states: The user's callbacks.
        logs: What Keras said of the epochs so far.
        meter: What the job has cost so far.
    """

    now = staticmethod(time.perf_counter)

    def __init__(
        self,
        file: CheckpointFile,
        started: Started,
        states: CallbackStates,
        logs: EpochLogs,
        meter: Meter,
    ) -> None:
        super().__init__()
        self.file = file
        self.started = started
        self.states = states
        self.logs = logs
        self.meter = meter
        self._optimizer = started.model.optimizer
        self._saved_at = self._cost = 0.0
        self._has_warned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look at the other callbacks, and start counting."""
        self.states.begin()
        self._saved_at = self.now()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the checkpoint if it is time.

        What cannot be kept or written is told once, and the training goes on: the checkpoint
        before is still there, and right.
        """
        begin = self.now()
        if begin - self._saved_at < self._cost / SHARE:
            return
        try:
            self.file.write(self._checkpoint())
        except CannotKeep as reason:
            self._warn(str(reason))
        except OSError as error:
            self._warn(f"`{self.file.path}` cannot be written ({error.strerror})")
        self._saved_at = self.now()
        self._cost = self._saved_at - begin

    def _checkpoint(self) -> Checkpoint:
        if self.model.optimizer is not self._optimizer:
            raise CannotKeep("a callback has compiled the network anew")
        to_numpy = keras.ops.convert_to_numpy
        return Checkpoint(
            initial_weights=self.file.job.initial_weights,
            epochs=self.logs.epochs,
            stopped=bool(self.model.stop_training),
            model=[to_numpy(variable) for variable in self.model.variables],
            optimizer=[to_numpy(variable) for variable in self._optimizer.variables],
            callbacks=self.states.take(),
            deviation=self.started.deviation,
            hatch_seconds=self.started.hatch_seconds,
            **self.meter.costs,
        )

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            warnings.warn(
                f"The epochs of job `{self.file.job.name}` cannot be kept, since {reason}; "
                "if it is killed, they are trained again",
                stacklevel=2,
            )
        self._has_warned = True
