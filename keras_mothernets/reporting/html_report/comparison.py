"""Several methods on one ensemble: error against time, from a folder of `compare`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.reporting.compared import Results
from keras_mothernets.reporting.compared_table import table_rows
from keras_mothernets.reporting.html_report.chart import Chart, chart_of
from keras_mothernets.reporting.html_report.svg import legend_above, page_figure, plain_axes
from keras_mothernets.reporting.html_report.tables import Table
from keras_mothernets.reporting.plots import Point, draw_error_against_time

CLOCK = "wall"


@dataclass(frozen=True)
class Comparison:
    """What `keras-mothernets compare` found out.

    Args:
        title: What was trained on what.
        chart: Error against time.
        table: The best variant of each method at each budget.
    """

    title: str
    chart: Chart
    table: Table


def read_comparison(folder: str | os.PathLike[str]) -> Comparison:
    """Read the folder of a comparison.

    Args:
        folder: What `compare --out` wrote.

    Raises:
        MotherNetsError: There are no results in it.
    """
    place = Path(folder)
    results = Results.read(place / "results.csv")
    if not results.rows:
        raise MotherNetsError(
            f"There is no comparison in `{place}`",
            expected="a folder that `keras-mothernets compare --out` wrote, with a results.csv",
            fix="Compare first, or leave `comparison` out",
        )
    headers, rows = table_rows(results, CLOCK, variants=False)
    return Comparison(_title(place), _chart(results), Table(*_name_first(headers, rows)))


def _name_first(headers: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table with the method in front of the budget."""
    swap = [1, 0, *range(2, len(headers))]
    return [headers[n] for n in swap], [[row[n] for n in swap] for row in rows]


def _title(folder: Path) -> str:
    """What was trained on what, where the folder says it."""
    try:
        there: dict[str, Any] = json.loads((folder / "settings.json").read_text())
    except (OSError, ValueError):
        return folder.name
    words = f"{there.get('ensemble', '?')} on {there.get('dataset', '?')}"
    if there.get("train_size"):
        words += f", {there['train_size']:,} training examples"
    return words + (f" ({there['note']})" if there.get("note") else "")


def _chart(results: Results) -> Chart:
    points = [
        Point(
            method,
            f"{budget}",
            results.value(cell, f"{CLOCK}_seconds") / 60,
            results.value(cell, "test_error"),
        )
        for budget in results.budgets
        for method in results.methods
        for cell in results.best(method, budget)
    ]
    figure = page_figure(3.9)
    axes = figure.subplots()
    draw_error_against_time(axes, points, front=True, named=False)
    plain_axes(axes, x="training time [minutes, logarithmic]", y="test error of the ensemble")
    legend_above(axes, 2)
    return chart_of(figure, "comparison", "Error against training time", _sentence(points))


def _sentence(points: list[Point]) -> str:
    means = {}
    for method, budget in dict.fromkeys((point.method, point.budget) for point in points):
        own = [point for point in points if (point.method, point.budget) == (method, budget)]
        means[method, budget] = (mean(one.minutes for one in own), mean(one.error for one in own))
    (best, budget), (minutes, error) = min(means.items(), key=lambda item: item[1][1])
    front = [
        method
        for (method, _), (its, wrong) in means.items()
        if not any(t <= its and e <= wrong and (t, e) != (its, wrong) for t, e in means.values())
    ]
    return (
        "Down and to the left is better; each dot is a method with a budget, its number beside it."
        f" The least error is {error:.1%}, of {best} with budget {budget} in {minutes:.2g} minutes."
        f" No other is both faster and better than: {', '.join(dict.fromkeys(front))}."
    )
