"""Equal budgets: how many epochs each method can train for what another one costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import keras

from keras_mothernets.comparison.entry import Entry
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import forward_flops
from keras_mothernets.member import Member
from keras_mothernets.methods import Method
from keras_mothernets.methods.design import Schedule
from keras_mothernets.training.job import Job

# Epochs are whole numbers, so a small budget is not met exactly; a method that costs more than
# this times a budget at its fewest epochs has no place in it.
MOST_OVER = 1.5


def cost_of(jobs: Sequence[Job], networks: Mapping[str, keras.Model]) -> int:
    """FLOPs of the forward passes of jobs, per training example.

    The backward pass costs twice the forward one for all networks, so that it changes no ratio.

    Args:
        jobs: The jobs.
        networks: Built models by the key that the jobs use.

    Raises:
        MotherNetsError: What a network costs is not known.
    """
    known: dict[str, int] = {}
    for job in jobs:
        if job.network not in known:
            flops = forward_flops(networks[job.network])
            if flops is None:
                raise MotherNetsError(
                    f"What `{job.network}` costs is not known, so budgets cannot be made equal",
                    expected="layers whose multiplications can be counted",
                )
            known[job.network] = flops
    return sum(job.epochs * known[job.network] for job in jobs)


def budget_cost(members: Sequence[Member], epochs: int) -> int:
    """What a budget is: the cost of training every member from scratch for so many epochs.

    Args:
        members: The members.
        epochs: Epochs of each.

    Raises:
        MotherNetsError: What a network costs is not known.
    """
    networks = {member.label: member.model for member in members}
    return cost_of([Job(name, "member", name, epochs=epochs) for name in networks], networks)


def epochs_within(entry: Entry, method: Method, cost: int, *, fewest: int = 1) -> int:
    """The number of epochs with which a method comes nearest to a cost.

    Args:
        entry: The entry that made the method.
        method: The method; prepared for this number when this returns.
        cost: Of `budget_cost`.
        fewest: The fewest epochs that the method can train for.

    Returns:
        What to give to `fit`.

    Raises:
        MotherNetsError: The method's fewest epochs cost far more.
    """

    @functools.cache
    def at(epochs: int) -> int:
        entry.set_epochs(method, epochs)
        design = method.design(Schedule(epochs, 1, 1, "val_loss"))
        return cost_of(design.jobs, design.networks)

    few = fewest
    if at(few) > MOST_OVER * cost:
        raise MotherNetsError(
            f"The budget is too small for `{entry}`",
            expected=f"at most {MOST_OVER} times the budget",
            received=f"{at(few) / cost:.1f} times, at its fewest epochs ({few})",
            fix="Leave the method out, or choose a larger budget",
        )
    # Costs grow nearly in proportion, so that the first guess is mostly right, or one beside it.
    many = max(2 * few, math.ceil(few * cost / at(few)) + 1)
    while at(few) < at(many) < cost:  # not if all members have epochs of their own
        few, many = many, 2 * many
    while many - few > 1:
        middle = _between(few, many, at, cost)
        few, many = (middle, many) if at(middle) <= cost else (few, middle)
    nearest = min((fewest, few, many), key=lambda epochs: (abs(at(epochs) - cost), epochs))
    entry.set_epochs(method, nearest)
    return nearest


def _between(few: int, many: int, at: Callable[[int], int], cost: int) -> int:
    """A number between two others, where a straight line through their costs meets a cost."""
    part = (cost - at(few)) / max(1, at(many) - at(few))
    return min(max(few + 1, few + int(part * (many - few))), many - 1)
