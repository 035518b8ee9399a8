"""A network's architecture, and its weights, as short texts that are the same in every process."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import keras
import numpy as np

from keras_mothernets.training.data.arrays import describe_array

_NAMED = ("keras_history", "input_layers", "output_layers")
_LEFT_OUT = ("name", "shared_object_id", "registered_name")


def architecture_fingerprint(model: keras.Model) -> str:
    """Tell architectures apart, with all settings of their layers, without weights and names.

    Keras numbers unnamed layers by how many the process has made before, so that names
    differ between two runs of one script that builds its models in another order.

    Args:
        model: A built Functional or Sequential model.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> def build():
        ...     return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> architecture_fingerprint(build()) == architecture_fingerprint(build())
        True
    """
    config = _without_names(model.get_config(), {})
    shapes = [list(weight.shape) for weight in model.weights]
    text = json.dumps([config, shapes], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weights_fingerprint(model: keras.Model) -> str:
    """Tell the weights of networks of one architecture apart.

    At most 4,096 evenly spaced numbers of each variable are looked at: cheap on any size.

    Args:
        model: A built model.

    Returns:
        16 hexadecimal digits.
    """
    arrays = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]
    text = str([describe_array(np.ravel(array)) for array in arrays])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_names(value: Any, positions: dict[str, int]) -> Any:
    """Drop names; in the wiring, put a layer's position in place of its name."""
    if isinstance(value, dict):
        if "DTypePolicy" in str(value.get("class_name")):  # whose name is what it says
            return value
        if isinstance(value.get("layers"), list):
            names = [layer.get("config", {}).get("name") for layer in value["layers"]]
            positions = {name: position for position, name in enumerate(names)}
        return {
            key: _positions_only(part, positions)
            if key in _NAMED
            else _without_names(part, positions)
            for key, part in value.items()
            if key not in _LEFT_OUT
        }
    if isinstance(value, (list, tuple)):
        return [_without_names(part, positions) for part in value]
    return value


def _positions_only(value: Any, positions: dict[str, int]) -> Any:
    if isinstance(value, dict):
        return [_positions_only(value[key], positions) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_positions_only(part, positions) for part in value]
    return positions.get(value, value) if isinstance(value, str) else value
