"""Writes docs/PLANNING.md: the guide, and the tables that `benchmark_planner.py` has kept."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def write_page(page: Path, results: Path) -> None:
    """Put the measured tables into the page, between two marks; its other text stays.

    Args:
        page: The page; it must have the marks.
        results: Folder of the kept tables.
    """
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(results)}\n\n{END}{after}")


def measured(results: Path) -> str:
    """The tables in words and figures."""
    parts = [_jobs(results)]
    if (results / "choice.csv").exists():
        parts.append(_choice(results))
    if (results / "many.csv").exists():
        parts.append(_many(results))
    return "\n\n".join(parts)


def _jobs(results: Path) -> str:
    rows = _read(results / "jobs.csv")
    alone = [row for row in rows if not _is_plan(row)]
    plans = [row for row in rows if _is_plan(row)]
    device = (results / "device.txt").read_text().strip()
    lines = [
        f"Written by `tools/benchmark_planner.py jobs`. {device}."
        " Every row is one training, predicted before it began, as `plan` does; nothing was"
        " fitted to these networks, and nothing learned from their trainings. By laws alone:"
        " without measuring the layers of a network at their own sizes. Pace: how many times as"
        " long a few layers took just before than when the device was measured.",
        _table(
            [
                "network",
                "batch",
                "pace",
                "predicted s",
                "measured s",
                "error",
                "error by the laws alone",
            ],
            [
                [
                    row["network"],
                    row["batch"],
                    f"{float(row['pace']):.2f}",
                    f"{float(row['measured layers']):.1f}",
                    f"{float(row['measured']):.1f}",
                    _error(row, "measured layers"),
                    _error(row, "by laws"),
                ]
                for row in rows
            ],
        ),
    ]
    for which, words in (
        ("measured layers", "With layers measured"),
        ("by laws", "By the laws alone"),
    ):
        found = [abs(_ratio(row, which)) for row in alone]
        of_plans = ", ".join(f"{_ratio(row, which):+.1%}" for row in plans)
        lines.append(
            f"{words}: median error {statistics.median(found):.1%}, worst {max(found):.1%} over"
            f" {len(alone)} networks; the plan of MotherNets, each time it was trained: {of_plans}."
        )
    return "\n\n".join(lines)


def _choice(results: Path) -> str:
    rows = _read(results / "choice.csv")
    what = (results / "choice.txt").read_text().strip()
    parts = [
        "### The choice of the number of MotherNets",
        f"Written by `tools/benchmark_planner.py choice`: {what}."
        " For each budget, every number of MotherNets was trained for the epochs that were proposed"
        " for it; regret is what the proposed one (bold) lacks to the best.",
    ]
    body = []
    for row in rows:
        mark = "**" if row["best"] == "True" else ""
        body.append([
            f"{float(row['budget']):.0f} s", row["seed"], f"{mark}{row['clusters']}{mark}",
            row["epochs"], f"{float(row['predicted']):.0f}", f"{float(row['measured']):.0f}",
            f"{100 * float(row['error']):.1f}", f"{float(row['nll']):.3f}",
        ])  # fmt: skip
    headers = [
        "budget",
        "seed",
        "MotherNets",
        "epochs",
        "predicted s",
        "measured s",
        "error %",
        "NLL",
    ]
    parts.append(_table(headers, body))
    parts.append(_regrets(rows))
    found = [abs(float(row["predicted"]) / float(row["measured"]) - 1) for row in rows]
    parts.append(
        f"These are {len(rows)} more plans of MotherNets, predicted before they were trained:"
        f" median error {statistics.median(found):.1%}, worst {max(found):.1%}."
    )
    return "\n\n".join(parts)


def _many(results: Path) -> str:
    rows = _read(results / "many.csv")
    body = [[row["question"], f"{float(row['seconds']):.1f}"] for row in rows]
    return "\n\n".join([
        "### A hundred networks",
        "Written by `tools/benchmark_planner.py many`: V100 an eighth as wide, wall clock seconds"
        " until the answer, with the layers that are measured for it.",
        _table(["question", "seconds"], body),
    ])  # fmt: skip


def _is_plan(row: dict[str, str]) -> bool:
    return row["network"].startswith(("plan", "V5"))


def _regrets(rows: Sequence[dict[str, str]]) -> str:
    words = []
    for budget in dict.fromkeys(row["budget"] for row in rows):
        of_budget = [row for row in rows if row["budget"] == budget]
        errors, times = [], []
        for seed in dict.fromkeys(row["seed"] for row in of_budget):
            group = [row for row in of_budget if row["seed"] == seed]
            chosen = next(row for row in group if row["best"] == "True")
            errors.append(float(chosen["error"]) - min(float(row["error"]) for row in group))
            times.append(float(chosen["measured"]) / float(budget) - 1)
        words.append(
            f"{float(budget):.0f} s: {100 * statistics.mean(errors):.1f} points of error,"
            f" {statistics.mean(times):+.0%} of the budget in time"
        )
    return f"Regret of what was proposed: {'; '.join(words)}."


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _ratio(row: dict[str, str], which: str) -> float:
    return float(row[which]) / float(row["measured"]) - 1


def _error(row: dict[str, str], which: str) -> str:
    return f"{_ratio(row, which):+.0%}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
