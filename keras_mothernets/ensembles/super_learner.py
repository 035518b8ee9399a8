"""The super learner: the best weights for the members, by held-out data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize

from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.predictions import Predictions, as_predictions
from keras_mothernets.ensembles.squared_error import error_products
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member

TOLERANCE = 1e-14  # change of the loss at which the search ends
LARGEST_GAP = 1e-5  # how much better than the answer the optimum may be
SMALLEST_WEIGHT = 1e-9  # below this a weight is rounding, and the member is left out


def super_learner(
    models: Sequence[keras.Model | Member] | Predictions,
    x: Any = None,
    y: Any = None,
    *,
    logits: Any = None,
) -> np.ndarray:
    """Weights with which the members together do best on held-out data.

    The loss of the weighted mean is minimised over all weights of at least 0 that sum to one:
    the negative log-likelihood of a classifier, the mean squared error of a regression. Both
    are convex in the weights, so there is one smallest loss, and it is never above that of
    the best member or of the plain mean *on these data*. Take data that no member has
    trained on: on training data the weights reward those that overfit most.

    Args:
        models: Built models that `km.combine` takes, with one output; or `km.Predictions`.
        x: Held-out inputs: arrays, a `tf.data.Dataset` or a `PyDataset`.
        y: Their labels: class numbers, one-hot rows, or targets of a regression.
        logits: Whether the members give logits; as in `km.combine`.

    Returns:
        One weight per member, float64, (members,), for `km.combine(models, "weighted", ...)`.

    Raises:
        MotherNetsError: Members or data cannot be used; see `km.Predictions.of`.

    Example:
        >>> right, wrong = [[0.9, 0.1], [0.2, 0.8]], [[0.4, 0.6], [0.7, 0.3]]
        >>> print(super_learner(Predictions.of_classes([right, wrong], [0, 1])))
        [1. 0.]

    Source:
        Van der Laan, Polley & Hubbard, Super Learner, 2007, with the weights kept convex as in
        Breiman, Stacked Regressions, 1996. There the members are trained once per fold;
        networks are too dear for that, so one held-out set takes the place of the folds.
    """
    predictions = as_predictions(models, x, y, logits)
    count = predictions.num_members
    if count == 1:
        return np.ones(1)
    loss, gradient = _objective(predictions)
    found = minimize(
        loss,
        np.full(count, 1.0 / count),
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
    return weights


_Objective = tuple[Callable[[np.ndarray], float], Callable[[np.ndarray], np.ndarray]]


def _objective(predictions: Predictions) -> _Objective:
    """Loss and gradient by the weights."""
    if predictions.task is Task.NUMBERS:
        products = error_products(predictions)
        products = products / max(products.diagonal().max(), np.finfo(float).tiny)
        return lambda weights: weights @ products @ weights, lambda weights: 2 * products @ weights
    truth = probabilities_of_truth(predictions)
    return (
        lambda weights: nll(weights @ truth),
        lambda weights: -(truth @ (1.0 / (weights @ truth))) / truth.shape[1],
    )


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
