"""What every member says about the same labelled examples, predicted once and used by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.combine import check_alike
from keras_mothernets.ensembles.labels import as_class_numbers, as_target_numbers
from keras_mothernets.ensembles.member_outputs import first_labels, read_outputs, read_source
from keras_mothernets.ensembles.outputs import squashings_of
from keras_mothernets.ensembles.task import Task, task_of
from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.member import Member, as_members

# How far the probabilities of one example may be from summing to one: float16 rounds to 1e-3.
SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Predictions:
    """The members' predictions and the labels of a set of examples.

    Made by `of` from networks, or by `of_classes` and `of_numbers` from arrays. Everything that
    weighs, selects, calibrates or measures members takes it in place of networks and data,
    so that no network predicts twice.

    Args:
        values: Probabilities, float64, (members, examples, classes), each row summing to one; or
            the numbers of a regression, (members, examples, targets). One unit
            behind a sigmoid stands here as two classes, no and yes.
        labels: Class numbers, (examples,), or targets, (examples, targets).
        names: Names of the members, in their order.
        task: Classification or regression.

    Example:
        >>> predictions = Predictions.of_classes([[[0.9, 0.1]], [[0.2, 0.8]]], [0])
        >>> predictions.names, predictions.mean()
        (('member_1', 'member_2'), array([[0.55, 0.45]]))
    """

    values: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    task: Task

    @classmethod
    def of(
        cls,
        models: Sequence[keras.Model | Member],
        x: Any,
        y: Any = None,
        *,
        logits: Any = None,
        task: str | None = None,
    ) -> Predictions:
        """Let every member predict.

        Args:
            models: Built models with the same input and output shapes, and one output.
            x: What `keras.Model.fit` takes: arrays, a `tf.data.Dataset` or a `PyDataset`, which
                is read once for all members.
            y: Class numbers, one-hot rows or the targets of a regression; not given with
                a data set.
            logits: Whether the members give logits; as in `km.combine`.
            task: "classification" or "regression". `None` finds out from losses and last
                activations; models that have neither, such as what `km.combine`
                returns, are told by it, or by class numbers as labels of several units.

        Returns:
            Predictions in which every member has read every example once.

        Raises:
            MotherNetsError: There are no members, they do not match each other, or they are
                neither classifiers of one class of several nor a regression.
            DataError: Data and members do not go together, or a prediction is NaN.

        Example:
            >>> members = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
            ...            for _ in range(2)]
            >>> Predictions.of(members, np.ones((5, 4)), np.array([0, 1, 2, 0, 1])).values.shape
            (2, 5, 3)
        """
        members = as_members(list(models) if isinstance(models, tuple) else models)
        check_alike(members)
        squashings = [each[0] for each in squashings_of(logits, [one.model for one in members])]
        source = read_source(x, y)
        at_door = first_labels(source)
        found = task_of(members, squashings, at_door.shape, task)
        _read_labels(at_door, found, members[0].model.outputs[0].shape[-1])
        outputs, labels = read_outputs(members, source)
        names = [member.label for member in members]
        if found is Task.NUMBERS:
            return cls.of_numbers(outputs, labels, names)
        probabilities = [
            _squash(output, squashing)
            for output, squashing in zip(_checked(outputs, names), squashings, strict=True)
        ]
        return cls.of_classes(probabilities, labels, names)

    @classmethod
    def of_classes(
        cls, probabilities: Sequence[Any], y: Any, names: Sequence[str] | None = None
    ) -> Predictions:
        """Probabilities that were computed elsewhere.

        Args:
            probabilities: For each member (examples, classes), or (examples,) or (examples, 1) for
                the probability of class 1 of two.
            y: Class numbers, (examples,), or one-hot rows, (examples, classes).
            names: Names of the members; "member_1", ... by default.

        Returns:
            Predictions of a classification.

        Raises:
            MotherNetsError: There are no members, or names and members differ in number.
            DataError: Shapes or lengths differ, rows do not sum to one, labels are out of
                range, or there are NaNs.

        Example:
            >>> Predictions.of_classes([[0.25, 1.0]], [0, 1]).values
            array([[[0.75, 0.25],
                    [0.  , 1.  ]]])
        """
        names = _names(names, probabilities)
        values = np.stack(_checked(probabilities, names))
        if values.min() < 0 or values.max() > 1 + SUM_TOLERANCE:
            raise _no_probabilities(f"numbers from {values.min():.4g} to {values.max():.4g}")
        if values.shape[-1] == 1:
            yes = np.minimum(values, 1.0)
            values = np.concatenate([1.0 - yes, yes], axis=-1)
        sums = values.sum(axis=-1, keepdims=True)
        if abs(sums - 1).max() > SUM_TOLERANCE:
            raise _no_probabilities(f"rows that sum to {sums.min():.4g} to {sums.max():.4g}")
        labels = _read_labels(y, Task.CLASSES, values.shape[-1])
        _check_lengths(values, labels)
        return cls(values / sums, labels, names, Task.CLASSES)

    @classmethod
    def of_numbers(
        cls, predictions: Sequence[Any], y: Any, names: Sequence[str] | None = None
    ) -> Predictions:
        """Predictions of a regression that were computed elsewhere.

        Args:
            predictions: For each member (examples, targets), or (examples,) for one target.
            y: Targets, of the same shape.
            names: Names of the members; "member_1", ... by default.

        Returns:
            Predictions of a regression.

        Raises:
            MotherNetsError: There are no members, or names and members differ in number.
            DataError: Shapes or lengths differ, or there are NaNs.

        Example:
            >>> Predictions.of_numbers([[1.0, 2.0], [3.0, 2.0]], [2.0, 2.0]).mean().tolist()
            [[2.0], [2.0]]
        """
        names = _names(names, predictions)
        values = np.stack(_checked(predictions, names))
        labels = _read_labels(y, Task.NUMBERS, values.shape[-1])
        _check_lengths(values, labels)
        return cls(values, labels, names, Task.NUMBERS)

    @property
    def num_members(self) -> int:
        """Number of members."""
        return len(self.values)

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.labels)

    def mean(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The ensemble's prediction.

        Args:
            weights: One per member, summing to one; equal by default.

        Returns:
            The weighted mean, (examples, classes or targets).
        """
        if weights is None:
            return self.values.mean(axis=0)
        return np.tensordot(weights, self.values, axes=1)

    def of_members(self, positions: Sequence[int] | np.ndarray) -> Predictions:
        """The same examples, some of the members.

        Args:
            positions: Which members, by position, in the order wanted.

        Returns:
            Predictions of these members; labels are shared.
        """
        names = tuple(self.names[position] for position in positions)
        return Predictions(self.values[list(positions)], self.labels, names, self.task)

    def need(self, task: Task, what: str) -> None:
        """Refuse what has no meaning for these predictions.

        Args:
            task: What `what` is for.
            what: Name of a measure or of what else is asked.

        Raises:
            MotherNetsError: The predictions are of the other task.
        """
        if self.task is not task:
            raise MotherNetsError(
                f"`{what}` has no meaning for these predictions",
                expected=f"predictions of a {task.value}",
                received=f"a {self.task.value}",
            )


def as_predictions(
    models: Sequence[keras.Model | Member] | Predictions, x: Any, y: Any, logits: Any
) -> Predictions:
    """Predictions as they are; members are asked for them.

    Raises:
        MotherNetsError: Data are given next to predictions, or as `Predictions.of`.
    """
    if not isinstance(models, Predictions):
        return Predictions.of(models, x, y, logits=logits)
    check_no_data(x=x, y=y, logits=logits)
    return models


def check_no_data(**given: Any) -> None:
    """Refuse data next to predictions, by the name of their argument.

    Raises:
        MotherNetsError: One of them is not `None`.
    """
    for name, value in given.items():
        if value is not None:
            raise MotherNetsError(
                f"`{name}` was given next to predictions, which have their data already",
                fix=f"Leave `{name}` out, or give the models",
            )


def _names(names: Sequence[str] | None, values: Sequence[Any]) -> tuple[str, ...]:
    if len(values) == 0:
        raise MotherNetsError(
            "An ensemble needs at least one member",
            expected="predictions of at least one",
            received="none",
        )
    if names is None:
        return tuple(f"member_{number}" for number in range(1, len(values) + 1))
    if len(names) != len(values):
        raise MotherNetsError(
            "`names` must have one entry per member",
            expected=f"{len(values)} names",
            received=f"{len(names)}",
        )
    return tuple(names)


def _checked(values: Sequence[Any], names: Sequence[str]) -> list[np.ndarray]:
    """As float64 with a last axis, of one shape and finite."""
    arrays: list[np.ndarray] = []
    for name, value in zip(names, values, strict=True):
        array = np.asarray(value)
        if array.dtype.kind not in "iubf" and str(array.dtype) != "bfloat16":
            raise DataError(
                f"Member `{name}` does not predict numbers", received=f"dtype {array.dtype}"
            )
        array = array.astype("float64")
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape != (arrays or [array])[0].shape:
            raise DataError(
                f"Member `{name}` has predictions that do not match",
                expected=f"shape {arrays[0].shape}" if arrays else "shape (examples, units)",
                received=f"{array.shape}",
            )
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise DataError(
                f"Member `{name}` predicts NaN or infinite values",
                expected="finite numbers",
                received=f"the first one for example {row}",
            )
        arrays.append(array)
    return arrays


def _read_labels(y: Any, task: Task, units: int) -> np.ndarray:
    return as_target_numbers(y, units) if task is Task.NUMBERS else as_class_numbers(y, units)


def _check_lengths(values: np.ndarray, labels: np.ndarray) -> None:
    if values.shape[1] != len(labels):
        raise DataError(
            "Predictions and `y` differ in length",
            expected="one row per example in each",
            received=f"{values.shape[1]} and {len(labels)} rows",
        )


def _squash(output: np.ndarray, squashing: str | None) -> np.ndarray:
    """Logits as probabilities; in float64, so that small ones are not lost."""
    if squashing is None:
        return output
    if squashing == "sigmoid":
        return np.exp(-np.logaddexp(0.0, -output))
    shifted = np.exp(output - output.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _no_probabilities(received: str) -> DataError:
    return DataError(
        "The members do not predict probabilities",
        expected="numbers from 0 to 1 that sum to one over the classes",
        received=received,
        fix="If they give logits, say `logits=True`",
    )
