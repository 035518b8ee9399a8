"""What members lose on average, and what an ensemble of them wins back by their differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.squared_error import errors_of, mean_square
from keras_mothernets.ensembles.task import Task


@dataclass(frozen=True)
class Decomposition:
    """A loss of an ensemble in two parts: ensemble = mean member - ambiguity.

    Args:
        mean_member: Weighted mean of the members' own losses.
        ambiguity: What the members' differences are worth, at least 0.
        ensemble: Loss of the weighted mean of their predictions.
    """

    mean_member: float
    ambiguity: float
    ensemble: float

    def __str__(self) -> str:
        return f"{self.ensemble:.4f} = {self.mean_member:.4f} - {self.ambiguity:.4f}"


def squared_error_decomposition(predictions: Predictions, shares: np.ndarray) -> Decomposition:
    """The ambiguity decomposition of the Brier score, or of a mean squared error.

    The ambiguity is the members' mean squared distance from the ensemble; labels play no part
    in it. Each of the three numbers is computed by its own definition.

    Args:
        predictions: Predictions of a classification or a regression.
        shares: Weights of the members, summing to one, (members,).

    Example:
        >>> predictions = Predictions.of_numbers([[1.0], [5.0]], [2.0])
        >>> print(squared_error_decomposition(predictions, np.array([0.5, 0.5])))
        1.0000 = 5.0000 - 4.0000

    Source:
        Krogh & Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning,
        1995: E = mean E - mean A.
    """
    task = predictions.task
    errors = errors_of(predictions)
    spread = predictions.values - predictions.mean(shares)
    return Decomposition(
        mean_member=float(shares @ mean_square(errors, task)),
        ambiguity=float(shares @ mean_square(spread, task)),
        ensemble=float(mean_square(np.tensordot(shares, errors, axes=1), task)),
    )


def nll_decomposition(predictions: Predictions, shares: np.ndarray) -> Decomposition:
    """Jensen's gap: what averaging probabilities wins over the members' log-likelihoods.

    The ambiguity is the mean of log(p / p_i), the ensemble's probability of the truth
    over the member's. Unlike that of squared errors it depends on the labels.

    Args:
        predictions: Predictions of a classification.
        shares: Weights of the members, summing to one, (members,).

    Example:
        >>> predictions = Predictions.of_classes([[0.25], [0.75]], [1])
        >>> print(nll_decomposition(predictions, np.array([0.5, 0.5])))
        0.6931 = 0.8370 - 0.1438

    Source:
        Abe, Buchanan, Pleiss, Zemel & Cunningham, Deep Ensembles Work, But Are They
        Necessary?, 2022.
    """
    predictions.need(Task.CLASSES, "nll_decomposition")
    truth = probabilities_of_truth(predictions)  # (members, examples)
    together = shares @ truth
    return Decomposition(
        mean_member=float(shares @ -np.log(truth).mean(axis=1)),
        ambiguity=float(shares @ np.log(together / truth).mean(axis=1)),
        ensemble=nll(together),
    )
