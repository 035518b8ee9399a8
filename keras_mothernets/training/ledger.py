"""The ledger: what every job cost and what came of it."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.files import write_atomically
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.phases import Phases, shown_cell, shown_header
from keras_mothernets.training.text import text_table

# USD per hour of the two machines whose cost the paper compares, as it gives them; not what they
# cost today. Source: Wasay et al., MotherNets (2020), section 3.
PRICES: Mapping[str, float] = MappingProxyType({"p2.xlarge": 0.90, "p3.2xlarge": 3.06})


COLUMNS = tuple(entry.name for entry in fields(LedgerRow) if entry.name != "metrics")
_SHOWN = (
    "job role epochs steps flops parameters inherited deviation "
    "hatch_seconds wall_seconds cpu_seconds peak_memory"
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

    def phases(self) -> Phases:
        """Sums of the jobs of each role, and of all; `print` shows a table.

        Example:
            >>> print(Ledger([LedgerRow("a", "member", "a", epochs=4, steps=80)]).phases())
            role    jobs  epochs  steps  ...
            member     1       4     80  ...
            total      1       4     80  ...
        """
        return Phases(self.rows)

    def cost(self, usd_per_hour: Mapping[str, float] = PRICES) -> dict[str, float]:
        """What the wall clock seconds of all jobs cost on rented machines.

        Args:
            usd_per_hour: USD for an hour of each machine, by its name. A machine is priced as if
                it took as long as this one did.

        Returns:
            USD by the name of the machine.

        Raises:
            MotherNetsError: A price is not a number of 0 or more.

        Example:
            >>> ledger = Ledger([LedgerRow("a", "member", "a", wall_seconds=1800.0)])
            >>> ledger.cost()
            {'p2.xlarge': 0.45, 'p3.2xlarge': 1.53}
            >>> ledger.cost({"mine": 0.10})
            {'mine': 0.05}
        """
        _check_prices(usd_per_hour)
        hours = self.total() / 3600
        return {machine: price * hours for machine, price in usd_per_hour.items()}

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
            [
                *(shown_cell(column, getattr(row, column)) for column in _SHOWN),
                *(row.metrics.get(name) for name in metrics),
            ]
            for row in self.rows
        ]
        return text_table([*map(shown_header, _SHOWN), *metrics], rows)


def _cells(row: LedgerRow, columns: Iterable[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]


def _check_prices(usd_per_hour: object) -> None:
    is_table = isinstance(usd_per_hour, Mapping)
    prices = list(usd_per_hour.values()) if isinstance(usd_per_hour, Mapping) else []
    are_numbers = all(isinstance(price, (int, float)) for price in prices)
    if not is_table or not are_numbers or not all(0 <= p < math.inf for p in prices):
        raise MotherNetsError(
            "`usd_per_hour` must give each machine its price",
            expected="a dict of names and numbers of 0 or more",
            received=repr(usd_per_hour),
            fix='Write for example `{"my machine": 1.5}`',
        )
