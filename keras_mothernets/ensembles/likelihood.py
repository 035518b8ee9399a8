"""Probabilities of what was true, from which every log-likelihood is computed."""

from __future__ import annotations

import numpy as np

from keras_mothernets.ensembles.predictions import Predictions

# A smaller probability counts as this one, as in Keras: a single certain error must not be endless.
SMALLEST_PROBABILITY = 1e-7


def probabilities_of_truth(predictions: Predictions) -> np.ndarray:
    """What each member gave to the right class of each example, at least 1e-7.

    The bound is put on the members and not on their mean, so that an ensemble's probability of the
    truth is the mean of its members', whatever their weights, and Jensen's inequality holds.

    Args:
        predictions: Predictions of a classification.

    Returns:
        Probabilities, (members, examples).

    Example:
        >>> probabilities_of_truth(Predictions.of_classes([[[0.75, 0.25], [1, 0]]], [1, 1]))
        array([[2.5e-01, 1.0e-07]])
    """
    rows = np.arange(predictions.num_examples)
    truth = predictions.values[:, rows, predictions.labels]  # (members, examples)
    return np.maximum(truth, SMALLEST_PROBABILITY)


def nll(truth: np.ndarray) -> float:
    """Mean negative log-likelihood in nats.

    Args:
        truth: Probabilities of the right classes, (examples,).
    """
    return float(-np.log(truth).mean())
