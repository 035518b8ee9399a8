"""Expected calibration error: how far confidence is from being right as often as it says."""

from __future__ import annotations

import numpy as np


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15, adaptive: bool = False
) -> float:
    """Mean gap between confidence and accuracy over groups of examples of like confidence.

    Confidence is the largest probability of an example, from 1/classes to 1. Bins hold their
    upper edge and not their lower one. Examples of equal confidence share a bin, so
    that their order does not matter; with `adaptive` bins may then differ in size.

    Args:
        probabilities: (examples, classes).
        labels: Class numbers, (examples,).
        bins: Number of bins.
        adaptive: Bins of equally many examples, else bins of equal width on [0, 1].

    Returns:
        A fraction from 0 to 1.

    Example:
        >>> calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
        0.25

    Source:
        Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017,
        equation 3; equal-mass bins as in Nguyen & O'Connor, Posterior Calibration and
        Exploratory Analysis for Natural Language Processing Models, 2015.
    """
    confidence = probabilities.max(axis=-1)
    is_right = probabilities.argmax(axis=-1) == labels
    steps = np.linspace(0.0, 1.0, bins + 1)
    edges = np.quantile(confidence, steps) if adaptive else steps
    bin_of = np.searchsorted(edges[1:-1], confidence, side="left")
    gaps = np.bincount(bin_of, weights=is_right - confidence, minlength=bins)  # summed in each bin
    return float(np.abs(gaps).sum() / len(labels))
