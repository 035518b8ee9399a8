"""Greedy selection: an ensemble drawn member by member, each time the one that helps most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.predictions import Predictions, as_predictions
from keras_mothernets.ensembles.squared_error import mean_square
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member

DRAWS = 100  # weights are multiples of at least one hundredth

MEASURES = {Task.CLASSES: ("nll", "accuracy", "brier"), Task.NUMBERS: ("mse",)}

_Cost = Callable[[np.ndarray], float]


def greedy_selection(
    models: Sequence[keras.Model | Member] | Predictions,
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
        models: Built models that `km.combine` takes, with one output; or `km.Predictions`.
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
    predictions = as_predictions(models, x, y, logits)
    count = predictions.num_members
    most = count if max_members is None else whole_number("max_members", max_members, 1)
    rows, cost = _rows_and_cost(predictions, measure)
    draws = _draw(rows, cost, most)
    return np.bincount(draws, minlength=count) / len(draws)


def _draw(rows: np.ndarray, cost: _Cost, most: int) -> list[int]:
    """The members in the order of drawing, as far as the best ensemble.

    Args:
        rows: What is averaged, (members, examples, ...).
        cost: Of a mean of rows; smaller is better.
        most: Number of different members that may be drawn.
    """
    draws: list[int] = []
    costs: list[float] = []
    total = np.zeros_like(rows[0])
    for size in range(1, DRAWS + 1):
        drawn = sorted(set(draws))
        candidates = drawn if len(drawn) >= most else range(len(rows))
        tried = [cost((total + rows[candidate]) / size) for candidate in candidates]
        best = int(np.argmin(tried))
        draws.append(candidates[best])
        costs.append(tried[best])
        total += rows[draws[-1]]
    return draws[: int(np.argmin(costs)) + 1]


def _rows_and_cost(predictions: Predictions, measure: str | None) -> tuple[np.ndarray, _Cost]:
    known = MEASURES[predictions.task]
    if measure is not None and measure not in known:
        raise MotherNetsError(
            "`measure` is not one to select by",
            expected=f"one of {list(known)} for a {predictions.task.value}",
            received=repr(measure),
        )
    measure = measure or known[0]
    labels = predictions.labels
    if measure == "nll":
        return probabilities_of_truth(predictions), nll
    if measure == "accuracy":
        return predictions.values, lambda mean: float(np.mean(mean.argmax(axis=-1) != labels))
    one_hot = np.eye(predictions.values.shape[-1])[labels] if measure == "brier" else labels
    return predictions.values, lambda mean: float(mean_square(mean - one_hot, predictions.task))
