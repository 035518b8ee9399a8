"""The results of a comparison in words: a table, and the time to an error."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np

from keras_mothernets.reporting.compared import Cell, Results
from keras_mothernets.training.text import text_table

# Measures of the table, how they are called there, and what they are multiplied with.
_COLUMNS = {
    "test_error": ("error %", 100.0),
    "test_nll": ("NLL", 1.0),
    "test_ece": ("ECE %", 100.0),
    "mean_member_error": ("mean member %", 100.0),
    "oracle_error": ("oracle %", 100.0),
    "disagreement": ("disagreement %", 100.0),
}


def table(results: Results, clock: str = "wall", *, variants: bool = True) -> str:
    """One line per budget, method and variant, with means and standard deviations over seeds.

    Args:
        results: All results.
        clock: "wall" or "cpu": which seconds are the time.
        variants: Whether to show all variants of a method, the best one on held-out examples
            marked with a star; else only that one.

    Returns:
        Lines of text.
    """
    headers, lines = table_rows(results, clock, variants=variants)
    return text_table(headers, lines)


def table_rows(
    results: Results, clock: str = "wall", *, variants: bool = True
) -> tuple[list[str], list[list[str]]]:
    """The headers and the cells of `table`."""
    shown = {
        measure: column
        for measure, column in _COLUMNS.items()
        if any(row.measure == measure and row.part == "ensemble" for row in results.rows)
    }
    lines = []
    for budget in results.budgets:
        for method in results.methods:
            best = results.best(method, budget)
            for cells in results.variants(method, budget) if variants else filter(None, [best]):
                minutes = [second / 60 for second in results.over_seeds(cells, f"{clock}_seconds")]
                figures = [
                    with_spread(
                        [factor * value for value in results.over_seeds(cells, measure)],
                        digits=3 if factor == 1.0 else 1,
                    )
                    for measure, (_, factor) in shown.items()
                ]
                star = "*" if variants and cells == best else ""
                lines.append(
                    [f"{budget}", method + star, settings_of(cells[0]), with_spread(minutes)]
                    + [*figures, str(len(cells))]
                )
    titles = [title for title, _ in shown.values()]
    return ["budget", "method", "settings", f"{clock} minutes", *titles, "seeds"], lines


def settings_of(cell: Cell) -> str:
    """The settings of a variant and its learning rate."""
    if "learning_rate" in cell.settings:
        return cell.settings
    return ", ".join(filter(None, [cell.settings, f"learning_rate={cell.learning_rate:g}"]))


def with_spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation.

    Example:
        >>> with_spread([1.0, 2.0]), with_spread([1.0])
        ('1.5 ± 0.7', '1.0')
    """
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def seconds_to(
    results: Results,
    method: str,
    error: float,
    clock: str = "wall",
    *,
    measure: str = "test_error",
) -> float | None:
    """The training time with which a method comes to an error, read off between its budgets.

    Args:
        results: All results.
        method: Name of the method.
        error: Test error, 0 to 1; means over seeds are meant.
        clock: "wall" or "cpu".
        measure: Another measure of the ensemble that `error` is of, such as "test_nll".

    Returns:
        Seconds, of a straight line over the logarithm of time between the two budgets
        around it. Of the smallest budget if that is good enough already; `None` if none is.
    """
    points = []
    for budget in results.budgets:
        if cells := results.best(method, budget):
            seconds = mean(results.over_seeds(cells, f"{clock}_seconds"))
            points.append((seconds, mean(results.over_seeds(cells, measure))))
    points.sort()
    for number, (seconds, reached) in enumerate(points):
        if reached <= error:
            if not number:
                return seconds
            before, worse = points[number - 1]
            share = (worse - error) / (worse - reached)
            return float(np.exp(np.log(before) + share * np.log(seconds / before)))
    return None
