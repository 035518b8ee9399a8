"""Optimizers, metrics and losses made anew: the same settings, none of the state."""

from __future__ import annotations

from typing import Any

import keras

# Names that Keras resolves only when it sees the shapes of labels and outputs.
_SHAPE_NAMES = ("accuracy", "acc", "crossentropy", "ce", None)


def fresh_optimizer(choice: Any) -> keras.optimizers.Optimizer:
    """A new, unused optimizer with the settings of the one chosen."""
    if isinstance(choice, keras.optimizers.Optimizer):
        return _made_anew(choice)
    return keras.optimizers.get(choice)


def fresh_metric(metric: Any) -> Any:
    """A new metric like this one; names and functions as they are."""
    if isinstance(metric, keras.metrics.Metric):
        return _made_anew(metric)
    if metric not in _SHAPE_NAMES:
        keras.metrics.get(metric)  # raises for an unknown name
    return metric


def fresh_loss(loss: Any) -> Any:
    """A new loss object like this one; one that cannot be made anew stays, having no state."""
    if isinstance(loss, keras.losses.Loss) and _tells_its_config(loss):
        return _made_anew(loss)
    return loss


def check_loss(loss: Any) -> None:
    """Keras must know what is meant by a loss.

    Raises:
        ValueError: It does not.
    """
    if loss not in _SHAPE_NAMES:
        keras.losses.get(loss)


def _made_anew(entry: Any) -> Any:
    if not _tells_its_config(entry):
        raise ValueError(
            f"`{type(entry).__name__}` has arguments of its own and no `get_config`, "
            "so it cannot be made anew for each job"
        )
    return type(entry).from_config(entry.get_config())


def _tells_its_config(entry: Any) -> bool:
    """Whether the class that has the constructor, or one below it, has `get_config` too.

    Keras' own classes all do; some inherit it (AdamW has its arguments from Adam).
    """
    if type(entry).__module__.split(".")[0] == "keras":
        return True
    for ancestor in type(entry).__mro__:
        if "get_config" in vars(ancestor):
            return True
        if "__init__" in vars(ancestor):
            return False
    return False
