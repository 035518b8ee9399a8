"""One trained method: what it reached and what it cost, and the tables that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mothernets.reporting.quality import Quality, quality_of
from keras_mothernets.training import History
from keras_mothernets.training.text import text_table


@dataclass(frozen=True)
class Result:
    """A trained ensemble's quality on test data, with the history of its training.

    Args:
        name: What to call it in tables and pictures, for example "MotherNets".
        history: What `fit` returned.
        quality: Measured on test data; members in the order of `member_jobs`.
        member_jobs: Names of the members' jobs, in the order of the method's members.
    """

    name: str
    history: History
    quality: Quality
    member_jobs: tuple[str, ...]

    @property
    def common_role(self) -> str:
        """What was trained for several members at once: "mother", "tree"; "" if nothing was."""
        roles = dict.fromkeys(row.role for row in self.history.ledger if row.role != "member")
        return ", ".join(roles)

    @property
    def common_seconds(self) -> float:
        """Wall clock seconds of the training of what are no members themselves."""
        return self.seconds - self.member_seconds

    @property
    def member_seconds(self) -> float:
        """Wall clock seconds of the members' own training, hatching included."""
        return self.history.ledger.total("member")

    @property
    def seconds(self) -> float:
        """Wall clock seconds of all jobs."""
        return self.history.ledger.total()


def result_of(name: str, method: Any, history: History, x: np.ndarray, y: np.ndarray) -> Result:
    """Measure a trained method on test data.

    Args:
        name: What to call it in tables and pictures.
        method: The method after `fit`.
        history: What `fit` returned.
        x: Test inputs, (examples, ...).
        y: Test classes as numbers, (examples,).

    Returns:
        A `Result`.

    Raises:
        MotherNetsError: The members are not classifiers with one output.
    """
    return Result(name, history, quality_of(method, x, y), tuple(method.finished_names))


def member_table(result: Result) -> str:
    """One line per network: parameters, share inherited, deviation at hatching, epochs, accuracy.

    Mothers and trees come first; they are no part of the ensemble and have no test accuracy. The
    deviation is the largest difference between the outputs of a hatched network and of its
    mother on real data, relative to the largest output.

    Args:
        result: A trained and measured method.

    Returns:
        Lines of text.
    """
    ledger = result.history.ledger
    accuracy = dict(zip(result.member_jobs, result.quality.member_accuracy, strict=True))
    mothers = [row.job for row in ledger if row.role != "member"]
    rows = []
    for job in [*mothers, *result.member_jobs]:
        row = ledger[job]
        rows.append(
            [
                row.job,
                row.role,
                f"{row.parameters:,}",
                "" if row.inherited is None else f"{row.inherited:.1%}",
                "" if row.deviation is None else f"{row.deviation:.1e}",
                str(row.epochs),
                f"{row.wall_seconds:.1f} s",
                f"{accuracy[job]:.2%}" if job in accuracy else "",
            ]
        )
    headers = ["network", "role", "parameters", "inherited", "deviation", "epochs", "time"]
    return _right_aligned([*headers, "test accuracy"], rows, words=2)


def time_table(results: Sequence[Result]) -> str:
    """One line per method: time of what members have in common and of them, and what came of it.

    Args:
        results: Measured methods; the first is what the others are compared with.

    Returns:
        Lines of text; "speed" says how many times faster than the first a method was.
    """
    first = results[0]
    rows = [
        [
            result.name,
            f"{result.common_seconds:.1f} s" if result.common_role else "",
            f"{result.member_seconds:.1f} s",
            f"{result.seconds:.1f} s",
            f"{first.seconds / result.seconds:.2f} x" if len(results) > 1 else "",
            f"{result.quality.accuracy:.2%}",
            f"{result.quality.best_member:.2%}",
            f"{result.quality.mean_member:.2%}",
        ]
        for result in results
    ]
    common = dict.fromkeys(result.common_role for result in results if result.common_role)
    headers = ["method", " or ".join(common) or "mother", "members", "total", "speed"]
    headers.append("ensemble accuracy")
    return _right_aligned([*headers, "best member", "mean member"], rows, words=1)


def _right_aligned(headers: list[str], rows: list[list[str]], words: int) -> str:
    """A table whose first `words` columns are words and whose others are figures with units."""
    for column in range(words, len(headers)):
        width = max(len(line[column]) for line in [headers, *rows])
        headers[column] = headers[column].rjust(width)
        for row in rows:
            row[column] = row[column].rjust(width)
    return text_table(headers, rows)
