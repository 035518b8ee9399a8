"""The super learner: the best weights for the members, by held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize, nnls

from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.predictions import Predictions, as_predictions
from keras_mothernets.ensembles.squared_error import errors_of
from keras_mothernets.ensembles.statistics import EnsembleStatistics, as_statistics
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member

MEASURES = {Task.CLASSES: ("nll", "brier"), Task.NUMBERS: ("mse",)}
TOLERANCE = 1e-14  # change of the loss at which the search ends
LARGEST_GAP = 1e-5  # how much better than the answer the optimum may be
SMALLEST_WEIGHT = 1e-9  # below this a weight is rounding, and the member is left out


def super_learner(
    models: Sequence[keras.Model | Member] | Predictions | EnsembleStatistics,
    x: Any = None,
    y: Any = None,
    *,
    measure: str | None = None,
    logits: Any = None,
) -> np.ndarray:
    """Weights with which the members together do best on held-out data.

    The loss of the weighted mean is minimised over all weights of at least 0 that sum to one:
    the negative log-likelihood of a classifier, the mean squared error of a regression. Both
    are convex in the weights, so there is one smallest loss, and it is never above that of
    the best member or of the plain mean *on these data*. Take data that no member has
    trained on: on training data the weights reward those that overfit most.

    Args:
        models: Built models that `km.combine` takes, with one output; or `km.Predictions`; or
            `km.EnsembleStatistics`, from whose sums the smallest "brier" or "mse" is found at a
            cost that does not depend on the number of examples.
        x: Held-out inputs: arrays, a `tf.data.Dataset` or a `PyDataset`.
        y: Their labels: class numbers, one-hot rows, or targets of a regression.
        measure: The loss: "nll" (default) or "brier" of a classifier; "mse" of a regression.
        logits: Whether the members give logits; as in `km.combine`.

    Returns:
        One weight per member, float64, (members,), for `km.combine(models, "weighted", ...)`.

    Raises:
        MotherNetsError: Members, data or measure cannot be used; see `km.Predictions.of`.

    Example:
        >>> right, wrong = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.7, 0.3]]
        >>> print(super_learner(Predictions.of_classes([right, wrong], [0, 1])))
        [1. 0.]

    Source:
        Van der Laan, Polley & Hubbard, Super Learner, 2007, with the weights kept convex as in
        Breiman, Stacked Regressions, 1996. There the members are trained once per fold;
        networks are too dear for that, so one held-out set takes the place of the folds.
    """
    if isinstance(models, EnsembleStatistics):
        statistics = as_statistics(models, x, y, logits)
        if _known_measure(statistics.task, measure) == "nll":
            return _most_likely(probabilities_of_truth(statistics.predictions))
        return _least_squares(_as_errors(statistics.error_products()))
    predictions = as_predictions(models, x, y, logits)
    if _known_measure(predictions.task, measure) == "nll":
        return _most_likely(probabilities_of_truth(predictions))
    return _least_squares(errors_of(predictions))


def _known_measure(task: Task, measure: str | None) -> str:
    known = MEASURES[task]
    if measure is not None and measure not in known:
        raise MotherNetsError(
            "`measure` is not one to learn weights by",
            expected=f"one of {list(known)} for a {task.value}",
            received=repr(measure),
        )
    return measure or known[0]


def _as_errors(products: np.ndarray) -> np.ndarray:
    """As few rows of errors as have these products, (members, rows).

    Members are brought to one size first, so that the errors of good ones are not lost in the
    rounding of bad ones. Products hold half the digits of errors: weights are as good
    as to about 1e-8 of the loss.
    """
    sizes = np.sqrt(np.diag(products))
    sizes = np.where(sizes > 0, sizes, 1.0)
    squares, directions = np.linalg.eigh(products / np.outer(sizes, sizes))
    return sizes[:, None] * directions * np.sqrt(np.maximum(squares, 0.0))


def _least_squares(errors: np.ndarray) -> np.ndarray:
    """Weights whose mean of errors has the smallest square.

    The square grows with the square of the weights' sum, so asking that sum to be near one
    instead of exactly one changes only their sum and not their proportions. What is
    left is a least-squares problem with weights of at least 0, which is solved exactly.

    Args:
        errors: (members, ...).
    """
    flat = errors.reshape(len(errors), -1).T  # (examples * targets, members)
    sizes = np.linalg.norm(flat, axis=0)
    size = sizes.min() or sizes.max() or 1.0
    factor = np.linalg.qr(flat / size, mode="r")
    equations = np.vstack([factor, np.ones(flat.shape[1])])
    wanted = np.append(np.zeros(len(factor)), 1.0)
    weights = nnls(equations, wanted)[0]
    return np.asarray(weights / weights.sum())


def _most_likely(truth: np.ndarray) -> np.ndarray:
    """Weights with which a mixture gives the truth the highest likelihood.

    Args:
        truth: Each member's probability of the right class, (members, examples).
    """
    count = len(truth)

    def loss(weights: np.ndarray) -> float:
        return nll(weights @ truth)

    def gradient(weights: np.ndarray) -> np.ndarray:
        return np.asarray(-(truth @ (1.0 / (weights @ truth))) / truth.shape[1])

    equal = np.full(count, 1.0 / count)
    found = minimize(
        loss,
        equal,
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={
            "type": "eq",
            "fun": lambda weights: weights.sum() - 1.0,
            "jac": lambda weights: np.ones(count),
        },
        options={"ftol": TOLERANCE, "maxiter": 1000},
    )
    weights = np.where(found.x < SMALLEST_WEIGHT, 0.0, found.x)
    weights = weights / weights.sum()
    _check_optimal(weights, gradient(weights), found.message)
    # A search that ends a rounding short of a corner must not lose to it.
    return np.asarray(min([weights, equal, *np.eye(count)], key=loss))


def _check_optimal(weights: np.ndarray, gradient: np.ndarray, message: str) -> None:
    """A convex loss lies above its tangent, which bounds how far the optimum can be below."""
    gap = weights @ gradient - gradient.min()
    if not gap <= LARGEST_GAP:
        raise MotherNetsError(
            "No best weights were found for the members",
            expected=f"a loss within {LARGEST_GAP:g} of the smallest",
            received=f"a gap of {gap:.2g} ({message})",
            fix="`km.greedy_selection` needs no gradients",
        )
