"""How many clusters and epochs to take for a budget of time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.job import Continue, Hatch, Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.text import duration_text, text_table

PlanOf = Callable[[int, int], Plan]
"""Gives the plan, with its forecast, for a number of clusters and a number of epochs."""

MOST_EPOCHS = 100_000
STRIDE = 8  # factor between the first guesses
MOST_LEVELS = 8  # epochs that may be needed to give each network on the way to a mother one
# With more clusters the search ends after so many of them were worse than the best.
WORSE = 2


@dataclass(frozen=True)
class Proposal:
    """A way to spend a budget.

    Args:
        n_clusters: Number of MotherNets.
        epochs: Epochs of a mother, as `fit` takes them.
        workers: Processes that train side by side; 1 is this process alone.
        seconds: Predicted wall clock seconds.
        effective_epochs: See `effective_epochs`.
        plan: The jobs, with their forecast.
    """

    n_clusters: int
    epochs: int
    workers: int
    seconds: float
    effective_epochs: float
    plan: Plan = field(repr=False, compare=False)


@dataclass(frozen=True)
class Proposals:
    """What a budget allows, for each number of clusters that was looked at.

    Args:
        options: In the order of their numbers of clusters.
        budget: Seconds that there are; `None` where the epochs were given.
        alike: Seconds of each option if all had the epochs of the best one.

    Example:
        >>> plan = Plan("example", (Job("a", "member", "a"),))
        >>> one = Proposal(1, 20, 1, 90.0, 12.0, plan)
        >>> print(Proposals((one, Proposal(2, 11, 1, 88.0, 9.5, plan)), budget=90.0))
        clusters  epochs  workers  time  effective epochs
               1      20        1  1:30                12  best
               2      11        1  1:28               9.5
    """

    options: tuple[Proposal, ...]
    budget: float | None = None
    alike: tuple[float, ...] = ()

    @property
    def best(self) -> Proposal:
        """The option whose members have learned from most epochs; of equals the fastest."""
        return max(self.options, key=lambda one: (one.effective_epochs, -one.seconds))

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        best = self.best
        return text_table(
            ["clusters", "epochs", "workers", "time", "effective epochs", ""],
            [
                [
                    one.n_clusters,
                    one.epochs,
                    one.workers,
                    duration_text(one.seconds),
                    float(one.effective_epochs),
                    "best" if one is best else "",
                ]
                for one in self.options
            ],
        )


def effective_epochs(plan: Plan) -> float:
    """How many epochs the members have learned from, their mothers' counted as far as inherited.

    A hatched member has its own epochs, and those of its mother times the fraction of its
    parameters that come from her; the mean over the members is what options are compared by.
    More clusters let members inherit more, from mothers who had less time. It is a guess at what
    training is worth and says nothing of diversity; `docs/PLANNING.md` has how good it is.

    Args:
        plan: The plan.

    Returns:
        Epochs, a mean over the members.

    Example:
        >>> jobs = (Job("m", "mother", "m", epochs=10),
        ...         Job("a", "member", "a", Hatch("m", inherited=0.5), epochs=2))
        >>> effective_epochs(Plan("example", jobs))
        7.0
    """
    found: dict[str, float] = {}
    for job in plan.order():
        found[job.name] = job.epochs + _inherited(job) * max(
            (found[parent] for parent in job.start.waits_for), default=0.0
        )
    members = plan.members
    return sum(found[job.name] for job in members) / len(members)


def _inherited(job: Job) -> float:
    if isinstance(job.start, Hatch):
        return 1.0 if job.start.inherited is None else job.start.inherited
    return 1.0 if isinstance(job.start, Continue) else 0.0


def propose(
    plan_of: PlanOf,
    clusters: Sequence[int],
    *,
    budget: float | None = None,
    epochs: int | None = None,
    workers: Sequence[int] = (1,),
    exhaustive: bool = True,
) -> Proposals:
    """For each number of clusters the most epochs that a budget allows.

    Args:
        plan_of: Makes and predicts a plan.
        clusters: Numbers of clusters to look at, ascending.
        budget: Wall clock seconds that there are.
        epochs: In its place, the epochs; then only the times differ.
        workers: Numbers of worker processes to choose from; the fastest is taken.
        exhaustive: Whether to look at all numbers of clusters; else the search ends when
            `WORSE` in a row were worse than the best.

    Raises:
        MotherNetsError: The budget does not even allow the fewest epochs.
    """
    found: list[Proposal] = []
    least: list[Proposal] = []
    for count in clusters:
        if epochs is not None:
            found.append(_option(plan_of, count, epochs, workers))
        else:
            assert budget is not None, "one of the two is given"
            option = _most_epochs(plan_of, count, budget, workers, least)
            if option is not None:
                found.append(option)
        has_none = not found and len(least) > WORSE
        if not exhaustive and (has_none or _has_ended(found)):
            break
    if not found:
        fastest = min(least, key=lambda one: one.seconds)
        raise MotherNetsError(
            "The budget is too short for a single epoch of every job",
            expected=f"at least {duration_text(math.ceil(fastest.seconds))},"
            f" with {fastest.n_clusters} cluster{'s' * (fastest.n_clusters > 1)}",
            received=duration_text(budget),
            fix="Give more time, fewer or smaller members, or less data",
        )
    best = Proposals(tuple(found)).best
    alike = [_option(plan_of, one.n_clusters, best.epochs, workers).seconds for one in found]
    return Proposals(tuple(found), budget, tuple(alike))


def _has_ended(found: Sequence[Proposal]) -> bool:
    worth = [one.effective_epochs for one in found]
    return len(worth) > WORSE and max(worth[-WORSE:]) < max(worth[:-WORSE])


def _most_epochs(
    plan_of: PlanOf, count: int, budget: float, workers: Sequence[int], least: list[Proposal]
) -> Proposal | None:
    """The option with most epochs within the budget; `None` if there is none.

    Between one that fits and one that does not, the next guess is where a straight line through
    both meets the budget: times are nearly that, so that few plans are made.
    """
    fits, over = _fewest(plan_of, count, workers), None
    if fits.seconds > budget:
        least.append(fits)
        return None
    while over is None and fits.epochs < MOST_EPOCHS:
        option = _option(plan_of, count, fits.epochs * STRIDE, workers)
        fits, over = (option, None) if option.seconds <= budget else (fits, option)
    while over is not None and over.epochs - fits.epochs > 1:
        slope = (over.seconds - fits.seconds) / (over.epochs - fits.epochs)
        guess = fits.epochs + math.floor((budget - fits.seconds) / max(slope, 1e-12))
        option = _option(plan_of, count, _between(guess, fits, over), workers)
        fits, over = (option, over) if option.seconds <= budget else (fits, option)
        if fits is option:  # the line is right: one more should be too many
            after = _option(plan_of, count, _between(option.epochs + 1, fits, over), workers)
            fits, over = (after, over) if after.seconds <= budget else (fits, after)
    return fits


def _between(epochs: int, fits: Proposal, over: Proposal) -> int:
    """A number of epochs that is not known to fit nor to be too many, near a wanted one."""
    return max(fits.epochs + 1, min(over.epochs - 1, epochs))


def _fewest(plan_of: PlanOf, count: int, workers: Sequence[int]) -> Proposal:
    """The option of fewest epochs; with a chain or a tree one is too few to be shared out."""
    for epochs in range(1, MOST_LEVELS):
        with contextlib.suppress(MotherNetsError):
            return _option(plan_of, count, epochs, workers)
    return _option(plan_of, count, MOST_LEVELS, workers)


def _option(plan_of: PlanOf, count: int, epochs: int, workers: Sequence[int]) -> Proposal:
    plan = plan_of(count, epochs)
    assert plan.forecast is not None, "it has been predicted"
    times = {number: plan.forecast.wall_seconds(plan, number) for number in workers}
    fastest = min(times, key=lambda number: (times[number], number))
    return Proposal(count, epochs, fastest, times[fastest], effective_epochs(plan), plan)
