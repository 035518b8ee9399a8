"""Squared error of any ensemble from one small matrix: Brier score, mean squared error."""

from __future__ import annotations

import numpy as np

from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.task import Task


def errors_of(predictions: Predictions) -> np.ndarray:
    """How far each number is from what it should be, (members, examples, classes or targets)."""
    if predictions.task is Task.NUMBERS:
        return predictions.values - predictions.labels
    errors = predictions.values.copy()
    errors[:, np.arange(predictions.num_examples), predictions.labels] -= 1.0
    return errors


def mean_square(errors: np.ndarray, task: Task) -> np.ndarray:
    """Mean over examples of squared numbers, summed over classes or averaged over targets.

    Args:
        errors: Numbers, (..., examples, classes or targets).
        task: Classification sums, as the Brier score does; regression averages, as Keras does.
    """
    squares = np.square(errors).sum(axis=-1).mean(axis=-1)
    return squares if task is Task.CLASSES else squares / errors.shape[-1]


def error_products(predictions: Predictions) -> np.ndarray:
    """Mean products of the members' errors, (members, members).

    With it the squared error of an ensemble with weights w is w' G w, for any
    weights and without another look at the predictions; members of zero weight fall out.

    Example:
        >>> error_products(Predictions.of_numbers([[3.0, 1.0], [1.0, 1.0]], [2.0, 1.0]))
        array([[ 0.5, -0.5],
               [-0.5,  0.5]])

    Source:
        Krogh & Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning,
        1995, where the ensemble's error is written as a quadratic form of its weights.
    """
    errors = errors_of(predictions)
    per_example = errors.shape[-1] if predictions.task is Task.NUMBERS else 1
    flat = errors.reshape(len(errors), -1)
    return np.asarray(flat @ flat.T / (predictions.num_examples * per_example))
