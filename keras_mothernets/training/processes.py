"""Runs the jobs of a plan in several processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

from keras_mothernets.errors import RunError, whole_number
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.failures import JobFailed, leave_out_all
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.job_runner import Told
from keras_mothernets.training.packing import pack
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.schedule import Scheduler

SECONDS_TO_END = 5.0  # that a worker is given before it is killed
PATIENCE = 0.2  # seconds; so soon Ctrl-C is seen


class Processes:
    """Runs jobs side by side in other processes of this machine, the longest way first.

    All members train at once after their mother, and mothers of other clusters meanwhile. Every
    worker has its share of the cores, and reads the one copy of the arrays that is in memory. With
    GPUs worker after worker gets the next one. A worker that dies, killed for want of memory
    for example, is replaced, and its job goes on after its last epoch.

    The networks equal those of `Local` bit for bit where both have as many threads: sums are made
    in another order with another number of them.

    Args:
        workers: Number of processes; one for each core by default.
        threads: Threads of each; its share of the cores by default.
        tries: How often a job may lose its worker before the run ends.

    Raises:
        MotherNetsError: A number is not one.
        RunError: This system has no pipes that another program can take over (Windows).

    Example:
        >>> executor = Processes(2)
        >>> executor.workers, executor.threads >= 1
        (2, True)
    """

    def __init__(
        self, workers: int | None = None, *, threads: int | None = None, tries: int = 3
    ) -> None:
        if os.name != "posix":
            raise RunError(
                "`Processes` needs a system with POSIX pipes",
                expected="Linux or macOS",
                received=sys.platform,
                fix="Use `km.Local()`",
            )
        cores = _cores()
        self.workers = whole_number("workers", cores if workers is None else workers, 1)
        share = max(1, cores // self.workers)
        self.threads = whole_number("threads", share if threads is None else threads, 1)
        self.tries = whole_number("tries", tries, 1)

    def run(self, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
        """See `Executor.run`."""
        with tempfile.TemporaryDirectory(prefix="keras_mothernets_") as folder:
            files = context.store.files or JobFiles(Path(folder, "run"), plan)
            with context.progress:
                records = _finished(plan, context)
                count = min(self.workers, len(plan) - len(records))
                if count:
                    _lay_out(plan, context, files, records)
                    package = Path(folder, "package")
                    package.mkdir()
                    pack(plan, context).write(package)
                    with Pool(count, (str(package), str(files.path), self.threads)) as pool:
                        records |= self._run(plan, context, files, pool, records)
        return records

    def _run(
        self,
        plan: Plan,
        context: RunContext,
        files: JobFiles,
        pool: Pool,
        done: Mapping[str, JobRecord],
    ) -> dict[str, JobRecord]:
        scheduler = Scheduler(plan, done=done, tries=self.tries)
        records: dict[str, JobRecord] = {}
        while not scheduler.has_ended:
            context.interrupt.check()
            for worker in pool.idle():
                if (job := scheduler.begin()) is None:
                    break
                worker.begin(job)
                context.progress.begin_job(job)
            for job, told in pool.wait():
                if told is None:
                    given_up = scheduler.fail(job.name)
                    if given_up:
                        error = self._lost(job, pool, context)
                        leave_out_all(given_up, error, plan, context)
                elif told.event == "failed":
                    error = failure_of(told)
                    leave_out_all(scheduler.give_up(job.name), error, plan, context)
                elif told.event == "finished":
                    records[job.name] = _keep(told, context, files)
                    scheduler.finish(job.name)
                else:
                    told.show(job, context.progress)
        return records

    def _lost(self, job: Job, pool: Pool, context: RunContext) -> JobFailed:
        """Why a job is left out whose workers all died.

        Raises:
            RunError: The run shall stop.
        """
        error = RunError(
            f"Job `{job.name}` cannot go on: its worker process died {self.tries} times",
            received=f"the last time {pool.last_end}",
            fix="Look at the memory that it needs, or use fewer workers; finished jobs and"
            " epochs in the run directory are kept",
        )
        if context.on_failure == "stop":
            raise error
        return JobFailed(f"Job `{job.name}` is left out: {error}")


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


def _finished(plan: Plan, context: RunContext) -> dict[str, JobRecord]:
    """The jobs that the store holds already."""
    records = {}
    for job in plan.order():
        if (record := context.store.record(job)) is not None:
            records[job.name] = record
            context.progress.end_job(record, True)
    return records


def _lay_out(
    plan: Plan, context: RunContext, files: JobFiles, records: Mapping[str, JobRecord]
) -> None:
    """Put networks that are in memory, and that others wait for, where workers find them."""
    if context.store.files is None:
        for name, record in records.items():
            if plan.is_needed(name, records):
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


class Worker:
    """A worker process, and the job that it trains.

    Args:
        number: Its number in the pool.
        start: What it is told first.
    """

    def __init__(self, number: int, start: tuple[str, str, int]) -> None:
        self.number = number
        self.job: Job | None = None
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "keras_mothernets.training.worker", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=environment(number, _gpus()),
                start_new_session=True,  # Ctrl-C is for this process; it ends the others
            )
        self.connection.send(start)

    def begin(self, job: Job) -> None:
        """Let it train a job."""
        self.job = job
        with contextlib.suppress(OSError):  # it is dead, and the next `wait` will tell
            self.connection.send(job.name)

    def hear(self) -> Told | None:
        """What it says next; `None` if it is dead."""
        try:
            told: Told = self.connection.recv()
        except (EOFError, OSError):
            return None
        if told.event in ("finished", "failed"):
            self.job = None
        return told

    def end(self) -> str:
        """End it, whatever it does, and say how it ended."""
        assert self._process.stdin is not None
        self.connection.close()
        self._process.stdin.close()
        try:
            code = self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return _end_text(code)


def _end_text(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    return f"by signal {-code} ({signal.strsignal(-code)})"


class Pool:
    """Some workers; those that die are replaced. They end with the `with` block.

    Args:
        count: How many.
        start: What each is told first.
        make: Makes one.

    Attributes:
        last_end: How the last one that died has ended.
    """

    def __init__(
        self,
        count: int,
        start: tuple[str, str, int],
        make: Callable[[int, tuple[str, str, int]], Worker] = Worker,
    ) -> None:
        self.last_end = ""
        self._start = start
        self._make = make
        self._workers = [make(number, start) for number in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()

    def idle(self) -> list[Worker]:
        """The workers without a job."""
        return [worker for worker in self._workers if worker.job is None]

    def wait(self) -> Iterator[tuple[Job, Told | None]]:
        """Wait until a worker says something, or a little while.

        Yields:
            Its job, and what it says; `None` if it has died.
        """
        heard: list[Any] = wait([worker.connection for worker in self._workers], PATIENCE)
        for worker in [each for each in self._workers if each.connection in heard]:
            job, told = worker.job, worker.hear()
            if told is None:
                self._replace(worker)
            if job is not None:
                yield job, told

    def _replace(self, worker: Worker) -> None:
        """Make a new one in place of one that died at work; one that died idle is let go."""
        self.last_end = worker.end()
        self._workers.remove(worker)
        if worker.job is not None:
            self._workers.append(self._make(worker.number, self._start))
        elif not self._workers:
            raise RunError(
                "No worker process can be started", received=f"one ended {self.last_end}"
            )


def environment(number: int, gpus: int) -> dict[str, str]:
    """The environment of a worker: it finds the modules that are found here, and a GPU.

    Args:
        number: Its number.
        gpus: How many GPUs this machine has.

    Example:
        >>> environment(3, 2)["CUDA_VISIBLE_DEVICES"]
        '1'
    """
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
    return variables


def _gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
