"""How good an ensemble is, and how good its members are, on the same labelled examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mothernets.ensembles import EnsembleStatistics


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


def measure_quality(statistics: EnsembleStatistics) -> Quality:
    """What tables and pictures show of all that can be measured.

    Args:
        statistics: Of the members, whose plain average is the ensemble.

    Returns:
        A `Quality`.

    Raises:
        MotherNetsError: This is no classification.

    Example:
        >>> from keras_mothernets.ensembles import Predictions
        >>> sure, wrong = [[0.9, 0.1]], [[0.2, 0.8]]
        >>> predictions = Predictions.of_classes([sure, wrong], [0])
        >>> print(measure_quality(EnsembleStatistics(predictions)))
        ensemble 100.00%, best member 100.00%, mean member 50.00%
    """
    count = len(statistics.predictions.names)
    return Quality(
        member_accuracy=tuple(statistics.accuracy([member]) for member in range(count)),
        accuracy=statistics.accuracy(),
        nll=statistics.nll(),
        disagreement=statistics.diversity().disagreement if count > 1 else 0.0,
    )


def quality_of(method: Any, x: np.ndarray, y: np.ndarray) -> Quality:
    """Measure a trained method's members and their average on labelled examples.

    Args:
        method: A `FullData`, `MotherNets` or other method after `fit`.
        x: Inputs, (examples, ...).
        y: Classes as numbers, (examples,).

    Returns:
        A `Quality`.

    Raises:
        MotherNetsError: The members are not classifiers with one output.
    """
    return measure_quality(EnsembleStatistics.of(method.members, x, y))
