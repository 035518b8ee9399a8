"""Labels in the forms that Keras' losses take, brought to one form."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mothernets.errors import DataError


def as_class_numbers(y: Any, num_classes: int) -> np.ndarray:
    """The right class of each example.

    Args:
        y: Class numbers, (examples,) or (examples, 1), or one-hot rows, (examples, classes).
        num_classes: Number of classes; 1, the units of a yes or no, stands for 2.

    Returns:
        Class numbers from 0, int64, (examples,).

    Raises:
        DataError: The labels are not of these forms, or out of range.

    Example:
        >>> as_class_numbers([[0, 1, 0], [1, 0, 0]], 3)
        array([1, 0])
    """
    num_classes = max(num_classes, 2)
    labels = _numeric(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape == (len(labels), num_classes):
        return _from_one_hot(labels)
    if labels.ndim != 1:
        raise DataError(
            "`y` does not match the members' output",
            expected=f"class numbers, (examples,), or one-hot rows, (examples, {num_classes})",
            received=f"shape {labels.shape}",
        )
    if np.any(labels != np.round(labels)):
        raise DataError("`y` must hold whole class numbers", received=f"{labels.dtype}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DataError(
            "`y` holds labels out of range",
            expected=f"class numbers 0 to {num_classes - 1}",
            received=f"{labels.min():g} to {labels.max():g}",
        )
    return labels.astype("int64")


def _from_one_hot(labels: np.ndarray) -> np.ndarray:
    is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()
    if not is_one_hot:
        raise DataError(
            "`y` has rows that are not one-hot",
            expected="a single 1 in each row, else 0",
            fix="Measures need one right class: for soft labels take `y.argmax(axis=1)`",
        )
    return labels.argmax(axis=1)


def as_target_numbers(y: Any, units: int) -> np.ndarray:
    """The numbers that members of a regression should have given.

    Args:
        y: Targets, (examples, units), or (examples,) for one unit.
        units: Units of the members' output.

    Returns:
        Targets, float64, (examples, units).

    Raises:
        DataError: The targets are not of this shape.

    Example:
        >>> as_target_numbers([1, 2], 1).shape
        (2, 1)
    """
    targets = _numeric(y).astype("float64")
    if targets.ndim == 1 and units == 1:
        targets = targets[:, None]
    if targets.shape != (len(targets), units):
        raise DataError(
            "`y` does not match the members' output",
            expected=f"targets of shape (examples, {units})",
            received=f"shape {targets.shape}",
            fix="Classifiers are known by their loss or last activation; if these give logits,"
            " say `logits=True`",
        )
    return targets


def _numeric(y: Any) -> np.ndarray:
    labels = np.asarray(y)
    if labels.dtype.kind not in "iubf":
        raise DataError("`y` must hold numbers", received=f"dtype {labels.dtype}")
    if labels.ndim == 0 or len(labels) == 0:
        raise DataError("`y` is empty", received=f"shape {labels.shape}")
    if not np.isfinite(labels).all():
        row = int(np.argwhere(~np.isfinite(labels))[0][0])
        raise DataError(
            "`y` holds NaN or infinite values",
            expected="finite numbers",
            received=f"the first one in row {row}",
        )
    return labels.astype("int64") if labels.dtype.kind == "b" else labels
