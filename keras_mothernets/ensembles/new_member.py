"""A member that is added later must have predicted the very same examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import DataError


def checked_member(name: str, predictions: Any, examples: KeptExamples) -> np.ndarray:
    """The predictions of one more member, in the form of those that are there.

    Args:
        name: Its name, for messages.
        predictions: An array, or `Predictions` of one member.
        examples: Labels, and the members that are there.

    Returns:
        float64, (1, examples, classes or targets).

    Raises:
        DataError: They cannot be predictions of these examples.
    """
    if isinstance(predictions, Predictions):
        return _of_predictions(name, predictions, examples)
    _check_shape(name, np.shape(predictions), examples)
    make = Predictions.of_classes if examples.task is Task.CLASSES else Predictions.of_numbers
    return make([predictions], examples.labels, [name]).values


def _check_shape(name: str, shape: tuple[int, ...], examples: KeptExamples) -> None:
    count, width = examples.num_examples, examples.width
    fitting: set[tuple[int, ...]] = {(count, width)}
    if width == 1:
        fitting |= {(count,)}
    elif width == 2 and examples.task is Task.CLASSES:
        fitting |= {(count,), (count, 1)}
    if shape not in fitting:
        what = "classes" if examples.task is Task.CLASSES else "targets"
        raise DataError(
            f"Member `{name}` has not predicted these examples",
            expected=f"shape ({count}, {width}): (examples, {what})",
            received=f"{shape}",
        )


def _of_predictions(name: str, predictions: Predictions, examples: KeptExamples) -> np.ndarray:
    if predictions.num_members != 1 or predictions.task is not examples.task:
        raise DataError(
            f"Member `{name}` needs predictions of its own",
            expected=f"those of one member of a {examples.task.value}",
            received=f"those of {predictions.num_members} of a {predictions.task.value}",
        )
    _check_shape(name, predictions.values.shape[1:], examples)
    if not np.array_equal(predictions.labels, examples.labels):
        differing = predictions.labels != examples.labels
        row = int(np.argwhere(differing.reshape(len(differing), -1).any(axis=1))[0][0])
        raise DataError(
            f"Member `{name}` has predicted examples with other labels",
            expected="the labels of the members that are there",
            received=f"the first other one in row {row}",
            fix="Let it predict the same examples in the same order",
        )
    return predictions.values
