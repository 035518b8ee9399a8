"""Callbacks: the user's, copied for every job, and the few that every job has."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.job import Job

WRITES_ONE_FILE = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.BackupAndRestore,
)


class EpochOrder(keras.callbacks.Callback):
    """Tells the data which epoch begins, so that they come in that epoch's order.

    Args:
        batches: What is trained on; anything without `begin_epoch` is left alone.
    """

    def __init__(self, batches: Any) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw the order of the epoch."""
        if hasattr(self.batches, "begin_epoch"):
            self.batches.begin_epoch(epoch)


class EpochLogs(keras.callbacks.Callback):
    """Keeps what Keras says at the end of each epoch.

    Args:
        epochs: What it said of the epochs that an earlier process has trained.
    """

    def __init__(self, epochs: Sequence[dict[str, float]] = ()) -> None:
        super().__init__()
        self.epochs = list(epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep it."""
        self.epochs.append({name: float(value) for name, value in (logs or {}).items()})

    def until(self, epoch: int | None) -> dict[str, float]:
        """The latest value of each metric up to an epoch, counted from 0; all epochs if `None`."""
        epochs = self.epochs if epoch is None else self.epochs[: epoch + 1]
        return {name: value for logs in epochs for name, value in logs.items()}

    def history(self) -> dict[str, list[float]]:
        """As in `keras.callbacks.History`: metric to a list with one value per epoch."""
        names = dict.fromkeys(name for logs in self.epochs for name in logs)
        return {name: [logs[name] for logs in self.epochs if name in logs] for name in names}


def callbacks_of(job: Job, *choices: Any) -> list[keras.callbacks.Callback]:
    """New callbacks for one job.

    Args:
        job: The job.
        *choices: Each `None`, a callback, a list of callbacks, or a function of the job that
            returns one or a list. Callbacks are copied, so that the patience of one
            job's `EarlyStopping` is not the next one's; a function's result is used as it is.

    Raises:
        MotherNetsError: Something is no callback, cannot be copied, or the function fails.
    """
    made: list[keras.callbacks.Callback] = []
    for choice in choices:
        if is_callback_function(choice):
            made += _listed(_call(choice, job))
        else:
            made += [_copied(entry) for entry in _listed(choice)]
    return made


def is_callback_function(choice: Any) -> bool:
    """Whether a `callbacks` argument is a function of the job."""
    return callable(choice) and not isinstance(choice, (keras.callbacks.Callback, type))


def check_callbacks(choice: Any, jobs: Sequence[Job]) -> None:
    """Try the user's callbacks before anything trains.

    Raises:
        MotherNetsError: See `callbacks_of`; or several jobs would write over one file.
    """
    if not is_callback_function(choice) and len(jobs) > 1:
        for callback in _listed(choice):
            if isinstance(callback, WRITES_ONE_FILE):
                name = type(callback).__name__
                raise MotherNetsError(
                    f"`callbacks`: {len(jobs)} jobs would write over the one file of `{name}`",
                    fix=f"Give a function of the job: `lambda job: [{name}(... job.name ...)]`",
                )
    for job in jobs:
        callbacks_of(job, choice)


def _call(function: Any, job: Job) -> Any:
    try:
        return function(job)
    except Exception as error:
        raise MotherNetsError(
            f"`callbacks` as a function of the job fails for job `{job.name}`",
            received=f"{type(error).__name__}: {error}",
        ) from error


def _listed(choice: Any) -> list[keras.callbacks.Callback]:
    callbacks = keras.tree.flatten(choice) if choice is not None else []
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise MotherNetsError(
                "`callbacks` must be Keras callbacks, or a function of the job that returns them",
                received=f"a {type(callback).__name__}",
            )
    return callbacks


def _copied(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    model = getattr(callback, "model", None)  # set if it was used before; not to be copied
    try:
        return copy.deepcopy(callback, {id(model): None} if model is not None else {})
    except Exception as error:
        raise MotherNetsError(
            f"`callbacks`: `{type(callback).__name__}` cannot be copied for each job",
            received=f"{type(error).__name__}: {error}",
            fix="Give a function of the job: `lambda job: [MyCallback()]`",
        ) from error
