"""Arrays as training data: one order per job and epoch, and never a second copy in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mothernets.training.data.bootstrap import bootstrap_rows
from keras_mothernets.training.data.leaves import named_leaves
from keras_mothernets.training.data.replicas import (
    EvaluationBatches,
    evaluation_cuts,
    filled_up,
    next_multiple,
)
from keras_mothernets.training.seeds import derive_seed
from keras_mothernets.training.signature import output_keys, output_structure

BATCH_SIZE = 32  # where none is given, as in Keras
FINGERPRINT_ROWS = 4096  # rows that are hashed of a large array; all rows of a smaller one


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays in an order that depends on a seed and on the epoch, and on nothing else.

    `keras.Model.fit` on arrays draws its permutation from the global random state: after
    `keras.utils.set_random_seed` it is the same one in every epoch and for every member,
    and without it no run can be repeated. Here (seed, epoch) decides.

    Rows are gathered batch by batch; arrays keep their dtype in memory, and only a batch of
    float64 is turned into Keras' float type, as `fit` itself does with the whole array.

    Args:
        arrays: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, each an array or a nest of arrays.
        batch_size: Rows of one batch; the last batch of an epoch may be smaller.
        seed: Seed of the order; `None` keeps the order of the arrays.
        bootstrap: Seed of a sample of as many rows, drawn with replacement and the same in every
            epoch; `None` for all rows.
        replicas: Number by which the rows of every batch must divide, see
            `keras_mothernets.training.data.replicas`; it divides the batch size.
    """

    def __init__(
        self,
        arrays: tuple[Any, ...],
        batch_size: int,
        seed: int | None = None,
        bootstrap: int | None = None,
        replicas: int = 1,
    ) -> None:
        super().__init__()
        self.arrays = arrays
        self.batch_size = batch_size
        self.seed = seed
        self.replicas = replicas
        self.num_examples = len(named_leaves("x", arrays[0])[0][1])
        self._rows = np.arange(self.num_examples)
        if bootstrap is not None:
            self._rows = bootstrap_rows(self.num_examples, bootstrap)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch.

        Called by a callback and not counted in `on_epoch_end`, because Keras calls that at
        other times too, and because a job may begin at a later epoch than 0.

        Args:
            epoch: Number of the epoch, from 0.
        """
        order = self._rows
        if self.seed is not None:
            order = np.random.default_rng([self.seed, epoch]).permutation(self._rows)
        self._order = filled_up(order, self.replicas)

    def __len__(self) -> int:
        return -(-len(self._order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.rows(index * self.batch_size, (index + 1) * self.batch_size)

    def rows(self, first: int, last: int) -> tuple[Any, ...]:
        """Some rows in the order of the epoch, as one batch.

        Args:
            first: Place of the first one.
            last: Place behind the last one.
        """
        rows = self._order[first:last]
        return keras.tree.map_structure(
            lambda array: None if array is None else _as_fed(array[rows]), self.arrays
        )


def _as_fed(batch: np.ndarray) -> np.ndarray:
    is_float = np.issubdtype(batch.dtype, np.floating)
    return batch.astype(keras.config.floatx(), copy=False) if is_float else batch


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Arrays as `fit` takes them, already checked and turned into NumPy arrays.

    Args:
        x: Input array, or a dict or tuple of them.
        y: Target array, or a dict or tuple of them; `None` if there are none.
        sample_weight: Weights of the same structure as `y`, or `None`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def num_examples(self) -> int:
        """Number of rows."""
        return len(named_leaves("x", self.x)[0][1])

    def steps(self, batch_size: int | None) -> int | None:
        """Number of batches in one pass."""
        return None if batch_size is None else -(-self.num_examples // batch_size)

    def batches(
        self,
        batch_size: int | None,
        seed: int | None = None,
        bootstrap: int | None = None,
        replicas: int = 1,
    ) -> ArrayBatches:
        """The arrays as Keras eats them; in an order of their own if there is a seed.

        Args:
            batch_size: Rows of one batch.
            seed: As in `ArrayBatches`, and so are `bootstrap` and `replicas`.
            bootstrap: Seed of a bootstrap sample.
            replicas: Number by which batches must divide.
        """
        parts = (self.x, self.y, self.sample_weight)
        used = max(position for position, part in enumerate(parts) if part is not None) + 1
        return ArrayBatches(parts[:used], batch_size or BATCH_SIZE, seed, bootstrap, replicas)

    def evaluation_batches(self, batch_size: int | None, replicas: int = 1) -> Any:
        """The arrays as Keras evaluates on them: in their order, each row once.

        Args:
            batch_size: Rows of one batch.
            replicas: Number of replicas that get rows of every batch.
        """
        if replicas == 1:
            return self.batches(batch_size)
        size = batch_size or next_multiple(BATCH_SIZE, of=replicas)
        cuts = evaluation_cuts(self.num_examples, size, replicas)
        return EvaluationBatches(self.batches(size), cuts)

    def for_network(self, model: keras.Model) -> ArraySource:
        """The same arrays with targets and weights in the form of a network's outputs.

        A dict of targets becomes a tuple where the network gives a list: Keras 3.15 does that to
        the targets, but not to their sample weights, and then does not find them.

        Args:
            model: The network, whose outputs have the names of the dict's keys.
        """
        if not isinstance(self.y, dict) or isinstance(output_structure(model), dict):
            return self
        keys = output_keys(model)

        def in_order(part: Any) -> Any:
            ordered = None if part is None else tuple(part[key] for key in keys)
            return ordered[0] if ordered is not None and len(ordered) == 1 else ordered

        return ArraySource(self.x, in_order(self.y), in_order(self.sample_weight))

    def sample(self, limit: int, seed: int = 0) -> Any:
        """Some rows of `x`, drawn without replacement, for example to calibrate on.

        Drawn and not the first ones, because labels often come sorted.

        Args:
            limit: Number of rows, fewer if there are not so many.
            seed: Seed of the choice.
        """
        rng = np.random.default_rng(derive_seed(seed, "sample"))
        count = min(limit, self.num_examples)
        rows = np.sort(rng.choice(self.num_examples, size=count, replace=False))
        return keras.tree.map_structure(lambda array: _as_fed(array[rows]), self.x)

    def first_rows(self, count: int) -> tuple[Any, Any, Any]:
        """The first rows of x, y and the sample weights, to try settings on."""
        return keras.tree.map_structure(
            lambda array: None if array is None else _as_fed(array[:count]),
            (self.x, self.y, self.sample_weight),
        )

    def fingerprint(self, title: str = "") -> dict[str, str]:
        """Shape, dtype and a hash per array; two data sets that differ differ here.

        At most 4,096 evenly spaced rows of an array are hashed: cheap on any size, and a
        data set in another order, scaling or split does not pass for the same.

        Args:
            title: Put before the names, for example "validation ".
        """
        parts = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return {
            title + name: describe_array(array)
            for part, structure in parts.items()
            for name, array in named_leaves(part, structure)
            if array is not None
        }


def describe_array(array: np.ndarray) -> str:
    """Shape, dtype and hash of an array in one line.

    Example:
        >>> describe_array(np.zeros((2, 3), "uint8"))
        'uint8 (2, 3) b0f66adc'
    """
    rows = np.unique(np.linspace(0, len(array) - 1, FINGERPRINT_ROWS).astype(int))
    taken = array if len(array) <= FINGERPRINT_ROWS else array[rows]
    content = taken.astype("U") if taken.dtype.kind in "OUS" else np.ascontiguousarray(taken)
    digest = hashlib.sha256(content.tobytes()).hexdigest()[:8]
    return f"{array.dtype} {array.shape} {digest}"
