"""What the jobs of a plan will take, known before anything is trained."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from keras_mothernets.training.job import Job
from keras_mothernets.training.schedule import Scheduler

TELLING = 0.05  # a pace that differs by so much is told

if TYPE_CHECKING:
    from keras_mothernets.training.plan import Plan


@dataclass(frozen=True)
class JobForecast:
    """What one job will take.

    Args:
        start: Wall clock seconds to copy or hatch its network, to trace it, and to end.
        epoch: Wall clock seconds of an epoch with its validation.
        epochs: Number of epochs.
        more: Wall clock seconds of what is done once besides, such as what a teacher says.
        flops: Floating-point operations of the training steps; `None` if not known.
        memory: Bytes of its network, optimizer, activations and data together; `None` if not known.
    """

    start: float
    epoch: float
    epochs: int
    more: float = 0.0
    flops: int | None = None
    memory: int | None = None

    @property
    def seconds(self) -> float:
        """Wall clock seconds of the whole job."""
        return self.start + self.epoch * self.epochs + self.more

    def times(self, factor: float) -> JobForecast:
        """The same where everything takes so many times as long."""
        return replace(
            self, start=self.start * factor, epoch=self.epoch * factor, more=self.more * factor
        )


@dataclass(frozen=True)
class Forecast:
    """What all jobs of a plan will take, on one device.

    Args:
        jobs: By name of the job.
        device: The device in words.
        slower: By number of workers side by side, how many times as long a job takes then;
            1 where it is not said.
        worker_start: Seconds until a worker of another process is ready.
        pace: How many times as long all takes as when the device was measured; it is in the
            seconds already.

    Example:
        >>> from keras_mothernets.training import Hatch, Plan
        >>> plan = Plan("example", (Job("m", "mother", "m"), Job("a", "member", "a", Hatch("m")),
        ...                         Job("b", "member", "b", Hatch("m"))))
        >>> forecast = Forecast({name: JobForecast(1.0, 2.0, 2) for name in "mab"}, "CPU")
        >>> forecast.total, forecast.wall_seconds(plan, workers=2), forecast.critical_path(plan)
        (15.0, 10.0, ('m', 'a'))
    """

    jobs: Mapping[str, JobForecast]
    device: str
    slower: Mapping[int, float] = field(default_factory=dict)
    worker_start: float = 0.0
    pace: float = 1.0

    def __call__(self, job: Job) -> float:
        """Wall clock seconds of a job."""
        return self.jobs[job.name].seconds

    @property
    def total(self) -> float:
        """Wall clock seconds of all jobs, one after the other."""
        return sum(one.seconds for one in self.jobs.values())

    @property
    def flops(self) -> int | None:
        """Floating-point operations of all training steps; `None` if not known of one job."""
        found = [one.flops for one in self.jobs.values()]
        return None if None in found else sum(one for one in found if one is not None)

    @property
    def memory(self) -> int | None:
        """Bytes of the job that needs most; `None` if not known of one."""
        found = [one.memory for one in self.jobs.values()]
        return None if None in found else max((one for one in found if one is not None), default=0)

    def wall_seconds(self, plan: Plan, workers: int = 1) -> float:
        """Wall clock seconds of the plan with so many workers, the longest way first.

        Args:
            plan: The plan.
            workers: 1 is this process, as with `Local`; more are others, as with `Processes`.
        """
        if workers == 1:
            return self.total
        factor = self.slower.get(workers, 1.0)
        scheduler = Scheduler(plan, self)
        number = itertools.count()
        running: list[tuple[float, int, str]] = []
        now = self.worker_start
        while not scheduler.has_ended:
            while len(running) < workers and (job := scheduler.begin()) is not None:
                heapq.heappush(running, (now + factor * self(job), next(number), job.name))
            now, _, name = heapq.heappop(running)
            scheduler.finish(name)
        return now

    def critical_path(self, plan: Plan) -> tuple[str, ...]:
        """Names of the jobs that wait for each other longest: no number of workers is faster.

        Args:
            plan: The plan.
        """
        ends: dict[str, float] = {}
        before: dict[str, str | None] = {}
        for job in plan.order():
            latest = max(job.waits_for, key=ends.__getitem__, default=None)
            before[job.name] = latest
            ends[job.name] = self(job) + (ends[latest] if latest is not None else 0.0)
        path: list[str] = []
        name: str | None = max(ends, key=ends.__getitem__, default=None)
        while name is not None:
            path.insert(0, name)
            name = before[name]
        return tuple(path)

    def path_seconds(self, names: Sequence[str]) -> float:
        """Wall clock seconds of some jobs one after the other.

        Args:
            names: Names of the jobs.
        """
        return sum(self.jobs[name].seconds for name in names)

    def usd(self, plan: Plan, per_hour: float, workers: int = 1) -> float:
        """What the plan costs on a machine that is paid by the hour, in USD.

        Args:
            plan: The plan.
            per_hour: USD per hour.
            workers: As in `wall_seconds`.
        """
        return self.wall_seconds(plan, workers) / 3600 * per_hour

    def times(self, factor: float) -> Forecast:
        """The forecast for a device on which everything takes so many times as long.

        Args:
            factor: 0.5 for one that is twice as fast.
        """
        scaled = {name: one.times(factor) for name, one in self.jobs.items()}
        device = self.device if factor == 1 else f"{self.device}, {1 / factor:g} times as fast"
        return replace(self, jobs=scaled, device=device)

    def at_pace(self, pace: float) -> Forecast:
        """The forecast for a device that is not as fast now as when it was measured.

        Args:
            pace: How many times as long everything takes.
        """
        scaled = {name: one.times(pace) for name, one in self.jobs.items()}
        note = "" if abs(pace - 1) < TELLING else f", where all takes {pace:.2f} times as long now"
        return replace(self, jobs=scaled, device=self.device + note, pace=pace)
