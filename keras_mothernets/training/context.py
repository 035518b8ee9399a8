"""What the jobs of a run share: networks, data, settings, and where results go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_mothernets.member import Member
from keras_mothernets.training.callbacks import callbacks_of
from keras_mothernets.training.data import TrainingData
from keras_mothernets.training.job import Job
from keras_mothernets.training.progress import Progress, Silent
from keras_mothernets.training.settings import CompileSettings
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
    """

    networks: Mapping[str, keras.Model]
    data: TrainingData
    settings: CompileSettings
    members: Mapping[str, Member] = field(default_factory=dict)
    callbacks: Any = None
    store: Store = field(default_factory=MemoryStore)
    progress: Progress = field(default_factory=Silent)

    def optimizer(self, job: Job) -> keras.optimizers.Optimizer:
        """A new optimizer for a job: the member's own choice, else the common one."""
        member = self.members.get(job.network)
        return self.settings.make_optimizer(job, member.optimizer if member else None)

    def callbacks_of(self, job: Job) -> list[keras.callbacks.Callback]:
        """New callbacks for a job: those of `fit`, then the member's own."""
        member = self.members.get(job.network)
        return callbacks_of(job, self.callbacks, member.callbacks if member else None)

    def trained(self, job: Job) -> keras.Model:
        """The network of a finished job, compiled with the settings of the run."""
        model = self.store.load(job, self.networks[job.network])
        if not model.compiled:
            self.settings.compile(model, self.optimizer(job))
        return model
