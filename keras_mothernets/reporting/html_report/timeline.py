"""What ran when and on which worker, drawn from the log."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from keras_mothernets.reporting.html_report.chart import Chart, chart_of
from keras_mothernets.reporting.html_report.log_times import RESOLUTION, Span
from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.reporting.html_report.svg import page_figure, plain_axes, short_name
from keras_mothernets.reporting.style import COLOURS, FAINT, MOTHER
from keras_mothernets.training.text import duration_text

MOST_ROWS = 24  # more jobs are drawn in a row for each worker, without names
_FAILED = COLOURS[1]
_MEMBER = COLOURS[0]


def timeline(run: RunData) -> Chart:
    """Draw the jobs of a run over time.

    Args:
        run: A run of which something is finished.
    """
    spans = run.times.spans
    names = list(dict.fromkeys(span.job for span in spans))
    by_job = len(names) <= MOST_ROWS
    rows = names if by_job else [f"worker {n + 1}" for n in range(run.times.workers)]
    figure = page_figure(1.3 + 0.21 * len(rows))
    axes = figure.subplots()
    divisor, unit = _unit(max(span.end for span in spans))
    for span in spans:
        row = names.index(span.job) if by_job else span.worker
        length = _seconds(run, span) / divisor
        axes.barh(
            row, length, left=span.start / divisor, height=0.62, color=_colour(run, span.job),
            edgecolor="none" if by_job else "white", linewidth=0 if by_job else 0.3,
        )  # fmt: skip
    has_forecast = _predicted(axes, run, names, divisor) if by_job else False
    for stop in run.times.stops:
        axes.axvline(stop / divisor, color=FAINT, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(rows)), [_label(run, row) for row in rows] if by_job else rows)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    plain_axes(axes, x=f"time since the run began [{unit}]", y="")
    axes.grid(visible=False)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _legend(axes, run, has_forecast)
    return chart_of(figure, "timeline", "When each network was trained", _sentence(run))


def _seconds(run: RunData, span: Span) -> float:
    """How long a job ran: the log tells seconds, the ledger parts of them."""
    logged = span.end - span.start
    record = run.records.get(span.job)
    if record is not None and abs(record.row.wall_seconds - logged) <= 2 * RESOLUTION:
        return record.row.wall_seconds
    return max(logged, RESOLUTION / 2)


def _colour(run: RunData, job: str) -> str:
    if job not in run.records:
        return _FAILED
    return _MEMBER if run.plan[job].role == "member" else MOTHER


def _label(run: RunData, job: str) -> str:
    if run.times.workers == 1:
        return short_name(job)
    numbers = sorted({span.worker + 1 for span in run.times.spans if span.job == job})
    return f"{short_name(job)} (w{', w'.join(map(str, numbers))})"


def _predicted(axes: Axes, run: RunData, names: list[str], divisor: float) -> bool:
    """A thin line below each bar, as long as the job was predicted to take."""
    predicted = run.predicted
    for row, name in enumerate(names):
        start = min(span.start for span in run.times.spans if span.job == name)
        if name in predicted:
            axes.plot(
                [start / divisor, (start + predicted[name]) / divisor], [row + 0.42] * 2,
                color=COLOURS[4], linewidth=2, solid_capstyle="butt",
            )  # fmt: skip
    return bool(predicted)


def _legend(axes: Axes, run: RunData, has_forecast: bool) -> None:
    jobs = {span.job for span in run.times.spans}
    roles = list(dict.fromkeys(run.plan[name].role for name in jobs))
    entries = [
        Patch(color=_MEMBER if role == "member" else MOTHER, label=role) for role in sorted(roles)
    ]
    if any(name not in run.records for name in jobs):
        entries.append(Patch(color=_FAILED, label="not finished"))
    if has_forecast:
        entries.append(Patch(color=COLOURS[4], label="predicted"))
    axes.legend(
        handles=entries, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, frameon=False,
        fontsize=9, handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip


def _sentence(run: RunData) -> str:
    ledger = run.ledger
    common = ledger.total() - ledger.total("member")
    words = f"All jobs together took {duration_text(ledger.total())} (minutes:seconds)"
    if common:
        words += f", {common / ledger.total():.0%} of it for what members have in common"
    words += "."
    if run.predicted.keys() >= run.records.keys():
        told = sum(run.predicted[name] for name in run.records)
        words += f" {duration_text(told)} had been predicted."
    if not run.times.is_measured:
        return words + " When jobs began is not kept in memory: they stand one after the other."
    if run.times.workers > 1:
        words += (
            f" Up to {run.times.workers} jobs ran side by side; w1, w2, ... are workers as these"
            " times tell them apart."
        )
    if run.times.stops:
        words += " At dotted lines the run had stopped and went on; the pause is cut out."
    return words


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")
