"""Data that come in batches already: `tf.data.Dataset` and `keras.utils.PyDataset`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.errors import DataError, reason_of
from keras_mothernets.training.data.bootstrap import weighted_stream


class ReorderedBatches(keras.utils.PyDataset):
    """The batches of a PyDataset in an order that depends on a seed and on the epoch.

    Keras shuffles the batches of a PyDataset with Python's global random state, the same
    for every member; see `ArrayBatches` for why that is not good enough here.

    Args:
        dataset: A PyDataset of known length.
        seed: Seed of the order.
    """

    def __init__(self, dataset: keras.utils.PyDataset, seed: int) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.seed = seed
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0."""
        rng = np.random.default_rng([self.seed, epoch])
        self._order = rng.permutation(self.dataset.num_batches)

    def __len__(self) -> int:
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self._order[index])]

    def on_epoch_begin(self) -> None:
        """Passed on."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Passed on."""
        self.dataset.on_epoch_end()


@dataclass(frozen=True, eq=False)
class StreamSource:
    """A data set that makes its batches itself.

    A `tf.data.Dataset` shuffles itself or not at all: give it `.shuffle(...)`, which draws
    anew in every epoch and for every member.

    Args:
        dataset: A `tf.data.Dataset` or a `keras.utils.PyDataset` of batches
            `x`, `(x, y)` or `(x, y, sample_weight)`.
        title: What it is called in messages.
    """

    dataset: Any
    title: str = "x"

    @property
    def num_examples(self) -> None:
        """Not known before a pass over the data."""
        return None

    @property
    def is_infinite(self) -> bool:
        """Whether a pass over the data never ends."""
        return self._cardinality() == tf.data.INFINITE_CARDINALITY

    def _cardinality(self) -> int:
        if isinstance(self.dataset, keras.utils.PyDataset):
            length = self.dataset.num_batches
            return tf.data.INFINITE_CARDINALITY if length is None else int(length)
        return int(self.dataset.cardinality())

    def steps(self, batch_size: int | None) -> int | None:
        """Number of batches in one pass, or `None` if the data do not know it."""
        count = self._cardinality()
        return count if count >= 0 else None

    def batches(
        self,
        batch_size: int | None,
        seed: int | None = None,
        bootstrap: int | None = None,
        replicas: int = 1,
    ) -> Any:
        """The data as Keras eats them; a PyDataset's batches reordered if there is a seed.

        Args:
            batch_size: Not used; the data come in batches.
            seed: Seed of the order of the batches.
            bootstrap: Seed of the weights by which a bootstrap sample is imitated, see
                `keras_mothernets.training.data.bootstrap`.
            replicas: Not used; whether the batches divide was checked before.
        """
        dataset = self.dataset
        is_countable = self.steps(None) is not None
        if seed is not None and is_countable and isinstance(dataset, keras.utils.PyDataset):
            dataset = ReorderedBatches(dataset, seed)
        return dataset if bootstrap is None else weighted_stream(dataset, bootstrap)

    def evaluation_batches(self, batch_size: int | None, replicas: int = 1) -> Any:
        """The data set itself.

        Args:
            batch_size: Not used, and neither is `replicas`; see `batches`.
            replicas: Number of replicas.
        """
        return self.dataset

    def for_network(self, model: keras.Model) -> StreamSource:
        """The data set itself: its batches have the form that its maker gave them."""
        return self

    def sample(self, limit: int, seed: int = 0) -> Any:
        """Up to `limit` rows of `x`, from the first batches."""
        taken: list[Any] = []
        count = 0
        for batch, _, _ in self.numpy_batches():
            taken.append(batch)
            count += len(keras.tree.flatten(taken[-1])[0])
            if count >= limit:
                break
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:limit], *taken)

    def first_rows(self, count: int) -> tuple[Any, Any, Any]:
        """The first rows of the first batch: x, y and the sample weights.

        Raises:
            DataError: There is no batch, or what comes is none.
        """
        for batch in self.numpy_batches():
            return keras.tree.map_structure(
                lambda array: None if array is None else array[:count], batch
            )
        raise DataError(f"`{self.title}` has no batches", received=repr(self.dataset))

    def numpy_batches(self) -> Iterator[tuple[Any, Any, Any]]:
        """The batches as arrays: x, y and the sample weights.

        Raises:
            DataError: The data set fails, or what it gives is no batch.
        """
        batches = iter(self._iterate())
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except Exception as error:
                raise DataError(
                    f"`{self.title}` fails to give a batch",
                    received=f"{type(error).__name__}: {reason_of(error)}",
                ) from error
            yield self._unpack(batch)

    def _iterate(self) -> Any:
        if isinstance(self.dataset, keras.utils.PyDataset):
            count = self.steps(None)
            indices = itertools.count() if count is None else range(count)
            return (self.dataset[index] for index in indices)
        return iter(self.dataset)

    def _unpack(self, batch: Any) -> tuple[Any, Any, Any]:
        if isinstance(batch, (list, tuple)) and not 1 <= len(batch) <= 3:
            raise DataError(
                f"`{self.title}` gives batches of {len(batch)} parts",
                expected="`x`, `(x, y)` or `(x, y, sample_weight)`",
            )
        x, y, sample_weight = keras.tree.map_structure(
            lambda part: None if part is None else np.asarray(part),
            keras.utils.unpack_x_y_sample_weight(batch),
        )
        if any(array is not None and not array.ndim for array in keras.tree.flatten((x, y))):
            raise DataError(
                f"`{self.title}` gives single examples",
                expected="batches",
                fix="Call `.batch(batch_size)` on the data set",
            )
        return x, y, sample_weight

    def fingerprint(self, title: str = "") -> dict[str, str]:
        """Kind, element shapes and length: all that can be known without a pass over the data."""
        spec = getattr(self.dataset, "element_spec", "")
        return {f"{title}x": f"{type(self.dataset).__name__} {self._cardinality()} {spec}".strip()}
