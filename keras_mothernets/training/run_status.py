"""How far a run has come, read from its directory while another process writes there."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from keras_mothernets.errors import RunError
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import CHECKED, JobFiles
from keras_mothernets.training.lock import Writer
from keras_mothernets.training.run_directory import RunDirectory


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come.

    Args:
        job: Its name.
        role: What it is for: "member", "mother", ...
        state: "finished", "in progress" once an epoch has been kept, "waiting", "not begun", or
            "damaged": then it will be done again.
        epochs_done: Epochs that are done and kept.
        epochs: Epochs of the job.
        waits_for: Names of the jobs that must be finished before it begins.
        seconds: Wall clock seconds that it has taken.
        metrics: Loss and metrics: of the epoch that is kept, or so far of the last one.
    """

    job: str
    role: str
    state: str
    epochs_done: int
    epochs: int
    waits_for: tuple[str, ...] = ()
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunStatus:
    """How far a run has come.

    Args:
        method: The method with its settings.
        writer: The process that writes there now; `None` if none does.
        versions: Those that the run began with, by name; empty if they are not known.
        jobs: The jobs, in the order in which they are done.
    """

    method: str
    writer: Writer | None
    versions: dict[str, str]
    jobs: tuple[JobStatus, ...]

    @property
    def seconds(self) -> float:
        """Wall clock seconds that all jobs have taken."""
        return sum(job.seconds for job in self.jobs)

    @property
    def finished(self) -> int:
        """Number of finished jobs."""
        return sum(job.state == "finished" for job in self.jobs)


def read_status(path: str | os.PathLike[str]) -> RunStatus:
    """Look how far a run has come; nothing is written, and checksums of networks are not taken.

    Args:
        path: The run directory.

    Raises:
        RunError: There is no run, or its plan cannot be read.
    """
    directory = RunDirectory(path)
    plan = directory.stored_plan()
    if plan is None:
        raise RunError(
            f"There is no run in `{directory.path}`",
            expected="a folder that was the `run_dir` of a `fit`, with a `plan.json` in it",
        )
    files = JobFiles(directory.path, plan)
    jobs: list[JobStatus] = []
    finished: set[str] = set()
    for job in plan.order():
        jobs.append(_status(job, files, finished))
        if jobs[-1].state == "finished":
            finished.add(job.name)
    return RunStatus(plan.method, directory.writer(), directory.stored_versions(), tuple(jobs))


def _status(job: Job, files: JobFiles, finished: Collection[str]) -> JobStatus:
    row = files.row(job) if _is_whole(job, files) else None
    if row is not None:
        done = (row.epochs, job.epochs, (), row.wall_seconds, row.metrics)
        return JobStatus(job.name, job.role, "finished", *done)
    if told := files.checkpoint(job).told("epochs", "wall_seconds"):
        epochs = told["epochs"]
        so_far = (len(epochs), job.epochs, (), float(told["wall_seconds"]), _last(epochs))
        return JobStatus(job.name, job.role, "in progress", *so_far)
    waits_for = tuple(name for name in job.waits_for if name not in finished)
    is_damaged = (files.folder(job) / "state.json").exists()
    word = "damaged" if is_damaged else "waiting" if waits_for else "not begun"
    return JobStatus(job.name, job.role, word, 0, job.epochs, waits_for)


def _is_whole(job: Job, files: JobFiles) -> bool:
    is_ours = (files.state(job) or {}).get("plan") == files.plan.fingerprint_of(job)
    return is_ours and all((files.folder(job) / name).is_file() for name in CHECKED)


def _last(epochs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: float(value) for name, value in (epochs[-1] if epochs else {}).items()}
