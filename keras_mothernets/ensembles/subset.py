"""Which members are exported: some, the first of a ranking, or as many as are fast enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_mothernets.ensembles.latency import Latency
from keras_mothernets.ensembles.positions import positions_of
from keras_mothernets.errors import MotherNetsError, whole_number


def chosen_positions(
    names: Sequence[str], members: Sequence[str | int] | None, max_members: int | None
) -> list[int]:
    """Positions of the members that are meant, in the order in which they were named.

    Args:
        names: Names of all members.
        members: Names or positions, the best ones first; `None` for all as they are.
        max_members: Keep so many, the first ones.

    Raises:
        MotherNetsError: A member is not known or stands twice, or there is none, or
            `max_members` is no whole number of at least 1.

    Example:
        >>> chosen_positions(["vgg", "resnet", "densenet"], ["densenet", 0, 1], 2)
        [2, 0]
    """
    if max_members is not None:
        max_members = whole_number("max_members", max_members, 1)
    if members is None:
        return list(range(len(names)))[:max_members]
    positions = positions_of(names, members).tolist()
    for position in positions:
        if positions.count(position) > 1:
            raise MotherNetsError(f"Member `{names[position]}` stands twice in `members`")
    return positions[:max_members]


def within_latency(
    ranking: Sequence[int], measure: Callable[[Sequence[int]], Latency], budget: float
) -> tuple[list[int], Latency]:
    """As many members of a ranking, from its first on, as answer in time.

    Args:
        ranking: Positions of the members, the best ones first.
        measure: Measures the latency of the ensemble of some of them.
        budget: Most milliseconds that an answer may take.

    Returns:
        The members, and the latency of their ensemble.

    Raises:
        MotherNetsError: The first member alone takes longer.
    """
    kept: list[int] = []
    latency = None
    for position in ranking:
        measured = measure([*kept, position])
        if measured.median_ms > budget:
            if latency is None:
                raise MotherNetsError(
                    "The first member alone is slower than `max_latency_ms`",
                    expected=f"at most {budget:g} ms",
                    received=str(measured),
                    fix="Allow more time, begin the ranking with a faster one, or give a smaller"
                    " `batch_size`",
                )
            break
        kept, latency = [*kept, position], measured
    assert latency is not None, "there is at least one member"
    return kept, latency
