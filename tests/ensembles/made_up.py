"""Predictions and labels that are made up, for tests that need no networks."""

import numpy as np

from keras_mothernets import Predictions


def classes(members=4, examples=200, classes=3, seed=0, skill=1.5):
    """Members of different skill, none of them always right or always wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=examples)
    logits = rng.normal(size=(members, examples, classes))
    logits += rng.normal(size=(examples, classes))  # what they have in common
    logits[:, np.arange(examples), labels] += np.linspace(0.5, skill, members)[:, None]
    probabilities = np.exp(logits)
    return Predictions.of_classes(probabilities / probabilities.sum(-1, keepdims=True), labels)


def numbers(members=4, examples=100, targets=2, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(examples, targets))
    return Predictions.of_numbers(y + rng.normal(1, 0.5, size=(members, examples, targets)), y)
