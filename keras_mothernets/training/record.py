"""What is kept of a finished job, apart from its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keras_mothernets.training.job import Job
from keras_mothernets.training.ledger import Ledger
from keras_mothernets.training.ledger_row import LedgerRow


@dataclass(frozen=True)
class JobRecord:
    """A finished job's history and costs.

    Args:
        job: The job.
        history: As in `keras.callbacks.History`: metric to a list with one value per epoch.
        row: Its row of the ledger.
    """

    job: Job
    history: dict[str, list[float]]
    row: LedgerRow


class History:
    """What `fit` gives back: every job's curves, and the ledger.

    Args:
        records: Records of all finished jobs.
        failed: See below.

    Attributes:
        history: As in Keras, a dict from names to lists with one value per epoch. The names
            are those of Keras behind the job's: "vgg16/loss", "vgg16/val_accuracy", ... A job
            of no epochs has empty lists.
        jobs: The same by job: `history.jobs["vgg16"]["val_accuracy"]`.
        ledger: Costs and results, one row per job.
        failed: Why jobs were left out, by name, where `on_failure` says to go on without them.

    Example:
        >>> job = Job("vgg16", "member", "vgg16")
        >>> record = JobRecord(job, {"loss": [0.7, 0.5]}, LedgerRow("vgg16", "member", "vgg16"))
        >>> History([record]).history
        {'vgg16/loss': [0.7, 0.5]}
    """

    def __init__(
        self, records: Sequence[JobRecord], failed: Mapping[str, str] | None = None
    ) -> None:
        metrics = dict.fromkeys(metric for record in records for metric in record.history)
        self._records = list(records)
        self.jobs: dict[str, dict[str, list[float]]] = {
            record.job.name: record.history or {metric: [] for metric in metrics}
            for record in records
        }
        self.history: dict[str, list[float]] = {
            f"{name}/{metric}": values
            for name, history in self.jobs.items()
            for metric, values in history.items()
        }
        self.ledger = Ledger(record.row for record in records)
        self.failed = dict(failed or {})

    def renamed(self, prefix: str) -> list[JobRecord]:
        """The records, with a prefix before the names of all jobs.

        Args:
            prefix: The prefix.
        """
        return [
            JobRecord(
                replace(record.job, name=prefix + record.job.name),
                record.history,
                replace(record.row, job=prefix + record.row.job),
            )
            for record in self._records
        ]

    def __repr__(self) -> str:
        without = f"; without {', '.join(self.failed)}" if self.failed else ""
        return f"History of {len(self.jobs)} jobs: {', '.join(self.jobs)}{without}"
