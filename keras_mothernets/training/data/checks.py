"""Checks at the door: one clear sentence before anything trains, not a NaN after an hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import DataError
from keras_mothernets.training.data.leaves import named_leaves
from keras_mothernets.training.losses import LossKind, LossSpec, loss_specs
from keras_mothernets.training.signature import input_keys, output_keys

Shape = tuple[int | None, ...]
ROWS_AT_ONCE = 65536  # so that a check of a large array needs little memory


def check_arrays(x: Any, y: Any, sample_weight: Any, title: str = "") -> None:
    """Arrays must have equally many rows, at least one, and finite values.

    Args:
        x: An input array, or a nest of them.
        y: Target arrays, or `None`.
        sample_weight: Arrays of weights, or `None`.
        title: Put before the names, for example "validation ".

    Raises:
        DataError: They do not; the array is named.
    """
    named = [
        (f"{title}{name}", array)
        for part, structure in (("x", x), ("y", y), ("sample_weight", sample_weight))
        for name, array in named_leaves(part, structure)
        if array is not None
    ]
    first_name, first = named[0]
    if len(first) == 0:
        raise DataError(f"`{first_name}` is empty", received=f"shape {first.shape}")
    for name, array in named:
        if len(array) != len(first):
            raise DataError(
                f"`{first_name}` and `{name}` differ in length",
                expected="one row per example in each",
                received=f"{len(first)} and {len(array)} rows",
            )
        _check_finite(name, array)


def _check_finite(name: str, array: np.ndarray) -> None:
    if not np.issubdtype(array.dtype, np.inexact):
        return
    for start in range(0, len(array), ROWS_AT_ONCE):
        bad = ~np.isfinite(array[start : start + ROWS_AT_ONCE])
        if bad.any():
            row = start + int(np.argwhere(bad)[0][0])
            raise DataError(
                f"`{name}` holds NaN or infinite values",
                expected="finite numbers",
                received=f"the first one in row {row}",
            )


def check_network(model: keras.Model, loss: Any, x: Any, y: Any, title: str = "") -> None:
    """The data must fit one network: its inputs, its outputs, and the labels its loss takes.

    Args:
        model: A built model.
        loss: The `loss` argument of `compile`.
        x: Inputs; all rows, or some where the data come in batches.
        y: Targets of the same rows, or `None`.
        title: Put before the names, for example "validation ".

    Raises:
        DataError: They do not fit.
    """
    _check_inputs(model, x, title)
    if y is None:
        if loss is not None:
            raise DataError(
                f"`{title}y` is missing",
                expected=f"targets for the loss {loss!r}",
                received="None",
            )
        return
    targets = _targets(model, y, title)
    shapes = [() if array is None else array.shape for _, array in targets]
    specs = loss_specs(loss, model, shapes)
    for (name, array), output, spec in zip(targets, model.outputs, specs, strict=True):
        if array is not None and spec.kind in _LABEL_CHECKS:
            _LABEL_CHECKS[spec.kind](f"{title}{name}", array, tuple(output.shape), spec)


def _check_inputs(model: keras.Model, x: Any, title: str) -> None:
    arrays = _by_name(x, input_keys(model) if isinstance(x, dict) else None, "x", title, "input")
    if len(arrays) != len(model.inputs):
        raise DataError(
            f"`{title}x` does not match the network's inputs",
            expected=f"{len(model.inputs)} arrays",
            received=f"{len(arrays)}",
        )
    for (name, array), tensor in zip(arrays, model.inputs, strict=True):
        if not shapes_agree(tuple(tensor.shape)[1:], array.shape[1:]):
            raise DataError(
                f"`{title}{name}` does not match the network's input `{tensor.name}`",
                expected=f"shape {tuple(tensor.shape)}",
                received=f"shape {(None, *array.shape[1:])}",
            )


def _targets(model: keras.Model, y: Any, title: str) -> list[tuple[str, Any]]:
    names = output_keys(model) if isinstance(y, dict) else None
    arrays = _by_name(y, names, "y", title, "output")
    if len(arrays) != len(model.outputs):
        raise DataError(
            f"`{title}y` does not match the network's outputs",
            expected=f"{len(model.outputs)} arrays",
            received=f"{len(arrays)}",
        )
    return arrays


def _by_name(
    structure: Any, names: Sequence[str] | None, part: str, title: str, what: str
) -> list[tuple[str, Any]]:
    if names is None:
        return named_leaves(part, structure)
    missing = [name for name in names if name not in structure]
    if missing:
        raise DataError(
            f"`{title}{part}` has no array for the network's {what} `{missing[0]}`",
            expected=f"keys {list(names)}",
            received=f"keys {sorted(structure)}",
            fix=f"Name the {what}s of all networks alike, or give a list in their order",
        )
    return [(f"{part}[{name!r}]", structure[name]) for name in names]


def shapes_agree(expected: Sequence[int | None], received: Sequence[int | None]) -> bool:
    """Whether shapes are equal up to free axes and one last axis of length 1, as in Keras.

    Example:
        >>> shapes_agree((28, 28, 1), (28, 28)), shapes_agree((None, 3), (7, 3))
        (True, True)
    """
    expected, received = (
        tuple(shape[:-1]) if shape and shape[-1] == 1 else tuple(shape)
        for shape in (expected, received)
    )
    return len(expected) == len(received) and all(
        one is None or other is None or one == other
        for one, other in zip(expected, received, strict=True)
    )


def _check_sparse(name: str, labels: np.ndarray, output: Shape, spec: LossSpec) -> None:
    classes = output[-1]
    if not shapes_agree(output[1:-1], labels.shape[1:]):
        raise DataError(
            f"`{name}` must hold class numbers",
            expected=f"shape {(None, *output[1:-1])}",
            received=f"shape {(None, *labels.shape[1:])}",
            fix="For one-hot labels use the loss `categorical_crossentropy`",
        )
    is_number = labels.dtype.kind in "iubf"
    if not is_number or (labels.dtype.kind == "f" and np.any(labels != np.round(labels))):
        raise DataError(f"`{name}` must hold whole class numbers", received=f"{labels.dtype}")
    counted = labels[labels != spec.ignore_class] if spec.ignore_class is not None else labels
    if counted.size == 0:
        return
    smallest, largest = counted.min(), counted.max()
    if smallest < 0 or (classes is not None and largest >= classes):
        raise DataError(
            f"`{name}` holds labels out of range",
            expected=f"class numbers 0 to {classes - 1}" if classes else "numbers of at least 0",
            received=f"{smallest:g} to {largest:g}",
        )


def _check_same_shape(name: str, labels: np.ndarray, output: Shape, spec: LossSpec) -> None:
    if not shapes_agree(output[1:], labels.shape[1:]):
        raise DataError(
            f"`{name}` must have the shape of the network's output",
            expected=f"shape {output}",
            received=f"shape {(None, *labels.shape[1:])}",
        )
    if labels.dtype.kind not in "iubf":
        raise DataError(f"`{name}` must hold numbers", received=f"dtype {labels.dtype}")


def _check_shares(name: str, labels: np.ndarray, output: Shape, spec: LossSpec) -> None:
    _check_same_shape(name, labels, output, spec)
    smallest, largest = labels.min(), labels.max()
    if smallest < 0 or largest > 1:
        raise DataError(
            f"`{name}` holds labels out of range",
            expected="numbers from 0 to 1",
            received=f"{smallest:g} to {largest:g}",
        )


def _check_one_hot(name: str, labels: np.ndarray, output: Shape, spec: LossSpec) -> None:
    try:
        _check_shares(name, labels, output, spec)
    except DataError as error:
        error.fix = "For class numbers use the loss `sparse_categorical_crossentropy`"
        raise


_LABEL_CHECKS = {
    LossKind.SPARSE: _check_sparse,
    LossKind.CATEGORICAL: _check_one_hot,
    LossKind.BINARY: _check_shares,
    LossKind.ELEMENTWISE: _check_same_shape,
}
