"""Bootstrap samples: drawn from arrays, imitated by weights where data come in batches.

A sample of n from n examples with replacement has example i Binomial(n, 1/n) times, for which
Poisson(1) stands once n is large and not known beforehand (Oza and Russell 2001). On data that
come in batches each example gets such a number as its weight.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.training.data.mapped import MappedBatches

# P(X <= k) for X of a Poisson distribution with mean 1, k = 0, 1, ...
_POISSON = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(18)])


def bootstrap_rows(num_examples: int, seed: int) -> np.ndarray:
    """Row numbers drawn with replacement, as many as there are rows.

    Args:
        num_examples: Number of rows.
        seed: Seed of the sample.

    Returns:
        Shape `(num_examples,)`; about 63.2 % of all rows are among them.
    """
    rng = np.random.default_rng([seed, num_examples])
    return np.sort(rng.integers(0, num_examples, num_examples))


def poisson_weights(arrays: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """A number of a Poisson distribution with mean 1 for each example.

    It follows from the seed and from what stands in the example, so that an example has the
    same weight in every epoch, in whatever order and batch it comes. (If the data set
    itself changes examples at random, it gets another weight each time.)

    Args:
        arrays: The inputs, each with one row per example.
        seed: Seed of the sample.

    Returns:
        Weights 0, 1, 2, ... of shape `(examples,)`, float32.
    """
    key = seed.to_bytes(8, "big")
    numbers = []
    for row in range(len(arrays[0])):
        digest = hashlib.blake2b(digest_size=8, key=key)
        for array in arrays:
            digest.update(_content(array[row]))
        numbers.append(int.from_bytes(digest.digest(), "big") / 2**64)
    return np.searchsorted(_POISSON, numbers, side="right").astype("float32")


def _content(part: Any) -> bytes:
    """What stands in one example; of texts, which NumPy holds as objects, not where they stand."""
    array = np.asarray(part)
    if array.dtype.kind == "O" or isinstance(part, (bytes, str)):
        return repr(array.tolist()).encode()
    return array.tobytes()


def weighted_stream(dataset: Any, seed: int) -> Any:
    """A data set of which every example has a weight from `poisson_weights`, times its own.

    Args:
        dataset: A `tf.data.Dataset` or `keras.utils.PyDataset` of batches `(x, y)` or
            `(x, y, sample_weight)`.
        seed: Seed of the sample.
    """
    if isinstance(dataset, keras.utils.PyDataset):

        def draw(leaves: Sequence[Any]) -> np.ndarray:
            return poisson_weights([np.asarray(leaf) for leaf in leaves], seed)

        return MappedBatches(dataset, lambda batch: _weighted(batch, draw))

    def weigh(leaves: Sequence[Any]) -> Any:
        weights = tf.numpy_function(
            lambda *arrays: poisson_weights(arrays, seed), leaves, tf.float32, stateful=False
        )
        return tf.ensure_shape(weights, leaves[0].shape[:1])

    return dataset.map(lambda *batch: _weighted(batch, weigh), num_parallel_calls=tf.data.AUTOTUNE)


def _weighted(batch: Any, weigh: Any) -> tuple[Any, Any, Any]:
    """A batch whose sample weights are multiplied; those of several outputs each."""
    x, y, own = keras.utils.unpack_x_y_sample_weight(batch)
    weights = weigh(keras.tree.flatten(x))
    if own is None:
        return x, y, keras.tree.map_structure(lambda _: weights, y)
    return x, y, keras.tree.map_structure(lambda each: _times(each, weights), own)


def _times(own: Any, weights: Any) -> Any:
    """Weights per example, or per example and step, times those of the sample."""
    if isinstance(own, np.ndarray):
        return own * weights.reshape(-1, *[1] * (own.ndim - 1)).astype(own.dtype)
    shape = tf.concat([[-1], tf.ones(tf.rank(own) - 1, tf.int32)], axis=0)
    return own * tf.cast(tf.reshape(weights, shape), own.dtype)
