"""How sure an ensemble is of each example, as formulas on tensors.

Every function takes and gives symbolic or real tensors of the backend and uses basic operations
only, so that they stand in any Functional model, and convert to ONNX and LiteRT.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

SMALLEST = 1e-37  # the logarithm of a probability of 0 is never taken; float32 holds 1.2e-38
ALL_THE_WEIGHT = 1e-6  # what the others have in sum if one member has it all, to rounding


def weighted_mean(values: Any, shares: np.ndarray) -> Any:
    """The weighted mean over the members.

    Args:
        values: One tensor of all members, (examples, members, ...).
        shares: Their weights, summing to one, (members,).

    Returns:
        A tensor, (examples, ...).

    Example:
        >>> float(weighted_mean(ops.array([[1.0, 5.0]]), np.array([0.75, 0.25]))[0])
        2.0
    """
    shape = (len(shares),) + (1,) * (len(values.shape) - 2)
    dtype = keras.backend.standardize_dtype(values.dtype)
    return ops.sum(values * np.reshape(shares, shape).astype(dtype), axis=1)


def entropy(probabilities: Any) -> Any:
    """Entropy of the last axis, in nats; a probability of 0 adds nothing.

    Args:
        probabilities: A tensor, (..., classes).

    Returns:
        A tensor, (...), from 0 to log(classes).

    Example:
        >>> [round(float(each), 4) for each in entropy(ops.array([[0.5, 0.5], [1.0, 0.0]]))]
        [0.6931, 0.0]
    """
    # From 0 and not from its negative: a certain example has entropy 0, and not -0.
    return 0.0 - ops.sum(probabilities * ops.log(ops.maximum(probabilities, SMALLEST)), axis=-1)


def mutual_information(probabilities: Any, shares: np.ndarray) -> Any:
    """What the class would tell about which member it was drawn from, in nats.

    The entropy of the mean minus the mean of the entropies: total minus aleatoric uncertainty. It
    is 0 where all members say the same, however unsure they are.

    Args:
        probabilities: One tensor of all members, (examples, members, classes).
        shares: Their weights, summing to one, (members,).

    Returns:
        A tensor, (examples,), at least 0.

    Example:
        >>> certain_and_apart = ops.array([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(mutual_information(certain_and_apart, np.array([0.5, 0.5]))[0]), 4)
        0.6931

    Source:
        Depeweg et al., Decomposition of Uncertainty in Bayesian Deep Learning for Efficient and
        Risk-sensitive Learning, 2018, equation 3; Lakshminarayanan et al., 2017, call it
        disagreement of the members.
    """
    total = entropy(weighted_mean(probabilities, shares))
    aleatoric = weighted_mean(entropy(probabilities), shares)
    return ops.maximum(total - aleatoric, 0.0)  # below it by rounding only


def disagreement(probabilities: Any, shares: np.ndarray) -> Any:
    """The share of pairs of members that name different classes.

    Each pair counts by the product of its weights. The mean over examples is the `disagreement` of
    `EnsembleStatistics.diversity()` where weights are equal.

    Args:
        probabilities: One tensor of all members, (examples, members, classes).
        shares: Their weights, summing to one, (members,).

    Returns:
        A tensor, (examples,), from 0 to 1; 0 where one member has all the weight.

    Example:
        >>> two_against_one = ops.array([[[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]])
        >>> round(float(disagreement(two_against_one, np.full(3, 1 / 3))[0]), 4)
        0.6667
    """
    for_class = weighted_mean(votes(probabilities), shares)  # (examples, classes)
    of_two = 1.0 - ops.sum(ops.square(for_class), axis=-1)  # drawn with replacement
    different_members = float(1.0 - np.sum(np.square(shares)))
    if different_members < ALL_THE_WEIGHT:
        return of_two * 0.0
    return ops.clip(of_two / different_members, 0.0, 1.0)


def variance(values: Any, shares: np.ndarray) -> Any:
    """Weighted mean squared distance of the members from their mean.

    Args:
        values: One tensor of all members, (examples, members, targets).
        shares: Their weights, summing to one, (members,).

    Returns:
        A tensor, (examples, targets), in the square of the targets' unit.

    Example:
        >>> float(variance(ops.array([[[1.0], [5.0]]]), np.array([0.5, 0.5]))[0, 0])
        4.0
    """
    mean = ops.expand_dims(weighted_mean(values, shares), 1)
    return weighted_mean(ops.square(values - mean), shares)


def votes(values: Any) -> Any:
    """One for the first of the largest values of the last axis, zero for all others.

    Not by `argmax`: under TensorFlow Keras makes bit operations of it, which neither ONNX nor
    LiteRT has.

    Args:
        values: A tensor, (..., classes): probabilities or logits.

    Returns:
        A tensor of the same shape and type.

    Example:
        >>> ops.convert_to_numpy(votes(ops.array([0.2, 0.4, 0.4]))).tolist()
        [0.0, 1.0, 0.0]
    """
    dtype = keras.backend.standardize_dtype(values.dtype)
    largest = ops.cast(values >= ops.max(values, axis=-1, keepdims=True), dtype)
    is_first = ops.cast(ops.cumsum(largest, axis=-1) < 1.5, dtype)
    return largest * is_first
