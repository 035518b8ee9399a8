"""A run of a plan on simulated workers: only the clock moves, from event to event."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from keras_mothernets.training import Job, Plan, Scheduler, work_of


@dataclass(frozen=True)
class Deaths:
    """How often workers die, at a random instant, while they run a job.

    The job begins anew from its beginning, and its worker is replaced by another.

    Args:
        per_hour: Deaths of one worker in an hour of work, in the mean.
        replaced_after: Seconds until there is another worker.
        seed: Of the random instants.
    """

    per_hour: float
    replaced_after: float = 60.0
    seed: int = 0

    def instants(self) -> Iterator[float]:
        """Seconds of work from the beginning of a job to the death of its worker."""
        instants = random.Random(self.seed)
        while True:
            yield instants.expovariate(self.per_hour / 3600) if self.per_hour else math.inf


NO_DEATHS = Deaths(per_hour=0.0)


@dataclass(frozen=True)
class Simulated:
    """What came of a simulated run.

    Args:
        makespan: Seconds from the beginning to the end of the last job.
        began: Names of the jobs in the order in which they began.
        deaths: Number of workers that died.
        given_up: Names of the jobs that were given up.
    """

    makespan: float
    began: tuple[str, ...]
    deaths: int
    given_up: tuple[str, ...]


def simulate(
    plan: Plan,
    seconds: Mapping[str, float],
    workers: int,
    predicted_seconds: Callable[[Job], float] = work_of,
    deaths: Deaths = NO_DEATHS,
) -> Simulated:
    """Run a plan on simulated workers.

    Args:
        plan: The jobs.
        seconds: What each job really takes, by name; the scheduler does not know.
        workers: Number of workers, at least 1.
        predicted_seconds: What the scheduler thinks that each takes.
        deaths: How often workers die; never by default.
    """
    scheduler = Scheduler(plan, predicted_seconds)
    instants = deaths.instants()
    now, free, died, began = 0.0, workers, 0, list[str]()
    numbers = itertools.count()  # of events at one instant the one that was foreseen first
    events: list[tuple[float, int, Callable[[str], object] | None, str]] = []
    while not scheduler.has_ended:
        while free and (job := scheduler.begin()):
            began.append(job.name)
            free -= 1
            death = next(instants)
            ending = scheduler.finish if seconds[job.name] <= death else scheduler.fail
            end = now + min(seconds[job.name], death)
            heapq.heappush(events, (end, next(numbers), ending, job.name))
        now, _, happen, name = heapq.heappop(events)
        if happen is not None:
            happen(name)
        if happen == scheduler.fail:
            died += 1
            heapq.heappush(events, (now + deaths.replaced_after, next(numbers), None, ""))
        else:
            free += 1
    return Simulated(now, tuple(began), died, tuple(scheduler.given_up))


def lower_bound(plan: Plan, seconds: Mapping[str, float], workers: int) -> float:
    """Seconds below which no order can come: those of the longest path, or of all work shared.

    Args:
        plan: The jobs.
        seconds: What each job takes, by name.
        workers: Number of workers.
    """
    ends: dict[str, float] = {}
    for job in plan.order():
        begins = max((ends[parent] for parent in job.waits_for), default=0.0)
        ends[job.name] = begins + seconds[job.name]
    return max(max(ends.values(), default=0.0), math.fsum(seconds.values()) / workers)
