"""Copies the variables of layers, and builds layers whose variables will be copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_mothernets.graph.reader import live_layers


def copy_variables(source: keras.Model, target: keras.Model) -> None:
    """Copy all variables between two models of the same architecture, layer by layer."""
    targets = live_layers(target)
    for path, layer in live_layers(source).items():
        copy_layer(layer, targets[path])


def copy_layer(source: Any, target: Any) -> None:
    """Copy the variables of one layer into another of the same shape."""
    pairs = zip(getattr(source, "weights", []), getattr(target, "weights", []), strict=True)
    for old, new in pairs:
        new.assign(old.value)
    finish(target)


def finish(layer: Any) -> None:
    """Let a layer compute what it derives from its variables (Normalization does)."""
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
        layer.finalize_state()


def with_dtype(config: Any, dtype: str) -> Any:
    """A copy of a config in which every dtype policy, nested ones too, is `dtype`."""
    if isinstance(config, Mapping):
        return {
            key: dtype if key == "dtype" and value is not None else with_dtype(value, dtype)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(with_dtype(value, dtype) for value in config)
    return config


class BlankInitializers:
    """While a layer is built its initializers are zeros; afterwards they are its own again.

    Drawing random numbers that are overwritten at once would cost most of the
    time of a copy.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._kept: dict[str, Any] = {}

    def __enter__(self) -> None:
        if isinstance(self._layer, keras.Model) or getattr(self._layer, "built", True):
            return
        for key, value in vars(self._layer).items():
            if isinstance(value, keras.initializers.Initializer):
                self._kept[key] = value
        for key in self._kept:
            setattr(self._layer, key, keras.initializers.Zeros())

    def __exit__(self, *error: object) -> None:
        for key, value in self._kept.items():
            setattr(self._layer, key, value)
