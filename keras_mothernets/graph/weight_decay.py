"""What an optimizer leaves out of weight decay: Keras 3.15 has a setter for it and no getter."""

from __future__ import annotations

import re

import keras


def names_without_decay(optimizer: keras.optimizers.Optimizer) -> str | None:
    """The pattern of variable names given to `exclude_from_weight_decay`, `None` without one.

    Example:
        >>> optimizer = keras.optimizers.AdamW()
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> names_without_decay(optimizer)
        'bias'
    """
    pattern: re.Pattern[str] | None = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    return None if pattern is None else pattern.pattern


def has_variables_without_decay(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether single variables were given to `exclude_from_weight_decay`."""
    return bool(getattr(optimizer, "_exclude_from_weight_decay", None))
