"""Errors of predictions, whose squares are the Brier score and the mean squared error."""

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
