"""Deep-ensemble equivalent: how many independent networks an ensemble is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.temperature import calibrated_nll
from keras_mothernets.errors import DataError, whole_number


def deep_ensemble_equivalent(
    ensemble: Predictions,
    independent: Predictions,
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    subsets: int = 5,
    seed: int = 0,
) -> float:
    """How many independently trained networks together are as good as an ensemble.

    As good means the same log-likelihood after temperature scaling on held-out halves of the
    examples. For each number of independent networks the mean over several choices of
    them is taken, and between two numbers it is interpolated on a straight line.

    Args:
        ensemble: Predictions of the ensemble's members.
        independent: Predictions of independently trained networks for the same examples.
        weights: Weights of the ensemble's members; equal by default.
        subsets: Choices that are averaged for each number of networks; all of them, if there
            are not more.
        seed: Seed of the choices and of the halves.

    Returns:
        A number of networks, at least 1 also for an ensemble that is worse than a single
        network; infinite if all the independent networks together are not as good.

    Raises:
        MotherNetsError: This is a regression, or `weights` or `subsets` cannot be used.
        DataError: The labels differ, or there is a single example.

    Example:
        >>> one, two = [0.9, 0.4, 0.3, 0.2], [0.6, 0.7, 0.1, 0.6]
        >>> networks = Predictions.of_classes([one, two], [1, 1, 0, 0])
        >>> deep_ensemble_equivalent(networks, networks)
        2.0

    Source:
        Ashukha, Lyzhov, Molchanov & Vetrov, Pitfalls of In-Domain Uncertainty Estimation and
        Ensembling in Deep Learning, 2020, section 5. There a single network scores 1
        because that is the smallest number; so it does here.
    """
    for predictions in (ensemble, independent):
        predictions.need(Task.CLASSES, "deep_ensemble_equivalent")
    if not np.array_equal(ensemble.labels, independent.labels):
        raise DataError(
            "The ensemble and the independent networks predict other examples",
            expected="the same labels in the same order",
            received=f"{ensemble.num_examples} and {independent.num_examples} examples",
        )
    whole_number("subsets", subsets, 1)
    shares = as_shares(weights, ensemble.num_members)
    target = calibrated_nll(ensemble.mean(shares), ensemble.labels, seed=seed)
    last = math.inf
    for size in range(1, independent.num_members + 1):
        loss = _mean_loss(independent, size, subsets, seed)
        if loss <= target:
            return 1.0 if size == 1 else size - (target - loss) / (last - loss)
        last = loss
    return math.inf


def _mean_loss(predictions: Predictions, size: int, subsets: int, seed: int) -> float:
    losses = [
        calibrated_nll(
            predictions.values[list(positions)].mean(axis=0), predictions.labels, seed=seed
        )
        for positions in _choices(predictions.num_members, size, subsets, seed)
    ]
    return float(np.mean(losses))


def _choices(count: int, size: int, subsets: int, seed: int) -> list[tuple[int, ...]]:
    """Different choices of `size` of `count`: all, if there are no more than wanted."""
    if math.comb(count, size) <= subsets:
        return list(combinations(range(count), size))
    rng = np.random.default_rng([seed, size])
    chosen: dict[tuple[int, ...], None] = {}  # in the order of drawing
    while len(chosen) < subsets:
        chosen[tuple(sorted(rng.choice(count, size, replace=False).tolist()))] = None
    return list(chosen)
