"""All that came of a training as arrays by name, to be kept in a file and compared."""

from __future__ import annotations

import numpy as np


def values_of(method, history):
    """Weights of the members and curves of the jobs."""
    weights = {
        f"{model.name}/{number}": array
        for model in method.members
        for number, array in enumerate(model.get_weights())
    }
    return {**weights, **{name: np.array(curve) for name, curve in history.history.items()}}
