"""Which job begins next, when several workers run the jobs of a plan."""

from __future__ import annotations

import heapq
import math
import numbers
from collections import Counter
from collections.abc import Callable, Collection

from keras_mothernets.errors import RunError, whole_number
from keras_mothernets.training.job import Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.predicted_seconds import work_of


class Scheduler:
    """Hands out the jobs of a plan, those first on which the longest way to its end begins.

    A job is ready when all that it waits for are finished. Of the ready ones the next is that
    with the longest predicted path to the end of the plan, its own seconds included; of equal
    ones that which takes longest itself, then that which comes first in the plan. A free worker
    never waits while a job is ready, so a run takes less than twice as long as the best order
    could, however wrong the predictions are (Graham's bound).

    It trains nothing and knows no workers: whoever has one free calls `begin`, and tells by
    `finish` or `fail` how the job ended. Every call takes time that grows with the logarithm of
    the number of jobs, for each job that becomes ready. It is for one thread.

    Args:
        plan: The jobs.
        predicted_seconds: Gives the seconds of a job, or anything proportional to them; a
            `SecondsModel` for example.
        done: Names of jobs that were finished earlier.
        tries: Number of times that a job may fail before it is given up.

    Attributes:
        given_up: Names of the jobs that were given up, and of the failed job for which each was.

    Raises:
        RunError: A prediction is not a number of 0 or more, or a finished job is not in the plan.
        MotherNetsError: `tries` is not a whole number of at least 1.

    Example:
        >>> from keras_mothernets.training import Hatch
        >>> plan = Plan("example", (Job("alone", "member", "a", epochs=3),
        ...                         Job("mother", "mother", "m", epochs=2),
        ...                         Job("child", "member", "c", Hatch("mother"), epochs=2)))
        >>> scheduler = Scheduler(plan)
        >>> scheduler.begin().name, scheduler.begin().name, scheduler.begin()
        ('mother', 'alone', None)
        >>> scheduler.finish("mother")
        >>> scheduler.begin().name
        'child'

    Source: R. L. Graham, Bounds on Multiprocessing Timing Anomalies (SIAM Journal on Applied
    Mathematics, 1969).
    """

    def __init__(
        self,
        plan: Plan,
        predicted_seconds: Callable[[Job], float] = work_of,
        *,
        done: Collection[str] = (),
        tries: int = 3,
    ) -> None:
        self.plan = plan
        self.tries = whole_number("tries", tries, 1)
        self.given_up: dict[str, str] = {}
        done = set(done)
        _check_done(plan, done)
        self._urgency = _urgencies(plan, predicted_seconds, done)
        # How many jobs each one still waits for; without those that are done or given up.
        self._waits = {
            job.name: len(set(job.waits_for) - done) for job in plan if job.name not in done
        }
        self._ready = [self._urgency[name] for name, count in self._waits.items() if not count]
        heapq.heapify(self._ready)
        self._running: set[str] = set()
        self._failures: Counter[str] = Counter()

    @property
    def has_ended(self) -> bool:
        """Whether every job is finished or given up."""
        return not self._waits

    def begin(self) -> Job | None:
        """The job that a free worker shall run now; `None` if no job is ready."""
        if not self._ready:
            return None
        *_, index = heapq.heappop(self._ready)
        job = self.plan.jobs[index]
        self._running.add(job.name)
        return job

    def finish(self, name: str) -> None:
        """A job that had begun is finished; what waited for it alone becomes ready.

        Args:
            name: Name of the job.

        Raises:
            RunError: It has not begun.
        """
        self._end(name)
        del self._waits[name]
        for child in self.plan.children(name):
            if child in self._waits:
                self._waits[child] -= 1
                if not self._waits[child]:
                    heapq.heappush(self._ready, self._urgency[child])

    def fail(self, name: str) -> tuple[str, ...]:
        """A job that had begun has failed, or its worker is lost: it is ready again.

        After as many failures as there are `tries` it is given up, and with it all that wait for
        it; the others go on.

        Args:
            name: Name of the job.

        Returns:
            Names of the jobs that are given up now, in the order of the plan; none if the job
            will be tried again.

        Raises:
            RunError: It has not begun.
        """
        self._end(name)
        self._failures[name] += 1
        if self._failures[name] < self.tries:
            heapq.heappush(self._ready, self._urgency[name])
            return ()
        return self._give_up(name)

    def give_up(self, name: str) -> tuple[str, ...]:
        """A job that had begun is not tried again, and none that waits for it.

        Args:
            name: Name of the job.

        Returns:
            Names of the jobs that are given up now, in the order of the plan.

        Raises:
            RunError: It has not begun.
        """
        self._end(name)
        return self._give_up(name)

    def _end(self, name: str) -> None:
        if name not in self._running:
            raise RunError(
                f"Job `{name}` cannot end: it has not begun",
                expected="a job that `begin` has given, once for each time that it did",
            )
        self._running.remove(name)

    def _give_up(self, failed: str) -> tuple[str, ...]:
        lost = [failed]
        del self._waits[failed]
        for name in lost:  # which grows on the way
            behind = [child for child in self.plan.children(name) if child in self._waits]
            for child in behind:
                del self._waits[child]
            lost += behind
        self.given_up |= dict.fromkeys(lost, failed)
        return tuple(sorted(lost, key=lambda name: self._urgency[name][-1]))


def _check_done(plan: Plan, done: set[str]) -> None:
    unknown = sorted(done - {job.name for job in plan})
    if unknown:
        raise RunError(
            f"Job `{unknown[0]}` is said to be finished, and is not in the plan",
            expected="names of jobs of the plan",
        )


def _urgencies(
    plan: Plan, predicted_seconds: Callable[[Job], float], done: set[str]
) -> dict[str, tuple[float, float, int]]:
    """For every job a key that is smaller the sooner it should begin."""
    position = {job.name: index for index, job in enumerate(plan)}
    found: dict[str, tuple[float, float, int]] = {}
    for job in reversed(plan.order()):
        seconds = 0.0 if job.name in done else _checked(predicted_seconds(job), job)
        behind = max((-found[child][0] for child in plan.children(job.name)), default=0.0)
        found[job.name] = (-seconds - behind, -seconds, position[job.name])
    return found


def _checked(seconds: object, job: Job) -> float:
    number = float(seconds) if isinstance(seconds, numbers.Real) else math.nan
    if not 0 <= number < math.inf:
        raise RunError(
            f"The predicted seconds of job `{job.name}` cannot be used",
            expected="a number of 0 or more",
            received=repr(seconds),
        )
    return number
