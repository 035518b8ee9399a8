"""Batches that can be dealt out to several replicas.

TensorFlow deals out m rows to k replicas by ceil(m / k) each, until none are left. Keras needs
as many rows for each in the first batch, and at least one for each in all others: with none, a
convolution or a BatchNormalization fails.

In training the rows of an epoch are made a multiple of the number of replicas: the first ones in
its order come once more at its end. No example is left out, and of up to k - 1 that are seen
twice, others in every epoch if the order is shuffled.

At an evaluation each row counts once, so that its loss and metrics are those of all examples. What
does not divide goes into one uneven batch at the end, large enough for every replica.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.training.data.leaves import named_leaves


def next_multiple(number: int, of: int) -> int:
    """The smallest multiple that is not below a number.

    Example:
        >>> next_multiple(101, of=4), next_multiple(100, of=4)
        (104, 100)
    """
    return -(-number // of) * of


def filled_up(order: np.ndarray, replicas: int) -> np.ndarray:
    """Row numbers whose count divides by the replicas: the first ones come once more.

    Args:
        order: Row numbers of an epoch, in order.
        replicas: Number of replicas.

    Example:
        >>> filled_up(np.array([4, 2, 0, 1, 3]), 2).tolist()
        [4, 2, 0, 1, 3, 4]
    """
    count = next_multiple(len(order), of=replicas)
    return order if count == len(order) else np.resize(order, count)


def uneven_rows(rows: int, replicas: int) -> int:
    """Size of the last batch of an evaluation that does not divide by the replicas.

    It is the smallest one of which every replica gets a row, and without which the
    others divide.

    Args:
        rows: Number of all rows.
        replicas: Number of replicas.

    Returns:
        0 if all rows divide.

    Example:
        >>> uneven_rows(101, 2), uneven_rows(101, 4), uneven_rows(100, 4)
        (3, 13, 0)
    """
    rest = rows % replicas
    return (replicas - rest) * replicas + rest if rest else 0


def evaluation_cuts(rows: int, batch_size: int, replicas: int) -> list[int]:
    """Where the batches of an evaluation begin and end.

    Args:
        rows: Number of all rows; more than `uneven_rows`, or they divide.
        batch_size: Rows of one batch; divides by the replicas.
        replicas: Number of replicas.

    Example:
        >>> evaluation_cuts(101, 64, 2)
        [0, 64, 98, 101]
    """
    even = rows - uneven_rows(rows, replicas)
    cuts = [*range(0, even, batch_size), even]
    return cuts if even == rows else [*cuts, rows]


class EvaluationBatches(keras.utils.PyDataset):
    """Batches of arrays in their order, each row once.

    Args:
        batches: The same arrays as one batch for each slice: `batches.rows(first, last)`.
        cuts: See `evaluation_cuts`.
    """

    def __init__(self, batches: Any, cuts: list[int]) -> None:
        super().__init__()
        self.batches = batches
        self.cuts = cuts

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows: tuple[Any, ...] = self.batches.rows(self.cuts[index], self.cuts[index + 1])
        return rows


def rows_of_every_batch(dataset: Any) -> int | None:
    """Rows of a batch of a `tf.data.Dataset` whose batches all have as many; else `None`.

    Args:
        dataset: A data set.

    Example:
        >>> numbers = tf.data.Dataset.range(10)
        >>> rows_of_every_batch(numbers.batch(4, drop_remainder=True))
        4
        >>> rows_of_every_batch(numbers.batch(4)) is None
        True
    """
    if not isinstance(dataset, tf.data.Dataset):
        return None
    leaves = [leaf for _, leaf in named_leaves("", dataset.element_spec)]
    sizes = {leaf.shape[0] if leaf.shape.rank else None for leaf in leaves if leaf is not None}
    return sizes.pop() if len(sizes) == 1 else None
