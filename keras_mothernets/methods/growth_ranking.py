"""What growth at each place of a network gained, beside what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.surgery import Place
from keras_mothernets.training.text import text_table

PARAMETERS, FLOPS = 1_000, 1_000_000  # of which a gain is told


@dataclass(frozen=True)
class GrowthGain:
    """What growth at one place gained.

    Args:
        place: The place.
        added_parameters: Parameters that the grown network has more.
        added_flops: Floating-point operations of the forward pass of one example that it needs
            more; `None` if not known.
        gains: For each seed, how much lower its held-out loss is than that of the same network
            trained on as long without growth.
    """

    place: Place
    added_parameters: int
    added_flops: int | None
    gains: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Mean of the gains."""
        return statistics.fmean(self.gains)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the gains over the seeds; `None` of a single one."""
        return statistics.stdev(self.gains) if len(self.gains) > 1 else None

    @property
    def per_parameter(self) -> float | None:
        """Mean gain per 1,000 added parameters; `None` if none were added."""
        return self.gain * PARAMETERS / self.added_parameters if self.added_parameters else None

    @property
    def per_flop(self) -> float | None:
        """Mean gain per million added operations; `None` if there are none, or not known."""
        return self.gain * FLOPS / self.added_flops if self.added_flops else None


_COLUMNS = {"gain": "gain", "parameter": "per_parameter", "flop": "per_flop"}


class GrowthRanking:
    """Places in the order of what growth gains there, best first; printed as a table.

    A gain that is smaller than its spread over the seeds says nothing.

    Args:
        rows: One for each place.
        by: "parameter", "flop" or "gain": what they are ranked by.
        left_out: Why other places were not tried.

    Raises:
        MotherNetsError: `by` is something else, or not known of any place.

    Example:
        >>> rows = [GrowthGain(Place((name,), "wider"), added, 100, (0.02, 0.04))
        ...         for name, added in (("wide", 6000), ("narrow", 100))]
        >>> ranking = GrowthRanking(rows)
        >>> [row.place.where for row in ranking], round(ranking[0].per_parameter, 3)
        (['narrow', 'wide'], 0.3)
    """

    def __init__(
        self,
        rows: Sequence[GrowthGain],
        by: str = "parameter",
        left_out: Mapping[Place, str] | None = None,
    ) -> None:
        if by not in _COLUMNS:
            raise MotherNetsError(
                "Places cannot be ranked so",
                expected="`by` one of " + ", ".join(f'"{name}"' for name in _COLUMNS),
                received=repr(by),
            )
        worth = [(getattr(row, _COLUMNS[by]), row) for row in rows]
        if all(value is None for value, _ in worth):
            raise MotherNetsError(
                f"Places cannot be ranked by {by}, for what is added is not known of any",
                fix='Choose `by="parameter"`, or `by="gain"`',
            )
        known = sorted((entry for entry in worth if entry[0] is not None), key=lambda e: -e[0])
        self.rows = [row for _, row in known] + [row for value, row in worth if value is None]
        self.by = by
        self.left_out = dict(left_out or {})

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[GrowthGain]:
        return iter(self.rows)

    def __getitem__(self, position: int) -> GrowthGain:
        return self.rows[position]

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        headers = ["place", "growth", "parameters", "MFLOP", "gain", "spread"]
        rows = [
            [row.place.where, row.place.kind, row.added_parameters]
            + [None if row.added_flops is None else row.added_flops / FLOPS]
            + [row.gain, row.spread, row.per_parameter, row.per_flop]
            for row in self.rows
        ]
        table = text_table([*headers, "per 1,000 parameters", "per MFLOP"], rows)
        notes = [f"left out: {place}: {reason}" for place, reason in self.left_out.items()]
        seeds = len(self.rows[0].gains)
        head = f"Gain in held-out loss by growth, seeds: {seeds}; ranked by {self.by}"
        return "\n".join([head, table, *notes])
