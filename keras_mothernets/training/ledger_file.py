"""The ledger's file in a run directory: what is known of the finished jobs, kept up to date."""

from __future__ import annotations

from pathlib import Path

from keras_mothernets.training.ledger import Ledger
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.plan import Plan


class LedgerFile:
    """Writes the rows of finished jobs into a CSV file, in the order of the plan.

    All of it is written each time. After every job of thousands that would take minutes, so of
    hundreds of rows the last hundredth may be missing until the run ends.

    Args:
        path: The file.
        plan: The plan.
        rows: The rows of the jobs that were finished before.
    """

    def __init__(self, path: Path, plan: Plan, rows: dict[str, LedgerRow]) -> None:
        self.path = path
        self._plan = plan
        self._rows = rows
        self._unwritten = 0

    def add(self, row: LedgerRow) -> None:
        """Take up a row, and write the file unless that can wait."""
        self._rows[row.job] = row
        self._unwritten += 1
        if self._unwritten > len(self._rows) // 100 or len(self._rows) == len(self._plan):
            self.write()

    def write(self) -> None:
        """Write the file, if it does not hold all this already."""
        ledger = Ledger(self._rows[job.name] for job in self._plan if job.name in self._rows)
        if not self.path.is_file() or self.path.read_bytes() != ledger.to_text().encode():
            ledger.to_csv(self.path)
        self._unwritten = 0
