"""One display over all jobs of a run: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import keras
import rich.progress
from rich.table import Column

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.clock import Clock
from keras_mothernets.training.job import Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.text import duration_text

_LONGEST_NAME = 16


class Progress(Protocol):
    """Is told what happens; shows it or not. Used as a context manager around a run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def begin_job(self, job: Job) -> None:
        """A job begins."""

    def resume_job(self, job: Job, epochs: int) -> None:
        """The job that has begun goes on after so many epochs, which were done earlier."""

    def end_step(self, job: Job, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        """A step has ended; epoch and step count from 0."""

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """An epoch has ended, counted from 0."""

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """A job has ended, or was found finished."""

    def fail_job(self, job: Job, why: str) -> None:
        """A job has failed, and the others go on without it."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def begin_job(self, job: Job) -> None:
        """Nothing."""

    def resume_job(self, job: Job, epochs: int) -> None:
        """Nothing."""

    def end_step(self, job: Job, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        """Nothing."""

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """Nothing."""

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """Nothing."""

    def fail_job(self, job: Job, why: str) -> None:
        """Nothing."""


class Lines(Silent):
    """One line per epoch, for log files and notebooks.

    Args:
        plan: The plan that is run.
    """

    def __init__(self, plan: Plan) -> None:
        self._clock = Clock(plan)
        self._numbers = {job.name: number for number, job in enumerate(plan.order(), start=1)}

    def begin_job(self, job: Job) -> None:
        """Say which job begins."""
        self._clock.begin(job)
        print(f"{self._title(job)} {job.role}, {job.parameters:,} parameters, {job.start}")

    def resume_job(self, job: Job, epochs: int) -> None:
        """Say where it goes on."""
        self._clock.skip(job, epochs)
        print(f"{self._title(job)} goes on after epoch {epochs}/{job.epochs}")

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """One line."""
        self._clock.advance(job)
        left = duration_text(self._clock.seconds_left())
        print(
            f"{self._title(job)} epoch {epoch + 1}/{job.epochs} {metrics_text(logs)} ({left} left)"
        )
        sys.stdout.flush()

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """Say so if it was not trained now."""
        self._clock.finish(record.job, was_finished)
        if was_finished:
            print(f"{self._title(record.job)} is finished already")

    def fail_job(self, job: Job, why: str) -> None:
        """Say why."""
        self._clock.finish(job, True)
        print(f"{self._title(job)} {why}")

    def _title(self, job: Job) -> str:
        return f"[{self._numbers[job.name]}/{len(self._numbers)}] {job.name}:"


class Live(Silent):
    """A bar for all jobs, and one for the epochs of each job under way, with its metrics.

    Args:
        plan: The plan that is run.
    """

    def __init__(self, plan: Plan) -> None:
        self._clock = Clock(plan)
        # On a narrow terminal the note loses its end, and names and bars stay.
        widest = min(_LONGEST_NAME, max(len(name) for name in ("all jobs", *map(_name, plan))))
        name, note = Column(width=widest, no_wrap=True), Column(ratio=1, no_wrap=True)
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", table_column=name),
            rich.progress.BarColumn(bar_width=12),
            rich.progress.TextColumn("{task.fields[note]}", table_column=note),
            expand=True,
        )
        self._plan = plan
        self._all = self._bars.add_task("all jobs", total=self._clock.total, note="")
        self._ones: dict[str, rich.progress.TaskID] = {}
        self._done = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begin_job(self, job: Job) -> None:
        """A bar for it; one that begins again has its bar already."""
        self._clock.begin(job)
        total = job.trained_steps or job.epochs
        if job.name in self._ones:
            self._bars.reset(self._ones[job.name], total=total, note="")
        else:
            self._ones[job.name] = self._bars.add_task(job.name, total=total, note="")
        self._show()

    def resume_job(self, job: Job, epochs: int) -> None:
        """Move both bars to where it goes on."""
        self._clock.skip(job, epochs)
        self._show_epochs(job, epochs, "")

    def end_step(self, job: Job, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        """Move its bar."""
        done = epoch * job.steps_per_epoch + step + 1 if job.steps_per_epoch else epoch
        note = f"epoch {epoch + 1}/{job.epochs} {metrics_text(logs)}"
        self._bars.update(self._ones[job.name], completed=done, note=note)

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """Move both bars."""
        self._clock.advance(job)
        self._show_epochs(job, epoch + 1, metrics_text(logs))

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """Leave one line behind in place of its bar."""
        self._done += 1
        self._clock.finish(record.job, was_finished)
        if record.job.name in self._ones:
            self._bars.remove_task(self._ones.pop(record.job.name))
        how = "finished already" if was_finished else metrics_text(record.row.metrics)
        self._bars.console.print(f"{record.job.name} ({record.job.role}): {how}", highlight=False)
        self._show()

    def fail_job(self, job: Job, why: str) -> None:
        """Leave one line behind in place of its bar."""
        self._clock.finish(job, True)
        if job.name in self._ones:
            self._bars.remove_task(self._ones.pop(job.name))
        self._bars.console.print(why, highlight=False)
        self._show()

    def _show_epochs(self, job: Job, epochs: int, text: str) -> None:
        completed = epochs * (job.steps_per_epoch or 1)
        note = f"epoch {epochs}/{job.epochs} {text}"
        self._bars.update(self._ones[job.name], completed=completed, note=note)
        self._show()

    def _show(self) -> None:
        left = duration_text(self._clock.seconds_left())
        note = f"{self._done}/{len(self._plan)} done, {left} left"
        self._bars.update(self._all, completed=self._clock.done, note=note)


def _name(job: Job) -> str:
    return job.name


class ReportSteps(keras.callbacks.Callback):
    """Passes on to the display what Keras reports.

    Args:
        progress: The display.
        job: The job that is trained.
    """

    def __init__(self, progress: Progress, job: Job) -> None:
        super().__init__()
        self.progress = progress
        self.job = job
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Pass on."""
        self.progress.end_step(self.job, self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Pass on."""
        self.progress.end_epoch(self.job, epoch, logs or {})


def make_progress(verbose: str | int, plan: Plan) -> Progress:
    """The display for Keras' `verbose`.

    Args:
        verbose: 0 is silent; 1 or "auto" is live on a terminal and lines elsewhere; 2 is lines.
        plan: The plan that is run.

    Raises:
        MotherNetsError: It is none of these.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise MotherNetsError('`verbose` must be "auto", 0, 1 or 2', received=repr(verbose))
    if verbose == 0:
        return Silent()
    return Live(plan) if verbose != 2 and sys.stdout.isatty() else Lines(plan)


def metrics_text(logs: Mapping[str, float]) -> str:
    """Metrics in one line.

    Example:
        >>> metrics_text({"loss": 0.25, "accuracy": 1})
        'loss 0.2500 accuracy 1.0000'
    """
    return " ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
