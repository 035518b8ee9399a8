"""The run of a plan whose jobs are trained in other processes, whoever has started these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from keras_mothernets.errors import RunError
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.failures import JobFailed, leave_out_all
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.job_runner import Told
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.predicted_seconds import work_of
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.schedule import Scheduler


class Crew(Protocol):
    """Workers that train jobs elsewhere, and keep them in the folders of the run."""

    last_end: str
    """How the last worker that was lost has ended."""

    def has_room(self) -> bool:
        """Whether a worker is free."""
        ...

    def begin(self, job: Job) -> None:
        """Let a free worker train a job."""
        ...

    def wait(self) -> Iterator[tuple[Job, Told | None]]:
        """Wait until there is something to say, or a little while.

        Yields:
            A job, and what is said of it; `None` if its worker is lost.
        """
        ...


def finished_jobs(plan: Plan, context: RunContext) -> dict[str, JobRecord]:
    """The jobs that the store holds already; the display is told of them.

    Args:
        plan: The plan.
        context: What its jobs share.
    """
    records = {}
    for job in plan.order():
        if (record := context.store.record(job)) is not None:
            records[job.name] = record
            context.progress.end_job(record, True)
    return records


def run_jobs(
    crew: Crew,
    plan: Plan,
    context: RunContext,
    files: JobFiles,
    done: Mapping[str, JobRecord],
    tries: int,
) -> dict[str, JobRecord]:
    """Have all other jobs trained, the longest way first.

    Args:
        crew: Who trains them.
        plan: The plan.
        context: What its jobs share.
        files: The folders of the run.
        done: The jobs that are finished.
        tries: How often a job may lose its worker.

    Returns:
        The records of the jobs that were trained.

    Raises:
        RunError: The run shall stop, since a job has failed or has lost all its workers.
        KeyboardInterrupt: The user asks for it.
    """
    _lay_out(plan, context, files, done)
    scheduler = Scheduler(plan, plan.forecast or work_of, done=done, tries=tries)
    records: dict[str, JobRecord] = {}
    while not scheduler.has_ended:
        context.interrupt.check()
        while crew.has_room() and (job := scheduler.begin()) is not None:
            crew.begin(job)
        for job, told in crew.wait():
            if told is None:
                given_up = scheduler.fail(job.name)
                if given_up:
                    error = _lost(job, tries, crew, context)
                    leave_out_all(job, given_up, error, plan, context)
            elif told.event == "failed":
                error = failure_of(told)
                leave_out_all(job, scheduler.give_up(job.name), error, plan, context)
            elif told.event == "finished":
                records[job.name] = _keep(told, context, files)
                scheduler.finish(job.name)
            else:
                told.show(job, context.progress)
    return records


def failure_of(told: Told) -> JobFailed:
    """What failed in another process, if the others go on without it.

    Args:
        told: What was said of it.

    Raises:
        Exception: The run shall stop; the place in the other process stands behind it.
    """
    error, place = told.values
    if not isinstance(error, JobFailed):
        raise error from RuntimeError(f"in a worker process:\n{place}")
    return error


def _lost(job: Job, tries: int, crew: Crew, context: RunContext) -> JobFailed:
    """Why a job is left out whose workers all died.

    Raises:
        RunError: The run shall stop.
    """
    error = RunError(
        f"Job `{job.name}` cannot go on: its worker process died {tries} times",
        received=f"the last time {crew.last_end}",
        fix="Look at the memory that it needs, or let fewer jobs run at once; finished jobs and"
        " epochs in the run directory are kept",
    )
    if context.on_failure == "stop":
        raise error
    return JobFailed(f"Job `{job.name}` is left out: {error}")


def _lay_out(
    plan: Plan, context: RunContext, files: JobFiles, done: Mapping[str, JobRecord]
) -> None:
    """Put networks that are in memory, and that others wait for, where workers find them."""
    if context.store.files is None:
        for name, record in done.items():
            if plan.is_needed(name, done):
                network = context.networks[record.job.network]
                files.save(record, context.store.load(record.job, network))


def _keep(told: Told, context: RunContext, files: JobFiles) -> JobRecord:
    record: JobRecord = told.values[0]
    if context.store.files is None:
        network = context.networks[record.job.network]
        context.store.save(record, files.load(record.job, network))
    else:
        context.store.note(record)
    context.progress.end_job(record, False)
    return record
