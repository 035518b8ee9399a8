"""How good an ensemble is, and how good its members are, on the same labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from keras_mothernets.errors import DataError

# Below this a probability counts as zero; the logarithm of float32's smallest would dominate.
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Quality:
    """What a classification ensemble and its members reach on one set of examples.

    Args:
        member_accuracy: Fraction of examples that each member gets right.
        accuracy: Fraction of examples that the ensemble gets right.
        nll: Mean negative log-likelihood (nats) of the ensemble's probabilities.
        disagreement: Fraction of examples on which two members name different classes, mean
            over all pairs; 0 for a single member. What averaging gains comes from here.
    """

    member_accuracy: tuple[float, ...]
    accuracy: float
    nll: float
    disagreement: float

    @property
    def mean_member(self) -> float:
        """Mean accuracy of the members."""
        return float(np.mean(self.member_accuracy))

    @property
    def best_member(self) -> float:
        """Accuracy of the best member. It is picked on these examples, so it flatters."""
        return max(self.member_accuracy)

    def __str__(self) -> str:
        return (
            f"ensemble {self.accuracy:.2%}, best member {self.best_member:.2%}, "
            f"mean member {self.mean_member:.2%}"
        )


def measure_quality(
    member_outputs: Sequence[np.ndarray], probabilities: np.ndarray, labels: np.ndarray
) -> Quality:
    """Compare what members and ensemble say with the truth.

    Args:
        member_outputs: For each member its probabilities or logits, (examples, classes).
        probabilities: The ensemble's probabilities, (examples, classes).
        labels: True classes as numbers, (examples,).

    Returns:
        A `Quality`.

    Raises:
        DataError: The arrays are not of these shapes.

    Example:
        >>> sure, wrong = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
        >>> print(measure_quality([sure, wrong], (sure + wrong) / 2, np.array([0])))
        ensemble 100.00%, best member 100.00%, mean member 50.00%
    """
    labels = np.asarray(labels).reshape(-1)
    for outputs in (*member_outputs, probabilities):
        if outputs.ndim != 2 or len(outputs) != len(labels):
            raise DataError(
                "Accuracy can be measured for classifiers with one output only",
                expected=f"outputs of shape ({len(labels)}, classes)",
                received=str(outputs.shape),
            )
    guesses = [outputs.argmax(axis=1) for outputs in member_outputs]
    pairs = [np.mean(first != second) for first, second in combinations(guesses, 2)]
    of_truth = probabilities[np.arange(len(labels)), labels]
    return Quality(
        member_accuracy=tuple(float(np.mean(guess == labels)) for guess in guesses),
        accuracy=float(np.mean(probabilities.argmax(axis=1) == labels)),
        nll=float(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).mean()),
        disagreement=float(np.mean(pairs)) if pairs else 0.0,
    )


def quality_of(method: Any, x: np.ndarray, y: np.ndarray, *, batch_size: int = 256) -> Quality:
    """Measure a trained method's members and their ensemble on labelled examples.

    Args:
        method: A `FullData`, `MotherNets` or other method after `fit`.
        x: Inputs, (examples, ...).
        y: Classes as numbers, (examples,).
        batch_size: Examples predicted at a time.

    Returns:
        A `Quality`.

    Raises:
        DataError: The members are not classifiers with one output.
    """
    outputs = [member.predict(x, batch_size=batch_size, verbose=0) for member in method.members]
    probabilities = method.ensemble().predict(x, batch_size=batch_size, verbose=0)
    return measure_quality(outputs, probabilities, y)
