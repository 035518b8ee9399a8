"""Rows of a results table as a comparison would leave them, without training."""

from __future__ import annotations

from keras_mothernets.comparison import Cell, Row


def rows(
    method: str,
    budget: int,
    seed: int,
    *,
    error: float,
    seconds: float,
    settings: str = "",
    held_out: float = 1.0,
) -> list[Row]:
    cell = Cell(method, settings, 0.1, budget, seed)
    figures = {
        "test_error": error,
        "test_nll": 3 * error,
        "mean_member_error": 1.2 * error,
        "disagreement": 0.5 * error,
        "validation_nll": held_out,
        "wall_seconds": seconds,
        "cpu_seconds": 2 * seconds,
    }
    made = [Row(cell, "ensemble", "", name, value) for name, value in figures.items()]
    made += [Row(cell, "size", str(size), "test_error", error / size**0.1) for size in (1, 2)]
    for name in ("a", "b"):
        made.append(Row(cell, "member", name, "test_error", 1.2 * error))
    for name in ("mother", "a", "b"):
        made.append(Row(cell, "job", name, "wall_seconds", seconds / 3))
        made.append(Row(cell, "job", name, "cpu_seconds", 2 * seconds / 3))
    return made
