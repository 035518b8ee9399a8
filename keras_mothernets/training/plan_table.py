"""A plan as people read it: a table of its jobs, and what they will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_mothernets.training.ledger import PRICES
from keras_mothernets.training.text import duration_text, text_table

if TYPE_CHECKING:
    from keras_mothernets.training.job import Job
    from keras_mothernets.training.plan import Plan

_HEADERS = ["job", "role", "start", "parameters", "epochs", "steps", "waits for"]
_FORECAST = ["seconds", "tera_flops", "mib"]


def plan_table(plan: Plan) -> str:
    """A line for each job; with a forecast its seconds, work and memory, and what all take.

    Args:
        plan: The plan.
    """
    rows = [_row(job) for job in plan.order()]
    if plan.forecast is None:
        return f"{plan.method}\n{text_table(_HEADERS, rows)}"
    for row, job in zip(rows, plan.order(), strict=True):
        one = plan.forecast.jobs[job.name]
        flops = None if one.flops is None else one.flops / 1e12
        row += [round(one.seconds, 1), flops, None if one.memory is None else one.memory >> 20]
    table = text_table([*_HEADERS, *_FORECAST], rows)
    return "\n".join([plan.method, table, *_summary(plan)])


def _row(job: Job) -> list[object]:
    waits = ", ".join(job.waits_for)
    return [
        job.name,
        job.role,
        str(job.start),
        job.parameters,
        job.epochs,
        job.trained_steps,
        waits,
    ]


def _summary(plan: Plan) -> Sequence[str]:
    """What the jobs take together, the longest way, and the price."""
    forecast = plan.forecast
    assert forecast is not None, "told only then"
    path = forecast.critical_path(plan)
    prices = ", ".join(
        f"{forecast.usd(plan, price):.2f} USD at the price of {name}"
        for name, price in PRICES.items()
    )
    return (
        f"All jobs one after the other: {duration_text(forecast.total)} on {forecast.device}",
        f"Longest way: {duration_text(forecast.path_seconds(path))}, {' > '.join(path)}",
        f"As long on a machine paid by the hour: {prices}",
    )
