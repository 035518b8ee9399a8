"""What members lose on average, and what an ensemble of them wins back by their differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mothernets.ensembles.likelihood import nll


@dataclass(frozen=True)
class Decomposition:
    """A loss of an ensemble in two parts: ensemble = mean member - ambiguity.

    Args:
        mean_member: Weighted mean of the members' own losses.
        ambiguity: What the members' differences are worth, at least 0.
        ensemble: Loss of the weighted mean of their predictions.

    Source:
        Of squared errors: Krogh & Vedelsby, Neural Network Ensembles, Cross Validation, and Active
        Learning, 1995: E = mean E - mean A.
    """

    mean_member: float
    ambiguity: float
    ensemble: float

    def __str__(self) -> str:
        return f"{self.ensemble:.4f} = {self.mean_member:.4f} - {self.ambiguity:.4f}"


def nll_decomposition(truth: np.ndarray, shares: np.ndarray) -> Decomposition:
    """Jensen's gap: what averaging probabilities wins over the members' log-likelihoods.

    The ambiguity is the mean of log(p / p_i), the ensemble's probability of the truth
    over the member's. Unlike that of squared errors it depends on the labels, and it is no
    sum over pairs: it is computed from the examples.

    Args:
        truth: Probabilities of the right classes, (members, examples).
        shares: Weights of the members, summing to one, (members,).

    Example:
        >>> print(nll_decomposition(np.array([[0.25], [0.75]]), np.array([0.5, 0.5])))
        0.6931 = 0.8370 - 0.1438

    Source:
        Abe, Buchanan, Pleiss, Zemel & Cunningham, Deep Ensembles Work, But Are They
        Necessary?, 2022.
    """
    together = shares @ truth
    return Decomposition(
        mean_member=float(shares @ -np.log(truth).mean(axis=1)),
        ambiguity=float(shares @ np.log(together / truth).mean(axis=1)),
        ensemble=nll(together),
    )
