"""The results of a comparison: one tidy table, one figure in each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import mean

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.files import write_atomically


@dataclass(frozen=True, order=True)
class Cell:
    """One ensemble that is trained: what was asked for.

    Args:
        method: The method, as in pictures: "MotherNets".
        settings: What differs from its defaults, as it was written.
        learning_rate: The highest of the schedule.
        budget: The cost, in epochs of every member from scratch.
        seed: Seed of everything random.
    """

    method: str
    settings: str
    learning_rate: float
    budget: int
    seed: int

    @property
    def variant(self) -> tuple[str, float]:
        """Settings and learning rate: what may be chosen among."""
        return self.settings, self.learning_rate


@dataclass(frozen=True)
class Row:
    """One figure of one ensemble.

    Args:
        cell: The ensemble.
        part: What the figure is of: "ensemble"; "size", the first so many members; "member"; "job".
        name: Which one: the number of members, the name of a member or job; "" for the ensemble.
        measure: What was measured, such as "test_error" or "cpu_seconds".
        value: The figure.
    """

    cell: Cell
    part: str
    name: str
    measure: str
    value: float


COLUMNS = (*(entry.name for entry in fields(Cell)), "part", "name", "measure", "value")


class Results:
    """All figures of a comparison, kept in a CSV file.

    Args:
        rows: The figures.

    Example:
        >>> cell = Cell("FullData", "", 0.1, 10, 0)
        >>> results = Results([Row(cell, "ensemble", "", "test_error", 0.25)])
        >>> results.value(cell, "test_error")
        0.25
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = list(rows)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file that `write` wrote; none yet is no results.

        Raises:
            MotherNetsError: A line is not as this version writes it.
        """
        if not path.exists():
            return cls()
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        try:
            return cls(_row(line) for line in lines)
        except (KeyError, ValueError, TypeError) as error:
            raise MotherNetsError(
                f"`{path}` is not as this version writes it: {error!r}"
            ) from error

    def write(self, path: Path) -> None:
        """Replace the file as a whole."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            cell = astuple(row.cell)
            writer.writerow([*cell, row.part, row.name, row.measure, f"{row.value:.7g}"])
        write_atomically(path, stream.getvalue().encode())

    @property
    def cells(self) -> list[Cell]:
        """The ensembles, in the order in which they were trained."""
        return list(dict.fromkeys(row.cell for row in self.rows))

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in order of appearance."""
        return list(dict.fromkeys(cell.method for cell in self.cells))

    @property
    def budgets(self) -> list[int]:
        """All budgets, the smallest first."""
        return sorted({cell.budget for cell in self.cells})

    def value(self, cell: Cell, measure: str, part: str = "ensemble", name: str = "") -> float:
        """One figure.

        Raises:
            KeyError: It is not there.
        """
        return self.values(cell, measure, part)[name]

    def values(self, cell: Cell, measure: str, part: str) -> dict[str, float]:
        """A measure of all parts of one kind, by name."""
        return {
            row.name: row.value
            for row in self.rows
            if row.cell == cell and row.measure == measure and row.part == part
        }

    def over_seeds(
        self, cells: Sequence[Cell], measure: str, part: str = "ensemble", name: str = ""
    ) -> list[float]:
        """One figure of each of several ensembles."""
        return [self.value(cell, measure, part, name) for cell in cells]

    def variants(self, method: str, budget: int) -> list[list[Cell]]:
        """The ensembles of a method with a budget, one list for each variant, one per seed."""
        found: dict[tuple[str, float], list[Cell]] = {}
        for cell in self.cells:
            if (cell.method, cell.budget) == (method, budget):
                found.setdefault(cell.variant, []).append(cell)
        return list(found.values())

    def best(self, method: str, budget: int) -> list[Cell]:
        """The ensembles, one per seed, of the variant that is best on held-out examples.

        Variants that were trained with fewer seeds than others are left out. Test examples are
        not looked at.

        Args:
            method: Name of a method.
            budget: A budget.

        Returns:
            The cells; empty if the method has not been trained with this budget.
        """
        variants = self.variants(method, budget)
        most = max(map(len, variants), default=0)
        full = [cells for cells in variants if len(cells) == most]
        if len(full) < 2:
            return full[0] if full else []
        return min(full, key=lambda cells: mean(self.over_seeds(cells, "validation_nll")))


def _row(line: dict[str, str]) -> Row:
    cell = Cell(
        line["method"],
        line["settings"],
        float(line["learning_rate"]),
        int(line["budget"]),
        int(line["seed"]),
    )
    return Row(cell, line["part"], line["name"], line["measure"], float(line["value"]))
