"""A checkpoint: the whole state of a job after an epoch, so that the next one can follow."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import finish, live_layers
from keras_mothernets.training.files import replace_atomically
from keras_mothernets.training.job import Job
from keras_mothernets.training.plain_values import read_plain, write_plain

CHECKPOINT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a job after an epoch.

    Args:
        initial_weights: Fingerprint of the weights that the job began with, as in `Job`.
        epochs: What Keras said at the end of each epoch that is finished.
        stopped: Whether a callback has asked to train no further.
        model: Values of all variables of the network, states of random layers among them.
        optimizer: Values of all variables of the optimizer.
        callbacks: What the callbacks know, see `CallbackStates`.
        deviation: As in `LedgerRow`, and so are all that follow; of the job so far.
        hatch_seconds: Seconds of hatching.
        wall_seconds: Wall clock seconds.
        cpu_seconds: Processor seconds.
        peak_memory: Bytes held at once; `None` in checkpoints of versions that did not look.
    """

    initial_weights: str
    epochs: list[dict[str, float]]
    stopped: bool
    model: list[np.ndarray]
    optimizer: list[np.ndarray]
    callbacks: list[Any]
    deviation: float | None
    hatch_seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_memory: int | None = None

    def check_fits(self, model: keras.Model) -> None:
        """The variables must be those of a network and its optimizer.

        Args:
            model: A compiled network whose optimizer is built.

        Raises:
            ValueError: They are others.
        """
        for what, variables, values in self._pairs(model):
            here = [(tuple(each.shape), str(each.dtype)) for each in variables]
            if here != [(each.shape, str(each.dtype)) for each in values]:
                raise ValueError(f"the {what} has other variables")

    def put_into(self, model: keras.Model) -> None:
        """Give a network and its optimizer the values that are kept here.

        Args:
            model: A network that they fit.
        """
        for _, variables, values in self._pairs(model):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        for layer in live_layers(model).values():
            finish(layer)

    def _pairs(
        self, model: keras.Model
    ) -> Iterable[tuple[str, list[keras.Variable], list[np.ndarray]]]:
        yield "network", model.variables, self.model
        yield "optimizer", model.optimizer.variables, self.optimizer


class CheckpointFile:
    """The one file in which the checkpoint of a job is kept, and replaced epoch by epoch.

    Args:
        path: The file; its folder is made when it is needed, and is for this file alone.
        job: The job.
        fingerprint: What `Plan.fingerprint_of` says of the job.
    """

    def __init__(self, path: Path, job: Job, fingerprint: str) -> None:
        self.path = path
        self.job = job
        self.fingerprint = fingerprint

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint as a whole.

        Raises:
            OSError: It cannot be written; then the one before is still there.
        """
        whose = {"version": CHECKPOINT_VERSION, "job": self.fingerprint}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(self.path, lambda path: write_plain(path, whose | vars(checkpoint)))

    def read(self) -> Checkpoint | None:
        """The checkpoint; `None` if there is none.

        One that cannot be used is none too, with a warning.
        """
        if not self.path.exists():
            return None
        try:
            self._check(read_plain(self.path, only=("version", "job")))
            values = read_plain(self.path)
            values.setdefault("peak_memory", None)  # files of before it was kept
            return Checkpoint(**{name: values[name] for name in Checkpoint.__dataclass_fields__})
        except Exception as error:  # where a file is damaged decides about the kind
            self.warn_unusable(error)
            return None

    def told(self, *names: str) -> dict[str, Any]:
        """Some of what the checkpoint tells; its arrays are not touched.

        Args:
            names: Fields of `Checkpoint` without arrays.

        Returns:
            Values by name; empty if there is no checkpoint of this job that can be read.
        """
        try:
            values = read_plain(self.path, only=("version", "job", *names))
            self._check(values)
            return {name: values[name] for name in names}
        except Exception:  # there is none, or `read` will tell what is the matter
            return {}

    def initial_weights(self) -> str | None:
        """The fingerprint of the weights that the checkpoint goes back to, if there is one."""
        told = self.told("initial_weights")
        return str(told["initial_weights"]) if told else None

    def warn_unusable(self, error: Exception) -> None:
        """Say why a checkpoint is left alone."""
        warnings.warn(
            f"Job `{self.job.name}` begins again from its beginning, since its checkpoint "
            f"`{self.path}` cannot be used: {error}",
            stacklevel=2,
        )

    def remove(self) -> None:
        """Remove the checkpoint with its folder, if it is there."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _check(self, values: dict[str, Any]) -> None:
        if values["version"] > CHECKPOINT_VERSION:
            raise ValueError(f"a newer keras_mothernets wrote it (version {values['version']})")
        if values["job"] != self.fingerprint:
            raise ValueError("it is one of another plan")
