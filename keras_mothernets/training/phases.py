"""Sums of the ledger by phase: what mothers cost, what members cost, and both together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.text import text_table

TOTAL = "total"


@dataclass(frozen=True)
class Phase:
    """The jobs of one role, or all of them, together.

    What is not known of one job is not known of all.

    Args:
        role: The role, or "total".
        jobs: How many there are.
        epochs: Sum of their epochs, and so on, as in `LedgerRow`.
        steps: Training steps.
        examples: Training examples; `None` if not known.
        flops: Floating-point operations of training; `None` if not known.
        wall_seconds: Wall clock seconds.
        cpu_seconds: Processor seconds.
        peak_memory: The largest peak, in bytes; `None` if not known.
    """

    role: str
    jobs: int
    epochs: int
    steps: int
    examples: int | None
    flops: int | None
    wall_seconds: float
    cpu_seconds: float
    peak_memory: int | None


class Phases:
    """A `Phase` for each role, in order of first appearance, then the total.

    Args:
        rows: The rows of a ledger.

    Example:
        >>> phases = Phases([LedgerRow("m", "mother", "m", epochs=9, wall_seconds=3.0),
        ...                  LedgerRow("a", "member", "a", epochs=4, wall_seconds=1.5),
        ...                  LedgerRow("b", "member", "b", epochs=4, wall_seconds=2.0)])
        >>> [(phase.role, phase.jobs, phase.epochs, phase.wall_seconds) for phase in phases]
        [('mother', 1, 9, 3.0), ('member', 2, 8, 3.5), ('total', 3, 17, 6.5)]
        >>> phases["member"].epochs
        8
    """

    def __init__(self, rows: Iterable[LedgerRow]) -> None:
        rows = list(rows)
        roles = dict.fromkeys(row.role for row in rows)
        self.rows = [_phase(role, [row for row in rows if row.role == role]) for role in roles]
        self.rows.append(_phase(TOTAL, rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.rows)

    def __getitem__(self, role: str) -> Phase:
        for phase in self.rows:
            if phase.role == role:
                return phase
        raise KeyError(role)

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        names = [entry.name for entry in fields(Phase)]
        return text_table(
            [shown_header(name) for name in names],
            [[shown_cell(name, getattr(phase, name)) for name in names] for phase in self.rows],
        )


def _phase(role: str, rows: Sequence[LedgerRow]) -> Phase:
    peaks = [row.peak_memory for row in rows]
    return Phase(
        role=role,
        jobs=len(rows),
        epochs=sum(row.epochs for row in rows),
        steps=sum(row.steps for row in rows),
        examples=_sum([row.examples for row in rows]),
        flops=_sum([row.flops for row in rows]),
        wall_seconds=sum(row.wall_seconds for row in rows),
        cpu_seconds=sum(row.cpu_seconds for row in rows),
        peak_memory=None if None in peaks else max((p for p in peaks if p is not None), default=0),
    )


def _sum(values: Sequence[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


def shown_header(column: str) -> str:
    """Title of a column in printed tables, where large numbers have units of their own."""
    return {"flops": "tera_flops", "peak_memory": "peak_mib"}.get(column, column)


def shown_cell(column: str, value: object) -> object:
    """A cell of a column in those units: 10^12 operations, 2^20 bytes."""
    if column == "flops" and isinstance(value, int):
        return value / 10**12
    if column == "peak_memory" and isinstance(value, int):
        return round(value / 2**20)
    return value
