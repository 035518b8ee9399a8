"""What has been found out about models, kept as long as these are not changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import keras

from keras_mothernets.graph.keras_graph import layers_with_attributes

Found = TypeVar("Found")

_PLAIN = (str, int, float, bool, bytes, type(None))


class PerModel(Generic[Found]):
    """Finds something out about each model once.

    Args:
        find: Tells it of a model.

    Example:
        >>> count = PerModel(lambda model: model.count_params())
        >>> count(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
        10
    """

    def __init__(self, find: Callable[[keras.Model], Found]) -> None:
        self._find = find
        # Each model is kept, so that its number stays its own.
        self._found: dict[int, tuple[keras.Model, Hashable, Found]] = {}

    def __call__(self, model: keras.Model) -> Found:
        """What is known of a model; it is taken to be as it was."""
        if id(model) not in self._found:
            self._found[id(model)] = (model, state_of(model), self._find(model))
        return self._found[id(model)][2]

    def now(self, model: keras.Model) -> Found:
        """What is known of a model as it is now: found out anew if it has been changed."""
        known = self._found.get(id(model))
        if known is not None and known[1] != state_of(model):
            del self._found[id(model)]
        return self(model)

    def forget_changed(self) -> None:
        """Forget what was found out about models that have been changed since."""
        self._found = {
            number: entry for number, entry in self._found.items() if state_of(entry[0]) == entry[1]
        }

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()


def state_of(model: keras.Model) -> Hashable:
    """Changes when an attribute of a layer is set, such as `trainable` or a rate.

    It is no matter of weights, and what is changed inside of an attribute, such as a factor of
    a regularizer, does not show.

    Args:
        model: A built model.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)])
        >>> before = state_of(model)
        >>> model.layers[0].rate = 0.1
        >>> state_of(model) == before
        False
    """
    return tuple(
        (id(layer), *((key, _plain(value)) for key, value in attributes.items()))
        for layer, attributes in layers_with_attributes(model)
    )


def _plain(value: Any) -> Hashable:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return id(value)
