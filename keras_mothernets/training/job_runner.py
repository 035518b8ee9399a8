"""Trains single jobs of a plan in a process that others have started, and tells them of it."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_mothernets.training.context import RunContext
from keras_mothernets.training.failures import train_or_fail
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.progress import Progress, Silent
from keras_mothernets.training.record import JobRecord

SECONDS_BETWEEN_STEPS = 0.5  # that are told


@dataclass(frozen=True)
class Told:
    """What is said of a job, from process to process.

    Args:
        event: "begun", "resumed", "step", "epoch", "finished" or "failed".
        job: Name of the job.
        values: Of a resumed job the number of its epochs; of a step its epoch, number and logs; of
            an epoch its number and logs; of a finished job its record; of a failed one the error
            and where it came from, as text.
    """

    event: str
    job: str
    values: tuple[Any, ...] = ()

    def show(self, job: Job, progress: Progress) -> None:
        """Show what was said of a job that goes on.

        Args:
            job: The job.
            progress: The display.
        """
        if self.event == "begun":
            progress.begin_job(job)
        elif self.event == "resumed":
            progress.resume_job(job, *self.values)
        elif self.event == "step":
            progress.end_step(job, *self.values)
        elif self.event == "epoch":
            progress.end_epoch(job, *self.values)


class Teller(Silent):
    """A display that passes on what happens in a job; steps not more often than twice a second.

    Args:
        tell: Takes what is said.
    """

    def __init__(self, tell: Callable[[Told], object]) -> None:
        self._tell = tell
        self._last = 0.0

    def begin_job(self, job: Job) -> None:
        """Pass on."""
        self._tell(Told("begun", job.name))

    def resume_job(self, job: Job, epochs: int) -> None:
        """Pass on."""
        self._tell(Told("resumed", job.name, (epochs,)))

    def end_step(self, job: Job, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        """Pass on, if the last one is long ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_STEPS:
            self._tell(Told("step", job.name, (epoch, step, _plain(logs))))
            self._last = time.monotonic()

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """Pass on."""
        self._tell(Told("epoch", job.name, (epoch, _plain(logs))))


def _plain(logs: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


class WorkerStore(JobFiles):
    """The folders of a run as a store, for one of several processes that write there.

    Whoever has started them holds the lock and the ledger.
    """

    keeps_networks_in_memory = False

    @property
    def files(self) -> JobFiles:
        """The folders themselves."""
        return self

    def open(self, plan: Plan) -> None:
        """Was done by the process that holds the lock."""

    def close(self) -> None:
        """Likewise."""

    def note(self, record: JobRecord) -> None:
        """Likewise."""


class JobRunner:
    """Trains the jobs of a plan that it is asked for, with all that is kept in one folder.

    Args:
        plan: The plan.
        context: What its jobs share; its store and display do not count.
        store: The folders of the run.
        tell: Takes what is said of the job meanwhile.
    """

    def __init__(
        self, plan: Plan, context: RunContext, store: WorkerStore, tell: Callable[[Told], object]
    ) -> None:
        self._plan = plan
        self._context = replace(context, store=store, progress=Teller(tell))
        self._store = store

    def run(self, name: str) -> Told:
        """Train a job whose parents are finished, and keep it.

        Args:
            name: Name of the job.

        Returns:
            That it is finished, or why it failed.
        """
        job = self._plan[name]
        self._context.progress.begin_job(job)
        try:
            mother = self._mother(name)
            record, model = train_or_fail(job, self._context, mother)
            self._store.save(record, model)
            del model, mother
        except Exception as error:  # it is for the process that asked to judge
            return Told("failed", name, (error, traceback.format_exc()))
        finally:
            gc.collect()  # models are cyclic; the next one needs the memory now
        return Told("finished", name, (record,))

    def _mother(self, name: str) -> keras.Model | None:
        """The network of the first job that this one waits for, as `Local` gives it."""
        for parent in self._plan[name].waits_for:
            job = self._plan[parent]
            return self._store.load(job, self._context.networks[job.network])
        return None
