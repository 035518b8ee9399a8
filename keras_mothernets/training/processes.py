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

import tensorflow as tf

from keras_mothernets.errors import RunError, whole_number
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.crew import finished_jobs, run_jobs
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.job_runner import Told
from keras_mothernets.training.packing import pack
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord

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
        here = cores()
        self.workers = whole_number("workers", here if workers is None else workers, 1)
        share = max(1, here // self.workers)
        self.threads = whole_number("threads", share if threads is None else threads, 1)
        self.tries = whole_number("tries", tries, 1)

    def run(self, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
        """See `Executor.run`.

        Args:
            plan: The jobs.
            context: Networks, data, settings, and the store, opened for this plan.

        Returns:
            The record of every finished job by its name; the networks are in the store.

        Raises:
            RunError: A job cannot go on, or has lost its worker too often.
        """
        with tempfile.TemporaryDirectory(prefix="keras_mothernets_") as folder:
            files = context.store.files or JobFiles(Path(folder, "run"), plan)
            with context.progress:
                records = finished_jobs(plan, context)
                count = min(self.workers, len(plan) - len(records))
                if count:
                    package = Path(folder, "package")
                    package.mkdir()
                    pack(plan, context).write(package)
                    with Pool(count, (str(package), str(files.path), self.threads)) as pool:
                        records |= run_jobs(pool, plan, context, files, records, self.tries)
        return records


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

    def has_room(self) -> bool:
        """See `Crew.has_room`."""
        return bool(self._idle())

    def begin(self, job: Job) -> None:
        """See `Crew.begin`."""
        self._idle()[0].begin(job)

    def wait(self) -> Iterator[tuple[Job, Told | None]]:
        """See `Crew.wait`."""
        heard: list[Any] = wait([worker.connection for worker in self._workers], PATIENCE)
        for worker in [each for each in self._workers if each.connection in heard]:
            job, told = worker.job, worker.hear()
            if told is None:
                self._replace(worker)
            if job is not None:
                yield job, told

    def _idle(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.job is None]

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
    variables = {**os.environ, "PYTHONPATH": search_path()}
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
    return variables


def search_path() -> str:
    """The folders in which modules are found here, for `PYTHONPATH`.

    Example:
        >>> "" in search_path().split(os.pathsep)
        False
    """
    return os.pathsep.join(path or os.getcwd() for path in sys.path)


def _gpus() -> int:
    return len(tf.config.list_physical_devices("GPU"))


def cores() -> int:
    """The number of cores that this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
