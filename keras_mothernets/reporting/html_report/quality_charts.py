"""Charts of what members and ensemble reach: growth, diversity, calibration."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_mothernets.ensembles import EnsembleStatistics
from keras_mothernets.reporting.html_report.chart import Chart, chart_of
from keras_mothernets.reporting.html_report.measured import growth, is_classification
from keras_mothernets.reporting.html_report.svg import (
    legend_above,
    page_figure,
    plain_axes,
    short_name,
)
from keras_mothernets.reporting.style import COLOURS, FAINT, INK, percent_axis

MOST_NAMED = 15  # more members have no names beside a matrix
MOST_WRITTEN = 6  # more members have no numbers in its cells
BINS = 10
DARK = "#010101"  # on bright cells, whatever the colours of the page


def growth_chart(statistics: EnsembleStatistics) -> Chart:
    """Draw the errors of members, ensemble and oracle as the ensemble grows.

    Args:
        statistics: Of the members.
    """
    grown = growth(statistics)
    is_classes = is_classification(statistics)
    figure = page_figure()
    axes = figure.subplots()
    count = np.arange(1, len(grown["member"]) + 1)
    axes.plot(count, grown["member"], "o", color=FAINT, markersize=4, label="the member that joins")
    axes.plot(
        count, grown["ensemble"], "o-", color=COLOURS[0], markersize=4, label="ensemble so far"
    )
    if "oracle" in grown:
        axes.plot(
            count, grown["oracle"], "s--", color=COLOURS[2], markersize=3.5,
            label="oracle: all wrong",
        )  # fmt: skip
    y = "error on these examples" if is_classes else "mean squared error"
    plain_axes(axes, x="number of members, as they were given", y=y)
    if is_classes:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 3)
    last, best = grown["ensemble"][-1], grown["member"].min()
    if is_classes:
        sentence = (
            f"All together err on {last:.1%} of the examples, the best member alone on {best:.1%};"
            f" on {grown['oracle'][-1]:.1%} every member is wrong, so no choice among them would"
            " help there."
        )
    else:
        sentence = (
            f"The mean of all has a squared error of {last:.4g}, the best member alone of"
            f" {best:.4g}."
        )
    return chart_of(figure, "growth", "Error as the ensemble grows", sentence)


def diversity_chart(statistics: EnsembleStatistics) -> Chart:
    """Draw how often each pair of members names different classes.

    Args:
        statistics: Of a classification with at least two members.
    """
    differ, names = statistics.pairs.differ, statistics.predictions.names
    shown = np.where(np.eye(len(names), dtype=bool), np.nan, differ)
    figure = page_figure(3.7)
    axes = figure.subplots()
    drawn = axes.imshow(
        shown, cmap="cividis", vmin=0, vmax=max(np.nanmax(shown), 0.01), interpolation="nearest"
    )
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    bar.set_label("share of examples", color=INK)
    bar.ax.tick_params(colors=INK, labelsize=9)
    bar.outline.set_visible(False)
    plain_axes(axes, x="", y="")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    if len(names) <= MOST_NAMED:
        ticks = range(len(names))
        short = [short_name(name) for name in names]
        axes.set_xticks(ticks, short, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, short)
    else:
        axes.set_xlabel("number of the member", color=INK)
    if len(names) <= MOST_WRITTEN:
        _write_cells(axes, shown)
    pairs = differ[np.triu_indices(len(names), k=1)]
    sentence = (
        f"Two members name different classes for {pairs.mean():.1%} of the examples, a mean over"
        f" all pairs ({pairs.min():.1%} to {pairs.max():.1%}); averaging gains from that."
    )
    return chart_of(figure, "diversity", "How often two members disagree", sentence)


def calibration_chart(statistics: EnsembleStatistics) -> Chart:
    """Draw how often the ensemble and its members are right when they are so sure.

    Args:
        statistics: Of a classification.
    """
    predictions = statistics.predictions
    figure = page_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1.2, label="as sure as right")
    groups = [("ensemble", predictions.mean()[None], COLOURS[0], "o-")]
    if predictions.num_members > 1:
        groups.append(("members, one by one", predictions.values, COLOURS[1], "s--"))
    for label, values, line_colour, marks in groups:
        sure, right, share = reliability(values, predictions.labels)
        axes.plot(sure, right, marks, color=line_colour, markersize=3, linewidth=1.3, label=label)
        axes.scatter(sure, right, s=8 + 160 * share, color=line_colour, alpha=0.45, linewidths=0)
    plain_axes(axes, x="how sure: largest probability", y="how often right")
    for axis in (axes.xaxis, axes.yaxis):
        percent_axis(axis, [0.0, 1.0])
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.05)
    legend_above(axes, 3)
    alone = np.mean([statistics.ece([n]) for n in range(predictions.num_members)])
    sentence = (
        "Dots below the dotted line are too sure, those above too modest; large dots hold many"
        f" examples. The mean gap is {statistics.ece():.1%} for the ensemble and"
        f" {alone:.1%} for a member."
    )
    return chart_of(figure, "calibration", "Are probabilities to be believed?", sentence)


def reliability(
    values: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence and share of right answers, in bins of confidence that hold any.

    Args:
        values: Probabilities, (members, examples, classes).
        labels: Class numbers, (examples,).
        bins: Number of bins of equal width.

    Returns:
        Confidence, share that is right, share of all answers, each (bins that hold any,).

    Example:
        >>> values = np.array([[[0.75, 0.25], [0.75, 0.25], [0.05, 0.95]]])
        >>> reliability(values, np.array([0, 1, 1]))[1].tolist()
        [0.5, 1.0]
    """
    confidence = values.max(axis=-1).ravel()
    right = (values.argmax(axis=-1) == labels).ravel()
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    held = counts > 0
    sure = np.bincount(bin_of, weights=confidence, minlength=bins)[held] / counts[held]
    is_right = np.bincount(bin_of, weights=right, minlength=bins)[held] / counts[held]
    return sure, is_right, counts[held] / counts.sum()


def _write_cells(axes: Axes, shown: np.ndarray) -> None:
    middle = np.nanmax(shown) / 2
    for row, column in zip(*np.nonzero(~np.isnan(shown)), strict=True):
        value = shown[row, column]
        ink = DARK if value > middle else "white"
        axes.text(
            column, row, f"{100 * value:.1f}", ha="center", va="center", fontsize=8.5, color=ink
        )
