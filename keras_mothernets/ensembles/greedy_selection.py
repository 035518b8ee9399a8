"""Greedy selection: an ensemble drawn member by member, each time the one that helps most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.statistics import EnsembleStatistics, as_statistics
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member

DRAWS = 100  # weights are multiples of at least one hundredth

MEASURES = {Task.CLASSES: ("nll", "accuracy", "brier"), Task.NUMBERS: ("mse",)}


class _Drawn(Protocol):
    """The members that have been drawn so far."""

    def costs(self, candidates: Sequence[int], size: int) -> list[float]:
        """Cost of the mean with each candidate added, the `size`-th drawn; smaller is better."""

    def add(self, member: int) -> None:
        """Draw a member."""


class _Sum:
    """Their sum: each candidate costs a pass over the examples.

    Args:
        rows: What is averaged, (members, examples, ...).
        cost: Of a mean of rows.
    """

    def __init__(self, rows: np.ndarray, cost: Callable[[np.ndarray], float]) -> None:
        self.rows = rows
        self.cost = cost
        self.total = np.zeros_like(rows[0])

    def costs(self, candidates: Sequence[int], size: int) -> list[float]:
        return [self.cost((self.total + self.rows[one]) / size) for one in candidates]

    def add(self, member: int) -> None:
        self.total += self.rows[member]


class _Products:
    """Products of errors: a candidate costs a few operations, however many examples there are.

    Args:
        products: Mean products of the members' errors, (members, members).
    """

    def __init__(self, products: np.ndarray) -> None:
        self.products = products
        self.with_drawn = np.zeros(len(products))  # products with the sum of errors of all drawn
        self.square = 0.0  # of that sum

    def costs(self, candidates: Sequence[int], size: int) -> list[float]:
        own = np.diag(self.products)
        squares = self.square + 2.0 * self.with_drawn + own
        return list(squares[list(candidates)] / size**2)

    def add(self, member: int) -> None:
        self.square += 2.0 * self.with_drawn[member] + self.products[member, member]
        self.with_drawn += self.products[member]


def greedy_selection(
    models: Sequence[keras.Model | Member] | Predictions | EnsembleStatistics,
    x: Any = None,
    y: Any = None,
    *,
    max_members: int | None = None,
    measure: str | None = None,
    logits: Any = None,
) -> np.ndarray:
    """Weights from drawing members with replacement, each time the one that helps most.

    Starting from nothing, the member whose addition makes the mean of all drawn so far best on
    the held-out data is drawn, 100 times; a member may be drawn again. The best of
    these 100 ensembles counts, the smallest if several are equally good, and the weight
    of a member is its share of the draws. The result is never worse *on these data* than the
    best member. Members that never help get weight 0 and need not be kept.

    Args:
        models: Built models that `km.combine` takes, with one output; or `km.Predictions`; or
            `km.EnsembleStatistics`, whose sums make selection by "brier" or "mse" independent of
            the number of examples. Likelihood and accuracy of an average are no sums of pairs, and
            take passes over the predictions in any case.
        x: Held-out inputs: arrays, a `tf.data.Dataset` or a `PyDataset`.
        y: Their labels: class numbers, one-hot rows, or targets of a regression.
        max_members: Most members with a weight above 0; all by default.
        measure: What is made best: "nll" (default), "accuracy" or "brier" of classifiers;
            "mse" of a regression.
        logits: Whether the members give logits; as in `km.combine`.

    Returns:
        One weight per member, float64, (members,), summing to one, for
        `km.combine(models, "weighted", ...)`.

    Raises:
        MotherNetsError: An argument is not one of the above, or members or data cannot be
            used; see `km.Predictions.of`.

    Example:
        >>> low, high, worse = [1.0, 1.0], [4.0, 4.0], [9.0, 9.0]
        >>> predictions = Predictions.of_numbers([low, high, worse], [2.0, 2.0])
        >>> print(greedy_selection(predictions).round(2))  # (2 * low + high) / 3 is exact
        [0.67 0.33 0.  ]

    Source:
        Caruana, Niculescu-Mizil, Crew & Ksikes, Ensemble Selection from Libraries of Models,
        2004, sections 2 and 2.1 (with replacement); without the bagging of section 2.3.
    """
    statistics = as_statistics(models, x, y, logits)
    count = len(statistics.names)
    most = count if max_members is None else whole_number("max_members", max_members, 1)
    draws = _draw(_nothing_drawn(statistics, measure), count, most)
    return np.bincount(draws, minlength=count) / len(draws)


def _draw(drawn: _Drawn, count: int, most: int) -> list[int]:
    """The members in the order of drawing, as far as the best ensemble.

    Args:
        drawn: Nothing drawn yet.
        count: Number of members.
        most: Number of different members that may be drawn.
    """
    draws: list[int] = []
    costs: list[float] = []
    for size in range(1, DRAWS + 1):
        different = sorted(set(draws))
        candidates = different if len(different) >= most else range(count)
        tried = drawn.costs(candidates, size)
        best = int(np.argmin(tried))
        draws.append(candidates[best])
        costs.append(tried[best])
        drawn.add(draws[-1])
    return draws[: int(np.argmin(costs)) + 1]


def _nothing_drawn(statistics: EnsembleStatistics, measure: str | None) -> _Drawn:
    known = MEASURES[statistics.task]
    if measure is not None and measure not in known:
        raise MotherNetsError(
            "`measure` is not one to select by",
            expected=f"one of {list(known)} for a {statistics.task.value}",
            received=repr(measure),
        )
    measure = measure or known[0]
    if measure in ("brier", "mse"):
        return _Products(statistics.error_products())
    predictions = statistics.predictions
    if measure == "nll":
        return _Sum(probabilities_of_truth(predictions), nll)
    labels = predictions.labels
    return _Sum(predictions.values, lambda mean: float(np.mean(mean.argmax(axis=-1) != labels)))
