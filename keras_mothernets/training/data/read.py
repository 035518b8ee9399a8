"""Read what `keras.Model.fit` takes as data into one shape."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.errors import DataError, whole_number
from keras_mothernets.training.data.arrays import ArraySource
from keras_mothernets.training.data.checks import check_arrays
from keras_mothernets.training.data.leaves import as_arrays, named_leaves
from keras_mothernets.training.data.replicas import next_multiple
from keras_mothernets.training.data.streams import StreamSource

Source = ArraySource | StreamSource


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data of a run, the same for all of its jobs.

    Args:
        train: What is trained on.
        validation: What is evaluated on after an epoch, or `None`.
        class_weight: Weights by class for data that come in batches; those of arrays
            have become sample weights.
        shuffle: Whether each job sees the examples in an order of its own, new in every epoch.
        steps_per_epoch: Steps that count as one epoch, for data without a length.
        validation_steps: Steps of one validation, likewise.
        validation_batch_size: Batch size of the validation; the training's by default.
        validation_freq: Epochs between two validations.
        replicas: Number of replicas to which every batch is dealt out.
    """

    train: Source
    validation: Source | None = None
    class_weight: dict[int, float] | None = None
    shuffle: bool = True
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    validation_batch_size: int | None = None
    validation_freq: Any = 1
    replicas: int = 1

    def steps(self, batch_size: int | None) -> int | None:
        """Number of steps in one epoch, or `None` if the data do not know it."""
        return self.steps_per_epoch or self.train.steps(batch_size)

    def examples(self, steps: int, batch_size: int | None) -> int | None:
        """Number of examples in so many steps, or `None` if the data do not know it.

        Args:
            steps: Batches that were trained on; a pass over the data ends with a smaller one.
            batch_size: The job's batch size.
        """
        rows, per_pass = self.train.num_examples, self.train.steps(batch_size)
        if rows is None or not per_pass or batch_size is None:
            return None
        passes, rest = divmod(steps, per_pass)
        return passes * next_multiple(rows, of=self.replicas) + rest * batch_size

    def batch_size(self, batch_size: int) -> int | None:
        """The batch size that counts: `None` where the data come in batches already."""
        return batch_size if isinstance(self.train, ArraySource) else None

    def fit_arguments(
        self, model: keras.Model, batch_size: int | None, seed: int, bootstrap: int | None = None
    ) -> dict[str, Any]:
        """Arguments of `keras.Model.fit` that feed one job.

        Args:
            model: The job's network.
            batch_size: The job's batch size.
            seed: The job's seed, which decides about the order.
            bootstrap: Seed of its bootstrap sample, `None` for all examples.
        """
        train, order = self.train.for_network(model), seed if self.shuffle else None
        arguments: dict[str, Any] = {
            "x": train.batches(batch_size, order, bootstrap, self.replicas),
            "shuffle": False,
            "class_weight": self.class_weight,
            "steps_per_epoch": self.steps_per_epoch,
        }
        if self.validation is not None:
            size = self.validation_batch_size or batch_size
            validation = self.validation.for_network(model)
            arguments["validation_data"] = validation.evaluation_batches(size, self.replicas)
            arguments["validation_steps"] = self.validation_steps
            arguments["validation_freq"] = self.validation_freq
        return arguments

    def fingerprint(self) -> dict[str, str]:
        """What these data are, by part, such that other data read differently."""
        options = {"shuffle": str(self.shuffle)}
        if self.class_weight is not None:
            options["class_weight"] = str(sorted(self.class_weight.items()))
        if self.validation is not None:
            options |= self.validation.fingerprint("validation ")
            for name in ("validation_steps", "validation_batch_size", "validation_freq"):
                if vars(self)[name] is not None:
                    options[name] = str(vars(self)[name])
        return self.train.fingerprint() | options


def read_data(
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> TrainingData:
    """Read what `keras.Model.fit` takes; the meaning of every argument is that of Keras.

    Args:
        x: Arrays (one, or a dict, list or tuple of them), a `tf.data.Dataset`, or a `PyDataset`.
        y: Target arrays; not given with a data set, which brings its own.
        sample_weight: One weight per example, or one array per output.
        class_weight: A dict from class to weight.
        validation_split: Fraction of the arrays, from their end, that is kept for validation.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, or a data set.
        shuffle: As in `TrainingData`, and so are all that follow.
        steps_per_epoch: Steps that count as one epoch.
        validation_steps: Steps of one validation.
        validation_batch_size: Batch size of the validation.
        validation_freq: Epochs between two validations.

    Returns:
        The data, with arrays as NumPy arrays. Lengths and values have been checked.

    Raises:
        DataError: The arguments are not of these kinds or do not go together.
    """
    _check_weights(sample_weight, class_weight)
    train = _read_source("x", x, y, sample_weight)
    validation = None
    if validation_data is not None:
        validation = _read_validation(validation_data)
    elif validation_split:
        train, validation = _split(train, validation_split)
    if isinstance(train, ArraySource) and class_weight is not None:  # the validation has none
        train = ArraySource(train.x, train.y, _by_class(train.y, class_weight))
        class_weight = None
    return TrainingData(
        train,
        validation,
        class_weight,
        shuffle=bool(shuffle),
        steps_per_epoch=_whole_or_none("steps_per_epoch", steps_per_epoch),
        validation_steps=_whole_or_none("validation_steps", validation_steps),
        validation_batch_size=_whole_or_none("validation_batch_size", validation_batch_size),
        validation_freq=_frequency(validation_freq),
    )


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else whole_number(name, value, 1)


def _frequency(value: Any) -> int | list[int]:
    """Every so many epochs, or the epochs themselves."""
    if isinstance(value, (list, tuple, set)):
        return [whole_number("validation_freq", epoch, 1) for epoch in value]
    return whole_number("validation_freq", value, 1)


def _read_source(title: str, x: Any, y: Any, sample_weight: Any) -> Source:
    if x is None:
        raise DataError(f"`{title}` is missing", expected="arrays or a data set")
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)):
        for name, part in (("y", y), ("sample_weight", sample_weight)):
            if part is not None:
                raise DataError(
                    f"`{name}` was given next to a data set",
                    expected=f"`{name}` inside the batches of the data set",
                    received=f"a {type(x).__name__} as `x`",
                )
        return StreamSource(x, title)
    if hasattr(x, "__next__"):
        raise DataError(
            f"`{title}` is a generator, which can be read once only, and every job reads the data",
            expected="arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`",
        )
    y = as_arrays("y", y)
    weights = as_arrays("sample_weight", sample_weight)
    weights = _like_targets(weights, y)
    x = as_arrays(title, x)
    check_arrays(x, y, weights, "" if title == "x" else "validation ")
    return ArraySource(x, y, weights)


def _like_targets(weights: Any, y: Any) -> Any:
    """Sample weights in the structure of the targets: one array counts for every output."""
    if weights is None:
        return None
    if not _is_nested(weights):
        return keras.tree.map_structure(lambda _: weights, y) if _is_nested(y) else weights
    names, targets = ([name for name, _ in named_leaves("", part)] for part in (weights, y))
    if names != targets:
        raise DataError(
            "`sample_weight` does not have the structure of `y`",
            expected="one array, or one per output in the structure of `y`",
            received=f"weights {names}, targets {targets}",
        )
    return weights


def _is_nested(structure: Any) -> bool:
    return isinstance(structure, (dict, list, tuple))


def _read_validation(validation_data: Any) -> Source:
    if not isinstance(validation_data, (list, tuple)):
        return _read_source("validation_data", validation_data, None, None)
    if len(validation_data) not in (2, 3):
        raise DataError(
            "`validation_data` must be `(x, y)` or `(x, y, sample_weight)`, or a data set",
            received=f"{len(validation_data)} parts",
        )
    x, y, sample_weight = (*validation_data, None)[:3]
    return _read_source("validation_data", x, y, sample_weight)


def _split(train: Source, fraction: Any) -> tuple[ArraySource, ArraySource]:
    if not isinstance(train, ArraySource):
        raise DataError("`validation_split` needs arrays", received=f"{train.dataset!r}")
    if not _is_number(fraction) or not 0.0 < fraction < 1.0:
        raise DataError("`validation_split` must lie between 0 and 1", received=repr(fraction))
    count = train.num_examples
    at = math.floor(count * (1.0 - fraction))
    if at in (0, count):
        raise DataError(
            f"`validation_split` of {fraction} leaves nothing to train or to validate on",
            received=f"{count} examples",
        )

    def part(rows: slice) -> ArraySource:
        return ArraySource(
            *keras.tree.map_structure(
                lambda array: None if array is None else array[rows],
                (train.x, train.y, train.sample_weight),
            )
        )

    return part(slice(at)), part(slice(at, None))


def _check_weights(sample_weight: Any, class_weight: Any) -> None:
    if class_weight is None:
        return
    if sample_weight is not None:
        raise DataError(
            "`class_weight` and `sample_weight` were both given",
            expected="one of them",
            fix="Multiply the class weights into the sample weights",
        )
    if not isinstance(class_weight, dict) or not all(
        isinstance(key, (int, np.integer)) for key in class_weight
    ):
        raise DataError(
            "`class_weight` must be a dict from class number to weight",
            received=repr(class_weight),
        )
    for key, weight in class_weight.items():
        if not _is_number(weight) or not 0 <= weight < math.inf:  # NaN neither
            raise DataError(
                f"`class_weight` of class {key} must be a finite number of at least 0",
                received=repr(weight),
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _by_class(y: Any, class_weight: dict[int, float]) -> np.ndarray:
    """Weights by class as weights by example, as Keras derives them (one-hot: largest entry)."""
    leaves = named_leaves("y", y)
    if len(leaves) != 1 or _is_nested(y):
        raise DataError(
            "`class_weight` needs exactly one output",
            received=f"{len(leaves)} targets",
            fix="Give `sample_weight` with one array per output",
        )
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    classes, positions = np.unique(np.round(y).astype("int64"), return_inverse=True)
    weights = np.array([class_weight.get(int(entry), 1.0) for entry in classes])
    return weights.astype(keras.config.floatx())[positions.reshape(y.shape)]
