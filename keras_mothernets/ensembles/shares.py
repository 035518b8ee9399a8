"""The weights of the members, as shares of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mothernets.errors import MotherNetsError


def as_shares(weights: Sequence[float] | np.ndarray | None, count: int) -> np.ndarray:
    """Weights scaled to sum to one.

    Args:
        weights: One number of at least 0 per member; `None` for equal ones.
        count: Number of members.

    Raises:
        MotherNetsError: They are not so many finite numbers of at least 0, or all of them 0.

    Example:
        >>> as_shares([3, 1], 2)
        array([0.75, 0.25])
    """
    if weights is None:
        return np.full(count, 1.0 / count)
    try:
        numbers = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):  # no numbers at all
        numbers = np.array(np.nan)
    is_valid = numbers.shape == (count,) and np.isfinite(numbers).all() and (numbers >= 0).all()
    if not is_valid or numbers.sum() == 0:
        raise MotherNetsError(
            "`weights` cannot be used",
            expected=f"{count} finite numbers of at least 0, not all of them 0",
            received=repr(weights),
        )
    return np.asarray(numbers / numbers.sum())
