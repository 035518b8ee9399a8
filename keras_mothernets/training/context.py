"""What the jobs of a run share: networks, data, settings, and where results go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.errors import naming
from keras_mothernets.member import Member
from keras_mothernets.training.callbacks import callbacks_of
from keras_mothernets.training.data import TrainingData
from keras_mothernets.training.describe import describe, describe_callbacks
from keras_mothernets.training.distribute import scope_of
from keras_mothernets.training.fingerprint import weights_fingerprint
from keras_mothernets.training.interrupt import Interrupt
from keras_mothernets.training.job import Job, Scratch
from keras_mothernets.training.progress import Progress, Silent
from keras_mothernets.training.settings import CompileSettings, is_job_function
from keras_mothernets.training.store import MemoryStore, Store


@dataclass(frozen=True, eq=False)
class RunContext:
    """Everything that an executor needs besides the plan.

    Args:
        networks: Built models by the key that jobs use; never modified.
        data: The data of all jobs.
        settings: The settings of all jobs.
        members: Settings of single networks that differ, by the same key.
        callbacks: The `callbacks` argument of `fit`.
        store: Where finished jobs are kept.
        progress: The display.
        taught: What teachers say to all examples, by teacher; filled by the jobs that need it.
        on_failure: What happens when a job fails: "stop", "skip" or "retry", see `failures.py`.
        keeps_last_good: Whether a job whose loss goes bad ends with its last good epoch.
        failed: Why jobs were left out, by name; filled by the executor.
        interrupt: Knows whether the user wants to stop.
        distribute: The devices that one job trains on; `None` for one, TensorFlow's first.
    """

    networks: Mapping[str, keras.Model]
    data: TrainingData
    settings: CompileSettings
    members: Mapping[str, Member] = field(default_factory=dict)
    callbacks: Any = None
    store: Store = field(default_factory=MemoryStore)
    progress: Progress = field(default_factory=Silent)
    taught: dict[str, np.ndarray] = field(default_factory=dict)
    on_failure: str = "stop"
    keeps_last_good: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    interrupt: Interrupt = field(default_factory=Interrupt)
    distribute: tf.distribute.Strategy | None = None

    def described(self, job: Job) -> Job:
        """The job with what is its own in words: optimizer, callbacks, initial weights.

        Raises:
            MotherNetsError: A function of the job fails, or returns something else.
        """
        own = self._own(job).optimizer
        optimizer = callbacks = ""
        with naming(f"{job.role.capitalize()} `{job.name}`"):
            if own is not None or is_job_function(self.settings.optimizer):
                optimizer = describe(self.optimizer(job))
            if job.epochs:
                callbacks = describe_callbacks(self.callbacks_of(job))
        is_scratch = isinstance(job.start, Scratch)
        weights = weights_fingerprint(self.networks[job.network]) if is_scratch else ""
        return replace(job, optimizer=optimizer, callbacks=callbacks, initial_weights=weights)

    def optimizer(self, job: Job, in_scope: bool = False) -> keras.optimizers.Optimizer:
        """A new optimizer for a job: the member's own choice, else the common one.

        Args:
            job: The job.
            in_scope: Whether it is to train, and is made in the scope of `distribute`.
        """
        with scope_of(self.distribute if in_scope else None):
            return self.settings.make_optimizer(job, self._own(job).optimizer)

    def compile_to_train(self, job: Job, model: keras.Model) -> None:
        """Compile a network of a job, in the scope of `distribute`.

        Args:
            job: The job.
            model: A network that was made in that scope.
        """
        with scope_of(self.distribute):
            self.settings.compile(model, self.optimizer(job, in_scope=True))

    def callbacks_of(self, job: Job) -> list[keras.callbacks.Callback]:
        """New callbacks for a job: those of `fit`, then the member's own."""
        return callbacks_of(job, self.callbacks, self._own(job).callbacks)

    def _own(self, job: Job) -> Member:
        """The settings of the job's network that are its own."""
        return self.members.get(job.network) or Member(self.networks[job.network])

    def trained(self, job: Job) -> keras.Model:
        """The network of a finished job, compiled with the settings of the run."""
        model = self.store.load(job, self.networks[job.network])
        if not model.compiled:
            self.settings.compile(model, self.optimizer(job))
        return model
