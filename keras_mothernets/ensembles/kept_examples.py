"""What every member says of every example: read once, and kept for what cannot be summed up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_mothernets.ensembles.likelihood import SMALLEST_PROBABILITY
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.stack import Stack
from keras_mothernets.ensembles.task import Task


@dataclass(eq=False)
class Look:
    """What some members say of some examples.

    Args:
        task: Classification or regression.
        values: Probabilities or numbers, (members, examples, classes or targets).
        named: The class that each member puts first, (members, examples); `None` of a regression.
        labels: Class numbers, (examples,), or targets, (examples, targets).
    """

    task: Task
    values: np.ndarray
    named: np.ndarray | None
    labels: np.ndarray

    @cached_property
    def errors(self) -> np.ndarray:
        """How far each number is from what it should be, (members, examples, classes)."""
        if self.task is Task.NUMBERS:
            return self.values - self.labels
        errors = self.values.copy()
        errors[:, np.arange(len(self.labels)), self.labels] -= 1.0
        return errors

    @cached_property
    def right(self) -> np.ndarray:
        """1 where a member names the right class, float32, (members, examples)."""
        assert self.named is not None
        return np.equal(self.named, self.labels).astype("float32")

    @cached_property
    def one_hot(self) -> np.ndarray:
        """1 for the class that a member names, float32, (members, examples, classes)."""
        assert self.named is not None
        classes = np.arange(self.values.shape[-1], dtype=self.named.dtype)
        return (self.named[:, :, None] == classes).astype("float32")

    @property
    def votes(self) -> np.ndarray:
        """How many members name each class, (examples, classes)."""
        assert self.named is not None
        examples, classes = self.values.shape[1:]
        cells = self.named + np.arange(0, examples * classes, classes)
        return np.bincount(cells.ravel(), minlength=examples * classes).reshape(examples, -1)

    @cached_property
    def truth(self) -> np.ndarray:
        """Probability of the right class, at least 1e-7, (members, examples)."""
        truth = self.values[:, np.arange(len(self.labels)), self.labels]
        return np.maximum(truth, SMALLEST_PROBABILITY)

    def since(self, first: int) -> Look:
        """The members from this position on."""
        if first == 0:
            return self
        named = None if self.named is None else self.named[first:]
        return Look(self.task, self.values[first:], named, self.labels)


@dataclass(frozen=True, eq=False)
class KeptExamples:
    """The labels, and a row of predictions for every member that was ever added.

    Args:
        task: Classification or regression.
        labels: Class numbers, (examples,), or targets, (examples, targets).
        values: Predictions, float64, (members, examples, classes or targets).
        named: The class that each member puts first, in the fewest bytes, (members, examples);
            `None` of a regression.
        known: The first of the checksums, as far as they were found before.
    """

    task: Task
    labels: np.ndarray
    values: Stack
    named: Stack | None
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, predictions: Predictions) -> KeptExamples:
        """Take predictions as they are; nothing but the named classes is new memory."""
        values = predictions.values
        named = Stack((named_classes(values),)) if predictions.task is Task.CLASSES else None
        return cls(predictions.task, predictions.labels, Stack((values,)), named)

    @property
    def num_members(self) -> int:
        """Members that were ever added."""
        return len(self.values)

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def width(self) -> int:
        """Number of classes or targets."""
        return int(self.values.parts[0].shape[2])

    def append(self, values: np.ndarray) -> KeptExamples:
        """These and more members, (members, examples, classes or targets)."""
        named = None if self.named is None else self.named.append(named_classes(values))
        known = self.__dict__.get("checksums", self.known)
        return KeptExamples(self.task, self.labels, self.values.append(values), named, known)

    @cached_property
    def checksums(self) -> tuple[str, ...]:
        """Of the labels, and of every member that was ever added; each is found once."""
        rows = [self.labels, *(row for part in self.values.parts for row in part)]
        new = rows[len(self.known) :]
        return self.known + tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in new)

    def look(self, members: np.ndarray, examples: np.ndarray) -> Look:
        """What these members say of these examples."""
        return Look(
            self.task,
            self.values.take(members, examples),
            None if self.named is None else self.named.take(members, examples),
            self.labels[examples],
        )


def named_classes(values: np.ndarray) -> np.ndarray:
    """The class put first, in the smallest whole numbers that hold all, (members, examples)."""
    dtype = np.min_scalar_type(values.shape[-1] - 1)
    return np.stack([one.argmax(axis=-1).astype(dtype) for one in values])
