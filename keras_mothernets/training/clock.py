"""The time that a job has taken, and the time that is left."""

from __future__ import annotations

import time

from keras_mothernets.training.job import Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.predicted_seconds import work_of


class Stopwatch:
    """Seconds since it was made, and those of an earlier process.

    Example:
        >>> watch = Stopwatch()
        >>> watch.add(60.0, 100.0)
        >>> watch.wall_seconds >= 60.0, watch.cpu_seconds >= 100.0
        (True, True)
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def add(self, wall_seconds: float, cpu_seconds: float) -> None:
        """Count these seconds too."""
        self._wall -= wall_seconds
        self._cpu -= cpu_seconds

    @property
    def wall_seconds(self) -> float:
        """Wall clock seconds."""
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds, over all cores."""
        return time.process_time() - self._cpu


class Clock:
    """Guesses the time that is left.

    Work is counted in the seconds of the plan's forecast; without one as steps times parameters,
    which is far from exact but known beforehand. The guess corrects itself while the run goes on.

    Args:
        plan: The plan that is run.
    """

    def __init__(self, plan: Plan) -> None:
        self._is_forecast = plan.forecast is not None
        self._jobs = {job.name: (plan.forecast or work_of)(job) for job in plan}
        self.total = sum(self._jobs.values())
        self.done = 0.0
        self._timed = 0.0  # work that was done now, not found finished
        self._of_job: dict[str, float] = {}
        self._begin = time.perf_counter()

    def begin(self, job: Job) -> None:
        """A job begins, perhaps once more."""
        self.done -= self._of_job.pop(job.name, 0.0)

    def advance(self, job: Job) -> None:
        """An epoch of a job is done."""
        self.skip(job, 1)
        self._timed += self._per_epoch(job)

    def skip(self, job: Job, epochs: int) -> None:
        """Epochs of a job were done earlier."""
        work = self._per_epoch(job) * epochs
        self._of_job[job.name] = self._of_job.get(job.name, 0.0) + work
        self.done += work

    def finish(self, job: Job, was_finished: bool) -> None:
        """A job is done, perhaps earlier than planned."""
        self.done += self._jobs[job.name] - self._of_job.get(job.name, 0.0)

    def seconds_left(self) -> float | None:
        """Seconds until all is done at the speed so far.

        Before the first epoch those of the forecast, `None` without one.
        """
        if self._timed == 0.0:
            return self.total - self.done if self._is_forecast else None
        speed = self._timed / (time.perf_counter() - self._begin)
        return max(0.0, self.total - self.done) / speed

    def _per_epoch(self, job: Job) -> float:
        return self._jobs[job.name] / max(1, job.epochs)
