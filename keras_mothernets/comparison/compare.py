"""Train every method at every budget with every seed, and keep the figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_mothernets.comparison.cell import Task, prepare, train_cell
from keras_mothernets.comparison.entry import Entry
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.reporting.compared import Cell, Results
from keras_mothernets.training.files import write_atomically
from keras_mothernets.training.text import duration_text


@dataclass(frozen=True)
class Grid:
    """What is compared.

    Args:
        entries: The methods, each with its settings; several of one method are tried as variants.
        budgets: Costs, in epochs of every member from scratch.
        learning_rates: Highest learning rates, tried with every entry that has none of its own.
        seeds: Seeds.
    """

    entries: Sequence[Entry]
    budgets: Sequence[int]
    learning_rates: Sequence[float]
    seeds: Sequence[int]

    def __iter__(self) -> Iterator[tuple[Entry, Cell]]:
        return iter(dict.fromkeys(self._all()))  # what is named twice is trained once

    def _all(self) -> Iterator[tuple[Entry, Cell]]:
        for seed in self.seeds:
            for budget in self.budgets:
                for entry in self.entries:
                    own = entry.learning_rate
                    for rate in [own] if own is not None else self.learning_rates:
                        yield entry, Cell(entry.title, entry.words, rate, budget, seed)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def compare(
    grid: Grid, task: Task, folder: Path, settings: dict[str, Any], say: Callable[[str], object]
) -> Results:
    """Train what is not trained yet, one ensemble after the other.

    A folder holds one comparison: `settings.json`, `results.csv` and the runs. Stopped at any
    time, the same call goes on: finished ensembles are not trained again, and an unfinished
    one goes on after its last epoch.

    Args:
        grid: What is compared.
        task: What all ensembles have in common.
        folder: Where results are kept.
        settings: What `task` was made of; a folder with other settings is refused.
        say: Takes lines about how far it is.

    Returns:
        All results in the folder.

    Raises:
        MotherNetsError: The folder holds another comparison, or a method refuses something; this
            is found before anything is trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_settings(folder / "settings.json", settings)
    results = Results.read(folder / "results.csv")
    done = set(results.cells)
    left = [(entry, cell) for entry, cell in grid if cell not in done]
    _try_all(left, task)
    for number, (entry, cell) in enumerate(left, start=len(grid) - len(left) + 1):
        say(f"[{number}/{len(grid)}] {_words(cell)}")
        results.rows += train_cell(entry, cell, task, folder / "runs" / _folder_name(cell))
        results.write(folder / "results.csv")
        error, seconds = (results.value(cell, name) for name in ("test_error", "wall_seconds"))
        say(f"    {error:.2%} test error after {duration_text(seconds)}")
    return results


def keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings, or refuse to mix two comparisons in one folder.

    Raises:
        MotherNetsError: There are others.
    """
    if path.exists():
        there = json.loads(path.read_text())
        different = [name for name in settings if settings[name] != there.get(name)]
        if different:
            raise MotherNetsError(
                f"`{path.parent}` holds a comparison with other settings",
                expected=", ".join(f"{name} {there.get(name)}" for name in different),
                received=", ".join(f"{name} {settings[name]}" for name in different),
                fix="Choose another folder",
            )
        return
    write_atomically(path, json.dumps(settings, indent=1).encode())


def _try_all(left: Sequence[tuple[Entry, Cell]], task: Task) -> None:
    """What a method refuses is told before the first one has trained for hours."""
    tried = set()
    for entry, cell in left:
        if (entry, cell.budget) not in tried:
            tried.add((entry, cell.budget))
            prepare(entry, cell, task)


def _words(cell: Cell) -> str:
    settings = f" ({cell.settings})" if cell.settings else ""
    rate, budget = f"learning rate {cell.learning_rate:g}", f"budget {cell.budget}"
    return f"{cell.method}{settings}, {rate}, {budget}, seed {cell.seed}"


def _folder_name(cell: Cell) -> str:
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", _words(cell)).strip("_")
