"""Learning curves along each network's line of descent, with the instant of hatching."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_mothernets.reporting.html_report.chart import Chart, chart_of
from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.reporting.html_report.svg import CROWD, page_figure, plain_axes, short_name
from keras_mothernets.reporting.style import FAINT, INK, MOTHER, colour
from keras_mothernets.training import JobRecord
from keras_mothernets.training.job import Branch, Continue, Hatch, Job

MOST_NAMED = 8  # more members are drawn in one colour, without names


def learning_curves(run: RunData) -> list[Chart]:
    """A chart of the accuracy, where there is one, and a chart of the loss.

    Args:
        run: The run.
    """
    metrics = [_metric(run, "accuracy"), _metric(run, "loss")]
    return [_chart(run, metric) for metric in metrics if metric is not None]


def _metric(run: RunData, ending: str) -> str | None:
    """The metric that most jobs have, on validation data if there are any."""
    names = [
        name
        for record in run.records.values()
        for name, values in record.history.items()
        if values and name.endswith(ending)
    ]
    names.sort(key=lambda name: (not name.startswith("val_"), -names.count(name)))
    return names[0] if names else None


def _chart(run: RunData, metric: str) -> Chart:
    figure = page_figure()
    axes = figure.subplots()
    members = [job for job in run.plan.members if job.name in run.records]
    is_crowd = len(members) > MOST_NAMED
    hatched: dict[int, None] = {}
    for record in run.records.values():
        values = record.history.get(metric, [])
        start = epochs_before(run, record.job)
        if start and isinstance(record.job.start, Hatch):
            hatched[start] = None
        if not values:
            continue
        is_member = record.job.role == "member"
        line_colour = MOTHER
        if is_member:
            line_colour = CROWD if is_crowd else colour(members.index(record.job))
        label = short_name(record.job.name) if not is_member or not is_crowd else ""
        axes.plot(
            *_line(run, record, metric, start), color=line_colour, label=label,
            linewidth=2.2 if not is_member else 0.7 if is_crowd else 1.5,
            marker="o", markersize=2.5 if not is_crowd else 1.2, zorder=2 if is_member else 3,
        )  # fmt: skip
    _mark_hatching(axes, list(hatched))
    is_validation = metric.startswith("val_")
    words = metric.removeprefix("val_").replace("_", " ")
    unit = "0 to 1" if metric.endswith("accuracy") else "as compiled"
    where = "validation" if is_validation else "training"
    plain_axes(axes, x="epochs, those of its mother counted", y=f"{where} {words} [{unit}]")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if 0 < len(axes.get_legend_handles_labels()[0]):
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=3, frameon=False, fontsize=8.5,
            handlelength=1.4, columnspacing=1.0,
        )  # fmt: skip
    sentence = _sentence(bool(hatched), is_validation, is_crowd, len(members))
    return chart_of(
        figure, f"curve-{words.replace(' ', '-')}", f"Learning: {where} {words}", sentence
    )


def epochs_before(run: RunData, job: Job) -> int:
    """Epochs that the network's line has behind it when its job begins."""
    if not isinstance(job.start, (Hatch, Continue, Branch)):
        return 0
    parent = job.start.parent
    own = run.records[parent].row.epochs if parent in run.records else run.plan[parent].epochs
    return own + epochs_before(run, run.plan[parent])


def _line(
    run: RunData, record: JobRecord, metric: str, start: int
) -> tuple[list[float], list[float]]:
    """The curve of a job; it begins where its mother's ended, so that the change is seen."""
    values = record.history[metric]
    stride = record.row.epochs / len(values)  # validated every so many epochs
    x = list(start + stride * (np.arange(len(values)) + 1))
    if isinstance(record.job.start, Hatch) and record.job.start.parent in run.records:
        before = run.records[record.job.start.parent].history.get(metric, [])
        if before:
            return [float(start), *x], [before[-1], *values]
    return x, list(values)


def _mark_hatching(axes: Axes, epochs: list[int]) -> None:
    for number, epoch in enumerate(epochs):
        axes.axvline(epoch, color=FAINT, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
        if not number:
            is_early = epoch <= 2  # there is no room to the left
            axes.annotate(
                "hatched", (epoch, 0), xycoords=("data", "axes fraction"),
                xytext=(3 if is_early else -3, 3), textcoords="offset points",
                ha="left" if is_early else "right", fontsize=8.5, color=INK,
            )  # fmt: skip


def _sentence(is_hatched: bool, is_validation: bool, is_crowd: bool, count: int) -> str:
    words = "Each line is one network"
    words += f"; the {count} members share a colour." if is_crowd else "."
    if is_hatched:
        words += (
            " Members begin where the thick line of their mother ends, at the dashed instant of"
            " hatching, since they compute what she computes."
        )
    if not is_validation:
        words += " There were no validation data, so these are values on the training data."
    return words
