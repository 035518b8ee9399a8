"""What a budget of time allows a MotherNets method: clusters, epochs and workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from keras_mothernets.errors import MotherNetsError, finite_number, whole_number
from keras_mothernets.member import Member
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.planning import Predictor
from keras_mothernets.planning.budget import seconds_of
from keras_mothernets.planning.choice import Proposals, propose
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.plan import Plan

MEASURES = 2.0  # seconds, for layers of each option at their own sizes
ALL_UP_TO = 8  # members for which all numbers of clusters are looked at


def proposals(
    context: RunContext,
    design_of: Callable[[int], Callable[[Schedule], Design]],
    members: int,
    schedule: Schedule,
    predictor: Predictor,
    *,
    budget: Any = None,
    usd: float | None = None,
    price: float = 0.9,
    clusters: Sequence[int] | None = None,
    workers: Sequence[int] = (1,),
    faster: float = 1.0,
) -> Proposals:
    """See `MotherNets.propose`.

    Args:
        context: Data and settings of the run.
        design_of: For a number of clusters what makes the jobs for a schedule.
        members: Number of members.
        schedule: Batch size and steps; its epochs count where there is no budget.
        predictor: Knows this device.
        budget: See `MotherNets.propose`, and so are all others.
        usd: Money in place of time.
        price: USD per hour.
        clusters: Numbers of clusters.
        workers: Numbers of worker processes.
        faster: Factor on the speed of this device.
    """
    seconds = _seconds(budget, usd, price)
    counts = _counts(clusters, members)
    faster = finite_number("faster", faster, above=True)
    numbers = [whole_number("workers", number, 1) for number in workers]
    for number in numbers:
        predictor.costs.know_workers(number)
    designs: dict[int, Callable[[Schedule], Design]] = {}

    def plan_of(count: int, epochs: int) -> Plan:
        if count not in designs:
            designs[count] = design_of(count)
        made = designs[count](replace(schedule, epochs=epochs))
        plan = Plan(f"{count} clusters", made.jobs)
        its = replace(context, networks=made.networks, members={**made.others, **context.members})
        return replace(plan, forecast=predictor(plan, its).times(1 / faster))

    return propose(
        plan_of,
        counts,
        budget=seconds,
        epochs=None if seconds else schedule.epochs,
        workers=numbers,
        exhaustive=clusters is not None or members <= ALL_UP_TO,
    )


def _seconds(budget: Any, usd: float | None, price: float) -> float | None:
    if budget is not None and usd is not None:
        raise MotherNetsError("`budget` and `usd` were both given", expected="one of them")
    if usd is not None:
        price = finite_number("price", price, above=True)
        return finite_number("usd", usd, above=True) / price * 3600
    return None if budget is None else seconds_of(budget)


def _counts(clusters: Sequence[int] | None, members: int) -> list[int]:
    if clusters is None:
        return list(range(1, members + 1))
    counts = sorted({whole_number("clusters", count, 1) for count in clusters})
    if not counts or counts[-1] > members:
        raise MotherNetsError(
            "`clusters` are not possible numbers of clusters",
            expected=f"numbers from 1 to the number of members, {members}",
            received=repr(list(clusters)),
        )
    return counts


def without(members: Sequence[Member], names: str | Collection[str]) -> list[Member]:
    """Members but for those of these names.

    Args:
        members: The members.
        names: A name, or several.

    Raises:
        MotherNetsError: A name is not known, or nobody is left.
    """
    names = [names] if isinstance(names, str) else list(names)
    known = [member.label for member in members]
    for name in names:
        if name not in known:
            raise MotherNetsError(
                f"There is no member `{name}` to leave out", expected=f"one of {known}"
            )
    left = [member for member in members if member.label not in names]
    if not left:
        raise MotherNetsError("No member is left", fix="Leave out fewer of them")
    return left
