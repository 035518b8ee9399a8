"""The ledger: what every job cost and what came of it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.files import write_atomically
from keras_mothernets.training.text import text_table


@dataclass(frozen=True)
class LedgerRow:
    """One finished job.

    Args:
        job: Name of the job.
        role: "member" or "mother".
        network: Key of the network.
        waits_for: Names of the jobs it started from, separated by spaces.
        epochs: Epochs that were trained; fewer than planned after early stopping.
        steps: Training steps that were taken.
        examples: Training examples that were seen, repeats counted; `None` if the data do not tell.
        parameters: Number of parameters of the network.
        inherited: Fraction of them that came from the mother; `None` without one.
        deviation: Largest difference of the hatched network from its mother on real data, relative
            to the mother's largest output, in float32; `None` without a mother. With noise or
            shrink it tells how far the network was moved.
        hatch_seconds: Wall clock seconds of hatching with its check; part of `wall_seconds`.
        wall_seconds: Wall clock seconds of the whole job: start, training, validation.
        cpu_seconds: Processor seconds of the same, over all cores.
        device: What it ran on.
        status: "finished".
        metrics: Loss and metrics of the epoch whose weights are kept: with validation data the
            best one, by the `monitor` of `fit` or an `EarlyStopping` of yours that restores its
            best weights; else the last one. Where statistics of BatchNormalizations are measured
            anew, or the optimizer averages weights (`use_ema`), as it was before that.
    """

    job: str
    role: str
    network: str
    waits_for: str = ""
    epochs: int = 0
    steps: int = 0
    examples: int | None = None
    parameters: int = 0
    inherited: float | None = None
    deviation: float | None = None
    hatch_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    device: str = ""
    status: str = "finished"
    metrics: dict[str, float] = field(default_factory=dict)


COLUMNS = tuple(entry.name for entry in fields(LedgerRow) if entry.name != "metrics")
_SHOWN = (
    "job role epochs steps parameters inherited deviation hatch_seconds wall_seconds cpu_seconds"
).split()


class Ledger:
    """The rows of a run, in the order in which the jobs were finished or planned.

    Args:
        rows: The rows.

    Example:
        >>> ledger = Ledger([LedgerRow("mother", "mother", "m", wall_seconds=3.0),
        ...                  LedgerRow("a", "member", "a", wall_seconds=1.5)])
        >>> ledger.total(), ledger.total(role="member")
        (4.5, 1.5)
    """

    def __init__(self, rows: Iterable[LedgerRow]) -> None:
        self.rows: list[LedgerRow] = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[LedgerRow]:
        return iter(self.rows)

    def __getitem__(self, job: str) -> LedgerRow:
        for row in self.rows:
            if row.job == job:
                return row
        raise KeyError(job)

    def total(self, role: str | None = None, column: str = "wall_seconds") -> float:
        """Sum of one column.

        Args:
            role: Count only "member" or "mother" jobs.
            column: Name of a column of numbers; cells that are not known count as 0.

        Raises:
            MotherNetsError: There is no such column of numbers.
        """
        if column not in COLUMNS or isinstance(getattr(LedgerRow("", "", ""), column), str):
            raise MotherNetsError("`column` must name a column of numbers", received=repr(column))
        return sum(getattr(row, column) or 0 for row in self.rows if role in (None, row.role))

    def metric_names(self) -> list[str]:
        """Names of all metrics, in order of appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def to_text(self) -> str:
        """The ledger as CSV: one column per field, then one per metric."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        metrics = self.metric_names()
        writer.writerow([*COLUMNS, *metrics])
        for row in self.rows:
            writer.writerow([*_cells(row, COLUMNS), *(row.metrics.get(name) for name in metrics)])
        return stream.getvalue()

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the ledger as a CSV file.

        Args:
            path: The file; replaced as a whole if it is there.
        """
        write_atomically(Path(path), self.to_text().encode())

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        metrics = self.metric_names()
        rows = [
            [*_cells(row, _SHOWN), *(row.metrics.get(name) for name in metrics)]
            for row in self.rows
        ]
        return text_table([*_SHOWN, *metrics], rows)


def _cells(row: LedgerRow, columns: Iterable[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]
