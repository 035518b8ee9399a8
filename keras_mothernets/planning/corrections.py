"""What finished jobs taught: how their starts and epochs compare with the predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_mothernets.training.forecast import JobForecast

KEPT = 200  # jobs that are remembered, the last ones
PRIOR = 1.0  # jobs that the uncorrected prediction counts as


@dataclass(frozen=True)
class Lesson:
    """One finished job.

    Args:
        start: Predicted seconds of what is done once.
        epochs: Predicted seconds of all epochs.
        seconds: Seconds that the job took.
    """

    start: float
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Corrections:
    """Factors on predicted seconds, from jobs that were predicted and then trained.

    The factors are those with the least relative errors over the remembered jobs, drawn towards
    1 as if one job had taken just what was predicted.

    Args:
        lessons: The remembered jobs, the oldest first.

    Example:
        >>> slow = [Lesson(1.0, 9.0, 11.9)] * 20
        >>> start, epochs = Corrections(tuple(slow)).factors
        >>> 1.0 < start < epochs < 1.2
        True
    """

    lessons: tuple[Lesson, ...] = ()

    @property
    def factors(self) -> tuple[float, float]:
        """Of what is done once in a job, and of its epochs."""
        if not self.lessons:
            return 1.0, 1.0
        rows = np.array([[one.start, one.epochs] for one in self.lessons])
        seconds = np.array([one.seconds for one in self.lessons])
        shares = rows / seconds[:, None]
        left = shares.T @ shares + PRIOR * np.eye(2)
        right = shares.T @ np.ones(len(seconds)) + PRIOR
        return tuple(float(one) for one in np.maximum(0.1, np.linalg.solve(left, right)))  # type: ignore[return-value]

    def with_jobs(self, jobs: Iterable[tuple[JobForecast, float]]) -> Corrections:
        """Corrections that know more jobs.

        Args:
            jobs: The uncorrected prediction of a job, and the seconds that it took.
        """
        more = [
            Lesson(one.start + one.more, one.epoch * one.epochs, seconds) for one, seconds in jobs
        ]
        return Corrections((*self.lessons, *more)[-KEPT:])

    def applied(self, predicted: JobForecast) -> JobForecast:
        """A prediction, corrected."""
        start, epochs = self.factors
        return JobForecast(
            predicted.start * start,
            predicted.epoch * epochs,
            predicted.epochs,
            predicted.more * epochs,
            predicted.flops,
            predicted.memory,
        )

    def to_json(self) -> list[list[float]]:
        """As plain values."""
        return [[one.start, one.epochs, one.seconds] for one in self.lessons]

    @classmethod
    def from_json(cls, values: Sequence[Sequence[float]]) -> Corrections:
        """Read what `to_json` gave."""
        return cls(tuple(Lesson(*map(float, one)) for one in values))
