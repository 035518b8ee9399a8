"""Run members over the same data, which are read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.tensorflow_log import without_lines
from keras_mothernets.errors import DataError, naming
from keras_mothernets.member import Member
from keras_mothernets.training.data import ArraySource, StreamSource, check_network, read_data

BATCH_SIZE = 256
FIRST_ROWS = 1024  # of a first batch, at most, that are looked at beforehand

Source = ArraySource | StreamSource


def read_source(x: Any, y: Any) -> Source:
    """Labelled examples in one shape.

    Args:
        x: Arrays, a `tf.data.Dataset` or a `PyDataset`.
        y: Labels; `None` with a data set.

    Raises:
        DataError: They cannot be read, or have no end.
    """
    source = read_data(x, y).train
    if isinstance(source, StreamSource) and source.is_infinite:
        raise DataError("The data set has no end", fix="Cut it: `.take(number_of_batches)`")
    return source


def first_labels(source: Source) -> np.ndarray:
    """Labels to check before any member predicts: all of arrays, else those of the first batch.

    Raises:
        DataError: There are none.
    """
    return _labels(
        source.y if isinstance(source, ArraySource) else source.first_rows(FIRST_ROWS)[1]
    )


def read_outputs(members: Sequence[Member], source: Source) -> tuple[list[np.ndarray], np.ndarray]:
    """What the members give for labelled examples, and the labels.

    Args:
        members: Members with the same inputs, and one output.
        source: The examples.

    Returns:
        For each member its outputs, (examples, ...), and the labels, (examples, ...).

    Raises:
        DataError: The data do not fit the members' inputs, or bring sample weights.
    """
    # TensorFlow takes five networks for one function that is traced five times.
    with without_lines("triggered tf.function retracing"):
        if isinstance(source, ArraySource):
            return _of_arrays(members, source)
        return _of_stream(members, source)


def _of_arrays(
    members: Sequence[Member], source: ArraySource
) -> tuple[list[np.ndarray], np.ndarray]:
    labels = _labels(source.y)
    for member in members:
        _check_inputs(member, source.x)
    batches = ArraySource(source.x).batches(BATCH_SIZE)
    outputs = [_only(member.model.predict(batches, verbose=0)) for member in members]
    return outputs, labels


def _of_stream(
    members: Sequence[Member], source: StreamSource
) -> tuple[list[np.ndarray], np.ndarray]:
    """Batch by batch, because a data set that shuffles gives another order when read again."""
    outputs: list[list[np.ndarray]] = [[] for _ in members]
    labels = []
    for x, y, sample_weight in source.numpy_batches():
        if sample_weight is not None:
            raise DataError(
                "The data set brings sample weights, and measures count every example once",
                fix="Leave the weights out: `.map(lambda x, y, weight: (x, y))`",
            )
        labels.append(_labels(y))
        for member, mine in zip(members, outputs, strict=True):
            _check_inputs(member, x)
            mine.append(_only(member.model.predict_on_batch(x)))
    return [np.concatenate(mine) for mine in outputs], np.concatenate(labels)


def _check_inputs(member: Member, x: Any) -> None:
    with naming(f"Member `{member.label}`"):
        check_network(member.model, None, x, None)


def _labels(y: Any) -> np.ndarray:
    arrays = keras.tree.flatten(y)
    if len(arrays) != 1 or arrays[0] is None:
        raise DataError(
            "`y` is missing" if y is None else "`y` must be one array",
            expected="the labels of the members' one output",
            received="None" if y is None else f"{len(arrays)} arrays",
        )
    return np.asarray(arrays[0])


def _only(outputs: Any) -> np.ndarray:
    return np.asarray(keras.tree.flatten(outputs)[0])
