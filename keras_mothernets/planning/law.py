"""The time of one kind of primitive at any size, from what was measured at some sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from keras_mothernets.planning.primitive import Sizes

# How far, in logarithms of sizes, a measurement tells of its surroundings: a factor of 7.
REACH = 2.0
# Relative error of a measurement, and seconds below which nothing can be told apart.
ERROR, LEAST = 0.05, 5e-6


class Law:
    """Predicts seconds for one kind of layer.

    The time is that of a launch, plus so much for each multiplication and for each number that
    is read or written, none of them negative; this part holds at any size. What measurements
    differ from it, since small kernels fill no vector unit and small tensors stay in a cache, is
    carried over to sizes that are near, as a Gaussian process does in the logarithms of all
    sizes. Where something was measured the prediction is what was measured.

    Args:
        sizes: Sizes at which seconds were measured, at least one.
        seconds: These seconds.

    Example:
        >>> sizes = [Sizes(0, n, n, 0, 8, 8) for n in (1000, 2000, 4000)]
        >>> law = Law(sizes, [1e-3, 2e-3, 4e-3])
        >>> round(law(Sizes(0, 3000, 3000, 0, 8, 8)), 4)
        0.003

    Source: Idreos et al., "The Data Calculator" (SIGMOD 2018), learns a cost model for each access
    primitive by small benchmarks; the models are ours.
    """

    def __init__(self, sizes: Sequence[Sizes], seconds: Sequence[float]) -> None:
        measured = np.asarray(seconds, dtype=float)
        terms = _terms(sizes)
        scale = terms.max(axis=0)
        # Relative errors count, so that small layers are told as well as large ones.
        relative = (measured + LEAST)[:, None]
        weights, _ = nnls(terms / scale / relative, measured / relative[:, 0])
        self._weights = weights / scale
        self._at = _coordinates(sizes)
        differences = np.log((measured + LEAST) / (terms @ self._weights + LEAST))
        self._range = float(differences.min()), float(differences.max())
        self._spread = float(np.mean(differences**2)) + 1e-4
        covariance = self._spread * self._nearness(self._at)
        covariance[np.diag_indices_from(covariance)] += ERROR**2
        self._carried = np.linalg.solve(covariance, differences)

    def __call__(self, sizes: Sizes) -> float:
        """Seconds of a primitive of these sizes."""
        return float(self.many([sizes])[0])

    def many(self, sizes: Sequence[Sizes]) -> np.ndarray:
        """Seconds of several primitives, (sizes,)."""
        carried = self._spread * self._nearness(_coordinates(sizes)) @ self._carried
        plain = _terms(sizes) @ self._weights + LEAST
        # No place differs more from the plain part than where something was measured.
        return np.maximum(LEAST, plain * np.exp(np.clip(carried, *self._range)) - LEAST)

    def _nearness(self, at: np.ndarray) -> np.ndarray:
        apart = (at[:, None] - self._at[None]) / REACH
        return np.exp(-0.5 * (apart**2).sum(axis=-1))


def _terms(sizes: Sequence[Sizes]) -> np.ndarray:
    """What the time is a sum of: (sizes, terms)."""
    return np.array(
        [[1.0, one.work, one.inputs, one.outputs, one.parameters] for one in sizes], dtype=float
    ) + [0.0, 1.0, 1.0, 1.0, 1.0]


def _coordinates(sizes: Sequence[Sizes]) -> np.ndarray:
    """In what sizes differ, as logarithms: (sizes, coordinates)."""
    rows = [
        [
            max(1, one.inputs),
            max(1, one.channels_in),
            max(1, one.outputs),
            max(1, one.channels_out),
            max(1.0, one.work / max(1, one.outputs)),
        ]
        for one in sizes
    ]
    return np.log(np.array(rows, dtype=float))
