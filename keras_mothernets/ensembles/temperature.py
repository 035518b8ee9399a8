"""Temperature scaling: one number that makes probabilities as sure as they may be."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from keras_mothernets.errors import DataError, whole_number

# Where every example is right no temperature is low enough, and none is high enough the other way.
LOWEST, HIGHEST = 0.01, 100.0
SMALLEST = float(np.finfo("float32").tiny)  # in place of a zero, whose logarithm is endless


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with which probabilities are most likely to give the labels.

    Above one it makes them less sure, below one surer; the named class stays the same.

    Args:
        probabilities: (examples, classes).
        labels: Class numbers, (examples,).

    Returns:
        A temperature from 0.01 to 100.

    Example:
        >>> sure = np.array([[0.99, 0.01]] * 4)  # and right in three of four cases
        >>> temperature = fit_temperature(sure, np.array([0, 0, 0, 1]))
        >>> at_temperature(sure, temperature)[0].round(3)
        array([0.75, 0.25])

    Source:
        Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017,
        equation 9. Logarithms of probabilities take the place of logits: they differ
        by a constant per example, which softmax takes out, and an ensemble has no logits.
    """
    logits = _logarithms(probabilities)
    # The loss is convex in the inverse of the temperature, so it has one valley in the logarithm.
    found = minimize_scalar(
        lambda exponent: _nll(logits / np.exp(exponent), labels),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities raised to the power of 1/temperature, and scaled to sum to one.

    Args:
        probabilities: (examples, classes).
        temperature: Above 0; 1 changes nothing.

    Example:
        >>> at_temperature(np.array([[0.8, 0.2]]), 2.0).round(4)
        array([[0.6667, 0.3333]])
    """
    return np.exp(log_softmax(_logarithms(probabilities) / temperature, axis=-1))


def calibrated_nll(
    probabilities: np.ndarray, labels: np.ndarray, *, splits: int = 5, seed: int = 0
) -> float:
    """Negative log-likelihood after temperature scaling, fair to well and badly calibrated alike.

    The examples are cut into random halves; the temperature that fits one half is
    measured on the other, both ways, and the mean over all cuts is taken.

    Args:
        probabilities: (examples, classes).
        labels: Class numbers, (examples,).
        splits: Number of random cuts.
        seed: Seed of the cuts.

    Returns:
        Nats per example.

    Raises:
        DataError: There is a single example.

    Source:
        Ashukha, Lyzhov, Molchanov & Vetrov, Pitfalls of In-Domain Uncertainty Estimation and
        Ensembling in Deep Learning, 2020, section 3: test-time cross-validation.
    """
    if len(labels) < 2:
        raise DataError("Two halves need two examples", received=f"{len(labels)}")
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(whole_number("splits", splits, 1)):
        halves = np.array_split(rng.permutation(len(labels)), 2)
        for fitted, held_out in (halves, halves[::-1]):
            temperature = fit_temperature(probabilities[fitted], labels[fitted])
            logits = _logarithms(probabilities[held_out]) / temperature
            losses.append(_nll(logits, labels[held_out]))
    return float(np.mean(losses))


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST))


def _nll(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean())
