"""The tables of the page, as headers and rows of texts."""

from __future__ import annotations

from dataclasses import dataclass

from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.training.text import cell_text, duration_text


@dataclass(frozen=True)
class Table:
    """A table; the first column is of names.

    Args:
        headers: Titles of the columns, with units.
        rows: Rows of as many texts.
    """

    headers: list[str]
    rows: list[list[str]]


def phases_table(run: RunData) -> Table:
    """What mothers cost, what members cost, and both together.

    Args:
        run: The run.
    """
    headers = ["phase", "jobs", "epochs", "steps", "examples", "training [10¹² operations]"]
    headers += ["wall clock [s]", "processor [s]", "peak memory [MiB]"]
    return Table(
        headers,
        [
            [
                phase.role, f"{phase.jobs:,}", f"{phase.epochs:,}", f"{phase.steps:,}",
                cell_text(phase.examples), _flops(phase.flops), f"{phase.wall_seconds:,.1f}",
                f"{phase.cpu_seconds:,.1f}", _mebibytes(phase.peak_memory),
            ]
            for phase in run.ledger.phases()
        ],
    )  # fmt: skip


def jobs_table(run: RunData) -> Table:
    """A row for each job of the plan, finished or not.

    Args:
        run: The run.
    """
    metrics = [name for name in run.ledger.metric_names() if not _is_of_branch(name, run)]
    headers = ["job", "role", "starts from", "parameters", "epochs", "batch size", "seed"]
    headers += ["inherited [%]", "time [min:s]", "device", *metrics]
    rows = []
    for job in run.plan:
        record = run.records.get(job.name)
        cells = [job.name, job.role, str(job.start), f"{job.parameters:,}"]
        batch = "" if job.batch_size is None else str(job.batch_size)
        if record is None:
            state = run.states.get(job.name, "not finished")
            short = state if len(state) < 30 else "left out"
            rows.append([*cells, f"0/{job.epochs}", batch, str(job.seed), "", "", short])
            rows[-1] += [""] * len(metrics)
            continue
        row = record.row
        inherited = "" if row.inherited is None else f"{100 * row.inherited:.1f}"
        cells += [f"{row.epochs}/{job.epochs}", batch, str(job.seed), inherited]
        cells += [duration_text(row.wall_seconds), row.device]
        rows.append([*cells, *(cell_text(row.metrics.get(name)) for name in metrics)])
    return Table(headers, rows)


def _is_of_branch(metric: str, run: RunData) -> bool:
    """Whether it is a metric of one branch of a tree; there are too many of them for a table."""
    names = tuple(f"{job.name}_" for job in run.plan.members)
    return metric.removeprefix("val_").startswith(names)


def _flops(count: int | None) -> str:
    return "" if count is None else f"{count / 10**12:,.4g}"


def _mebibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:,.0f}"
