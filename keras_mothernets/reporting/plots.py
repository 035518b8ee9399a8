"""Pictures of runs, to be understood by someone who has not seen the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.reporting.result import Result
from keras_mothernets.reporting.style import (
    FAINT,
    INK,
    MOTHER,
    colour,
    legend_beside,
    new_figure,
    percent_axis,
    save,
    tidy,
)
from keras_mothernets.training.files import check_writable

NAMED_IN_PLACE = 3  # more lines than these have their names beside the plot


def plot_results(results: Sequence[Result], path: str | Path, *, title: str = "") -> None:
    """Draw how each method's networks learned over time, and where the time went.

    Above, one panel per method with a common time axis: each line is one network, from the
    start of its training to its end, one network after the other. Below, the time of mothers
    and members as bars.

    Args:
        results: Trained and measured methods.
        path: Where to write the picture; the ending tells the format (.png, .svg, .pdf).
        title: One line at the top.

    Raises:
        MotherNetsError: The picture cannot be written there.
    """
    metric = _common_metric(results)
    figure = new_figure(9.0, 3.45 * len(results) + 1.2)
    panels = figure.subplots(
        len(results) + 1,
        1,
        sharex=True,
        height_ratios=[2.9] * len(results) + [0.55 * len(results) + 0.3],
    )
    for axes, result in zip(panels[:-1], results, strict=True):
        _learning_curves(axes, result, metric)
    lowest = min(axes.get_ylim()[0] for axes in panels[:-1])
    for axes in panels[:-1]:
        axes.set_ylim(max(0.0, lowest), 1.02)
    _time_bars(panels[-1], results)
    panels[-1].set_xlim(0, max(result.seconds for result in results) * 1.14)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK)
    save(figure, path)


@dataclass(frozen=True)
class Point:
    """One trained ensemble of a comparison.

    Args:
        method: Name of the method.
        budget: Which of the method's budgets, in words, such as "10 + 5 epochs".
        minutes: Training time.
        error: Test error of the ensemble, 0 to 1.
    """

    method: str
    budget: str
    minutes: float
    error: float


def plot_error_against_time(
    points: Sequence[Point], path: str | Path, *, title: str, clock: str, front: bool = False
) -> None:
    """Draw ensemble test error against training time: down and left is better.

    Each budget of a method is one dot at its mean over seeds, with bars of one standard
    deviation and every seed as a faint dot; dots of a method are joined.

    Args:
        points: All trained ensembles.
        path: Where to write the picture.
        title: One line at the top: data, networks, machine.
        clock: What the minutes are of, for the label of the axis: "CPU time of training".
        front: Whether to mark the Pareto front of all means.

    Raises:
        MotherNetsError: There are no points, or the picture cannot be written there.
    """
    if not points:
        raise MotherNetsError("There is nothing to draw: no ensemble has been trained yet")
    figure = new_figure(8.5, 5.0)
    axes = figure.subplots()
    methods = dict.fromkeys(point.method for point in points)
    named = not front and len(methods) <= NAMED_IN_PLACE
    draw_error_against_time(axes, points, front=front, named=named)
    if not named:
        legend_beside(axes)
    tidy(axes, title=title, x=f"{clock} [minutes, logarithmic]", y="test error of the ensemble")
    axes.margins(x=0.16, y=0.12)
    save(figure, path)


def draw_error_against_time(
    axes: Axes, points: Sequence[Point], *, front: bool, named: bool
) -> None:
    """Draw what `plot_error_against_time` does, without words around it.

    Args:
        axes: Where to.
        points: All trained ensembles.
        front: Whether to mark the Pareto front of all means.
        named: Whether names of methods stand beside their lines.
    """
    methods = list(dict.fromkeys(point.method for point in points))
    own = {method: [point for point in points if point.method == method] for method in methods}
    lines = {method: _Line.of(own[method]) for method in methods}
    for number, (method, line) in enumerate(lines.items()):
        axes.scatter(
            [point.minutes for point in own[method]], [point.error for point in own[method]],
            s=14, color=colour(number), alpha=0.3, linewidths=0,
        )  # fmt: skip
        others = [other for name, other in lines.items() if name != method]
        _draw_line(axes, line, others, colour(number), label=method)
        if named:
            _method_name(axes, method, line, colour(number))
    if front:
        _pareto_front(axes, list(lines.values()))
    axes.set_xscale("log")
    minutes = [point.minutes for point in points]
    is_wide = max(minutes) > 10 * min(minutes)
    subs = (1.0, 2.0, 5.0) if is_wide else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    percent_axis(axes.yaxis, [point.error for point in points])


def _common_metric(results: Sequence[Result]) -> str:
    """The metric to draw: validation accuracy if all jobs have it, else what they all have."""
    jobs = [history for result in results for history in result.history.jobs.values()]
    for metric in ("val_accuracy", "accuracy"):
        if all(_values(history, metric) for history in jobs if any(history.values())):
            return metric
    raise MotherNetsError(
        "Learning curves need an accuracy for every job", fix='Compile with `metrics=["accuracy"]`'
    )


def _values(history: Mapping[str, list[float]], metric: str) -> list[float]:
    """A metric's values by epoch; of a tree their mean over the branches."""
    if history.get(metric):
        return history[metric]
    is_validation, ending = metric.startswith("val_"), "_" + metric.removeprefix("val_")
    branches = [
        values
        for name, values in history.items()
        if values and name.endswith(ending) and name.startswith("val_") == is_validation
    ]
    return [float(value) for value in np.mean(branches, axis=0)] if branches else []


def _learning_curves(axes: Axes, result: Result, metric: str) -> None:
    start, members = 0.0, 0
    for row in result.history.ledger:
        is_mother = row.role != "member"
        line_colour = MOTHER if is_mother else colour(members)
        members += not is_mother
        values = _values(result.history.jobs[row.job], metric)
        if values:
            # Epochs of one job take the same time, after a first one that also compiles.
            times = start + row.wall_seconds * (np.arange(len(values)) + 1) / len(values)
            axes.plot(times, values, color=line_colour, linewidth=2.2 if is_mother else 1.6)
            middle = start + row.wall_seconds / 2
            label = axes.annotate(
                row.job, (middle, 0), xycoords=("data", "axes fraction"), xytext=(0, 4),
                textcoords="offset points", ha="center", va="bottom", fontsize=8,
                color=line_colour, weight="bold" if is_mother else "normal", rotation=90,
            )  # fmt: skip
            label.set_in_layout(False)
        start += row.wall_seconds
    axes.plot(
        [0, start], [result.quality.accuracy] * 2, color=FAINT, linewidth=1, linestyle=(0, (4, 3))
    )
    axes.annotate(
        f"ensemble\n{result.quality.accuracy:.1%} of\ntest data", (start, result.quality.accuracy),
        xytext=(5, 0), textcoords="offset points", va="top", fontsize=8, color=INK,
    )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    words = "validation accuracy" if metric == "val_accuracy" else "training accuracy"
    tidy(axes, title=f"{result.name}: one network after the other", x="", y=words)


def _time_bars(axes: Axes, results: Sequence[Result]) -> None:
    longest = max(result.seconds for result in results)
    for height, result in enumerate(results):
        split = (
            (result.common_seconds, MOTHER, result.common_role),
            (result.member_seconds, "#9fb8c9", "members"),
        )
        left = 0.0
        for seconds, fill, words in split:
            if not seconds:
                continue
            axes.barh(height, seconds, left=left, height=0.62, color=fill)
            ink = "white" if fill == MOTHER else INK
            if seconds > 0.08 * longest:  # else there is no room for words
                axes.text(
                    left + seconds / 2, height, words, ha="center", va="center", fontsize=8,
                    color=ink,
                )  # fmt: skip
            left += seconds
        axes.annotate(
            f"{left:.0f} s", (left, height), xytext=(6, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(results)), [result.name for result in results])
    axes.invert_yaxis()
    tidy(axes, title="Where the time went", x="training time [seconds]", y="")
    axes.grid(visible=False)


@dataclass(frozen=True)
class _Line:
    """A method's means over seeds, by budget in order of time."""

    budgets: list[str]
    minutes: list[float]
    errors: list[float]
    spread: list[float]

    @classmethod
    def of(cls, points: Sequence[Point]) -> _Line:
        """The line through some points of one method."""
        budgets = list(dict.fromkeys(point.budget for point in points))
        groups = [[point for point in points if point.budget == budget] for budget in budgets]
        groups.sort(key=lambda group: float(np.mean([point.minutes for point in group])))
        errors = [[point.error for point in group] for group in groups]
        return cls(
            [group[0].budget for group in groups],
            [float(np.mean([point.minutes for point in group])) for group in groups],
            [float(np.mean(each)) for each in errors],
            [float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in errors],
        )

    def at(self, minutes: float) -> float:
        """Its error at some time, in between as it is drawn."""
        return float(np.interp(np.log(minutes), np.log(self.minutes), self.errors))


def _pareto_front(axes: Axes, lines: Sequence[_Line]) -> None:
    """A faint staircase through the means that nothing beats in both time and error."""
    means = sorted(pair for line in lines for pair in zip(line.minutes, line.errors, strict=True))
    best = np.minimum.accumulate([error for _, error in means])
    axes.step(
        [minutes for minutes, _ in means], best, where="post", color=FAINT, linewidth=5, alpha=0.25,
        zorder=0, label="best of all at each time",
    )  # fmt: skip


def _draw_line(
    axes: Axes, line: _Line, others: Sequence[_Line], line_colour: str, label: str
) -> None:
    axes.errorbar(
        line.minutes, line.errors, yerr=line.spread, color=line_colour, marker="o", markersize=6,
        linewidth=1.8, elinewidth=1.2, capsize=3, label=label,
    )  # fmt: skip
    for number, (words, x, y) in enumerate(
        zip(line.budgets, line.minutes, line.errors, strict=True)
    ):
        # Away from the other lines, so that words do not cross them.
        is_low = bool(others) and y < min(other.at(x) for other in others)
        axes.annotate(
            words.removesuffix(" epochs") if number else words, (x, y), color=line_colour,
            xytext=(-6, -6) if is_low else (6, 6), textcoords="offset points", fontsize=8,
            ha="right" if is_low else "left", va="top" if is_low else "bottom",
        )  # fmt: skip


def _method_name(axes: Axes, name: str, line: _Line, line_colour: str) -> None:
    axes.annotate(
        name, (line.minutes[0], line.errors[0]), xytext=(-6, 8), textcoords="offset points",
        ha="right", fontsize=11, weight="bold", color=line_colour,
    )  # fmt: skip


def check_picture(path: Path) -> None:
    """Whether a picture can be written to a file, to be asked before hours of training.

    Raises:
        MotherNetsError: It cannot, or the ending is that of no format.
    """
    check_writable(path)
    endings = sorted(FigureCanvasBase.filetypes)
    if path.suffix.removeprefix(".").lower() not in endings:
        raise MotherNetsError(
            f"`{path}` has not the ending of a picture",
            expected=f"one of {', '.join(f'.{ending}' for ending in endings)}",
        )
