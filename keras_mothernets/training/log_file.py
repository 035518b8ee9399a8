"""The log of a run: a line with date and time for all that happens, kept in its directory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TextIO

from keras_mothernets.training.forecast import Forecast
from keras_mothernets.training.job import Job
from keras_mothernets.training.progress import Progress, Silent, metrics_text
from keras_mothernets.training.record import JobRecord


class LogFile(Silent):
    """Adds lines to a file; a disk that is full keeps nobody from training.

    Args:
        path: The file; its folder is there when the run begins.
        forecast: What jobs are predicted to take, if that is known.
    """

    def __init__(self, path: Path, forecast: Forecast | None = None) -> None:
        self.path = path
        self.forecast = forecast
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._file = self.path.open("a", encoding="utf-8")
        self._add("the run begins, or goes on")
        return self

    def __exit__(self, *error: object) -> None:
        kind, value, _ = error
        name = getattr(kind, "__name__", "")
        self._add("the run has ended" if kind is None else f"the run has stopped: {name} {value}")
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None

    def begin_job(self, job: Job) -> None:
        """A line."""
        told = ""
        if self.forecast is not None and job.name in self.forecast.jobs:
            told = f", predicted {self.forecast.jobs[job.name].seconds:.1f} s"
        self._add(f"{job.name}: begins, {job.role}, {job.start}{told}")

    def resume_job(self, job: Job, epochs: int) -> None:
        """A line."""
        self._add(f"{job.name}: goes on after epoch {epochs}/{job.epochs}")

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """A line."""
        self._add(f"{job.name}: epoch {epoch + 1}/{job.epochs} {metrics_text(logs)}")

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """A line."""
        how = "was finished" if was_finished else f"finished in {record.row.wall_seconds:.1f} s"
        self._add(f"{record.job.name}: {how} {metrics_text(record.row.metrics)}".rstrip())

    def fail_job(self, job: Job, why: str) -> None:
        """A line."""
        self._add(f"{job.name}: {why}")

    def _add(self, text: str) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", file=self._file, flush=True)


class Several:
    """Several displays as one.

    Args:
        displays: The displays.
    """

    def __init__(self, displays: Sequence[Progress]) -> None:
        self._displays = displays

    def __enter__(self) -> Self:
        for display in self._displays:
            display.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for display in self._displays:
            display.__exit__(*error)

    def begin_job(self, job: Job) -> None:
        """Pass on."""
        for display in self._displays:
            display.begin_job(job)

    def resume_job(self, job: Job, epochs: int) -> None:
        """Pass on."""
        for display in self._displays:
            display.resume_job(job, epochs)

    def end_step(self, job: Job, epoch: int, step: int, logs: Mapping[str, float]) -> None:
        """Pass on."""
        for display in self._displays:
            display.end_step(job, epoch, step, logs)

    def end_epoch(self, job: Job, epoch: int, logs: Mapping[str, float]) -> None:
        """Pass on."""
        for display in self._displays:
            display.end_epoch(job, epoch, logs)

    def end_job(self, record: JobRecord, was_finished: bool) -> None:
        """Pass on."""
        for display in self._displays:
            display.end_job(record, was_finished)

    def fail_job(self, job: Job, why: str) -> None:
        """Pass on."""
        for display in self._displays:
            display.fail_job(job, why)
