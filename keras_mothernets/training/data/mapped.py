"""Batches that are changed on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class MappedBatches(keras.utils.PyDataset):
    """The batches of a PyDataset, each passed through a function: `map` of `tf.data`.

    Args:
        dataset: The PyDataset.
        change: From batch to batch.
    """

    def __init__(self, dataset: keras.utils.PyDataset, change: Callable[[Any], Any]) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.change = change

    def begin_epoch(self, epoch: int) -> None:
        """Passed on to an order that depends on the epoch."""
        if hasattr(self.dataset, "begin_epoch"):
            self.dataset.begin_epoch(epoch)

    @property
    def num_batches(self) -> int | None:
        """As in the data set."""
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.change(self.dataset[index])

    def on_epoch_begin(self) -> None:
        """Passed on."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Passed on."""
        self.dataset.on_epoch_end()
