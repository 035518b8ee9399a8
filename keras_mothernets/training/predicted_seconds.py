"""How long a job will take, from what jobs of an earlier run took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from keras_mothernets.errors import RunError
from keras_mothernets.training.job import Job
from keras_mothernets.training.ledger_row import LedgerRow


def work_per_epoch(job: Job) -> float:
    """Steps times parameters: far from exact as a measure of work, but known beforehand.

    Args:
        job: A job; where its steps in an epoch, or its parameters, are not known, one is counted.
    """
    return float((job.steps_per_epoch or 1) * max(1, job.parameters))


def work_of(job: Job) -> float:
    """The work of all epochs of a job, as `work_per_epoch` counts it.

    Args:
        job: A job.

    Example:
        >>> work_of(Job("a", "member", "a", epochs=3, steps_per_epoch=10, parameters=200))
        6000.0
    """
    return work_per_epoch(job) * job.epochs


@dataclass(frozen=True)
class SecondsModel:
    """Predicts the seconds of a job: so many for each step, and more the more parameters it has.

    To say only which of two jobs takes longer, as a `Scheduler` needs, `work_of` is enough; it
    is this model with 0 seconds per step and 1 per parameter.

    Args:
        seconds_per_step: What a step takes whatever the network, in seconds.
        seconds_per_parameter: What a step takes more for each parameter, in seconds.

    Example:
        >>> model = SecondsModel(seconds_per_step=0.5, seconds_per_parameter=0.001)
        >>> model(Job("a", "member", "a", epochs=3, steps_per_epoch=10, parameters=500))
        30.0
    """

    seconds_per_step: float
    seconds_per_parameter: float

    def __call__(self, job: Job) -> float:
        """Wall clock seconds of a job.

        Args:
            job: The job; a step is counted for each epoch where the steps are not known.
        """
        steps = (job.steps_per_epoch or 1) * job.epochs
        return steps * (self.seconds_per_step + self.seconds_per_parameter * job.parameters)

    @classmethod
    def fit(cls, rows: Iterable[LedgerRow]) -> SecondsModel:
        """The model for a machine, from the ledger of a run of similar jobs on it.

        It is a line through the median of the parameters and the median of the seconds per
        step, so that one job that was slowed down does not move it; its slope is that of least
        squares. A slope below 0 is set to 0, and a line that is below 0 for small networks
        goes through 0 instead.

        Args:
            rows: Rows of finished jobs; those without steps, seconds or parameters do not count.

        Raises:
            RunError: No row counts.

        Example:
            >>> rows = [LedgerRow("a", "member", "a", steps=10, parameters=100, wall_seconds=20.0),
            ...         LedgerRow("b", "member", "b", steps=10, parameters=300, wall_seconds=40.0)]
            >>> SecondsModel.fit(rows)
            SecondsModel(seconds_per_step=1.0, seconds_per_parameter=0.01)
        """
        points = [
            (row.parameters, row.wall_seconds / row.steps)
            for row in rows
            if row.steps > 0 and row.parameters > 0 and row.wall_seconds > 0
        ]
        if not points:
            raise RunError(
                "Seconds cannot be predicted from a ledger without measured jobs",
                expected="rows with steps, parameters and wall seconds",
                fix="Predict with `work_of`, which needs no ledger",
            )
        x, y = (median(side) for side in zip(*points, strict=True))
        squares = sum((parameters - x) ** 2 for parameters, _ in points)
        products = sum((parameters - x) * (seconds - y) for parameters, seconds in points)
        slope = max(0.0, products / squares) if squares else 0.0
        slope = min(slope, y / x)
        return cls(max(0.0, y - slope * x), slope)
