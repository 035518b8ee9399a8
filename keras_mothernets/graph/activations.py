"""Activation functions as values: what they are called, what they compute, what range they have.

The same function can stand in a model as `Dense(activation="relu")`,
`Activation("relu")`, `ReLU()` or `keras.ops.relu`. All of them become one
`Activation` value, so that surgery can tell whether two networks agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

INFINITY = math.inf

# Image of each function: smallest and largest value it can take.
_IMAGES: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "softplus": (0.0, INFINITY),
    "squareplus": (0.0, INFINITY),
    "sparse_plus": (0.0, INFINITY),
    "exponential": (0.0, INFINITY),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "softmax": (0.0, 1.0),
    "sparsemax": (0.0, 1.0),
}

# Functions with f(x) = x for every x >= 0.
_IDENTITY_ABOVE_ZERO = {"elu", "celu", "leaky_relu"}

# Functions with f(x) - f(-x) = x for every x (SURGERY.md 2.4, the pair trick).
_ODD_PART_IS_LINEAR = {
    "gelu",
    "silu",
    "hard_silu",
    "softplus",
    "squareplus",
    "sparse_plus",
    "log_sigmoid",
}

_ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}

_PLAIN = {
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
}

MIXES_CHANNELS = {"softmax", "log_softmax", "sparsemax"}


@dataclass(frozen=True)
class Activation:
    """An activation function with its parameters, told by a name that Keras knows.

    Args:
        name: A name in `keras.activations`, for example `"leaky_relu"`.
        parameters: Keyword arguments of that function, sorted by name.

    Example:
        >>> Activation("relu").is_identity_on(0.0, 5.0)
        True
        >>> Activation("tanh").pair_constant() is None
        True
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}({shown})" if shown else self.name

    @property
    def mixes_channels(self) -> bool:
        """Whether a value depends on others (softmax and its kin)."""
        return self.name in MIXES_CHANNELS

    @property
    def mixed_axes(self) -> tuple[int, ...]:
        """The axes along which values depend on each other, the batch axis not counted."""
        if not self.mixes_channels:
            return ()
        given = self._get("axis", -1)
        axes = (given,) if isinstance(given, int) else tuple(given)
        return tuple(axis if axis < 0 else axis - 1 for axis in axes)

    @property
    def function(self) -> Callable[[Any], Any]:
        """The function itself, on tensors of the current backend."""
        function = getattr(keras.activations, self.name)
        parameters = dict(self.parameters)
        return lambda x: function(x, **parameters)

    @property
    def image(self) -> tuple[float, float]:
        """Smallest and largest value that the function can take."""
        if self.name == "relu" and not self._get("negative_slope", 0.0):
            ceiling = self._get("max_value", None)
            return (0.0, INFINITY if ceiling is None else float(ceiling))
        return _IMAGES.get(self.name, (-INFINITY, INFINITY))

    @property
    def is_idempotent(self) -> bool:
        """Whether f(f(x)) = f(x) for every x."""
        plain_relu = self.name == "relu" and not self._get("negative_slope", 0.0)
        return plain_relu or self.name in {"relu6", "hard_tanh", "hard_shrink", "linear"}

    def is_identity_on(self, low: float, high: float) -> bool:
        """Whether f(x) = x for every x from `low` to `high`."""
        if self.name == "linear":
            return True
        if self.name == "relu":
            ceiling = self._get("max_value", None)
            floor = self._get("threshold", 0.0)
            return low >= max(0.0, floor) and not floor and (ceiling is None or high <= ceiling)
        if self.name in _IDENTITY_ABOVE_ZERO:
            return low >= 0.0
        return (self.name == "relu6" and low >= 0.0 and high <= 6.0) or (
            self.name == "hard_tanh" and low >= -1.0 and high <= 1.0
        )

    def pair_constant(self) -> float | None:
        """The c with f(x) - f(-x) = c * x for every x, or None where there is none.

        Source: Wei et al. 2016 treat non-idempotent activations by parametric
        ones; the pair needs no new parameter but twice the width.
        """
        if self.name in _ODD_PART_IS_LINEAR:
            return 1.0
        if self.name == "leaky_relu":
            # Backends hold the slope as a float32 number, even when they compute in float64.
            return 1.0 + float(np.float32(self._get("negative_slope", 0.2)))
        if self.name == "relu" and self._get("max_value", None) is None:
            return None if self._get("threshold", 0.0) else 1.0 + self._get("negative_slope", 0.0)
        return None

    def _get(self, key: str, default: Any) -> Any:
        return dict(self.parameters).get(key, default)


LINEAR = Activation("linear")


def from_config(value: object) -> Activation | None:
    """Read the `activation` entry of a layer's config.

    Args:
        value: A name, a serialised activation layer or function, or None.

    Returns:
        The activation, or None where it is not one of Keras' own.
    """
    if value is None:
        return LINEAR
    if isinstance(value, str):
        name = _ALIASES.get(value, value)
        return Activation(name) if name in _PLAIN else None
    if isinstance(value, Mapping):
        return from_layer(str(value.get("class_name")), value.get("config") or {})
    return None


def from_layer(class_name: str, config: Mapping[str, Any] | str) -> Activation | None:
    """Read an activation layer (ReLU, LeakyReLU, ELU, Softmax, Activation) from its config."""
    if class_name == "function" and isinstance(config, str):
        return from_config(config)
    if not isinstance(config, Mapping):
        return None
    if class_name == "Activation":
        return from_config(config.get("activation"))
    if class_name == "ReLU":
        return _relu(config)
    if class_name == "LeakyReLU":
        return _leaky(float(config["negative_slope"]))
    if class_name == "ELU":
        alpha = float(config["alpha"])
        return Activation("elu") if alpha == 1.0 else Activation("elu", (("alpha", alpha),))
    if class_name == "Softmax":
        axis = config.get("axis", -1)
        return Activation("softmax") if axis == -1 else Activation("softmax", (("axis", axis),))
    return None


def last_of(operation: Any) -> Activation | None:
    """The activation that a layer or raw operation ends with, None where that is not known."""
    config = operation.get_config()
    if not isinstance(operation, keras.layers.Layer):
        return from_operation(type(operation).__name__, config)
    found = from_layer(type(operation).__name__, config)
    return (
        found
        if found is not None or "activation" not in config
        else from_config(config["activation"])
    )


_OPERATIONS = {
    "Celu", "Elu", "Gelu", "HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu",
    "LogSigmoid", "LogSoftmax", "ReLU", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "SoftShrink",
    "Softmax", "Softplus", "Softsign", "SparsePlus", "SparseSigmoid", "Sparsemax", "Squareplus",
    "Tanh", "TanhShrink",
}  # fmt: skip


def from_operation(class_name: str, config: Mapping[str, Any]) -> Activation | None:
    """Read a raw `keras.ops` activation from its class name and config."""
    if class_name not in _OPERATIONS:
        return None
    if class_name == "ReLU":  # what `keras.activations.relu` leaves in a graph
        return _relu(config)
    name = "".join("_" + c.lower() if c.isupper() else c for c in class_name).lstrip("_")
    name = {"relu6": "relu6", "sparsemax": "sparsemax"}.get(name, name)
    settings = {key: value for key, value in config.items() if key != "name"}
    if name == "leaky_relu":
        return _leaky(float(settings["negative_slope"]))
    defaults: dict[str, Any] = {
        "alpha": 1.0,
        "approximate": False,
        "axis": -1,
        "threshold": 0.5,
        "b": 4,
    }
    changed = {key: value for key, value in settings.items() if value != defaults.get(key)}
    return Activation(name, tuple(sorted(changed.items())))


def _relu(config: Mapping[str, Any]) -> Activation:
    ceiling = config.get("max_value")
    slope = float(config.get("negative_slope") or 0.0)
    threshold = float(config.get("threshold") or 0.0)
    if ceiling is None and not threshold:
        return _leaky(slope) if slope else Activation("relu")
    if ceiling == 6 and not slope and not threshold:
        return Activation("relu6")
    values = {"max_value": ceiling, "negative_slope": slope, "threshold": threshold}
    kept = {key: value for key, value in values.items() if value}
    return Activation("relu", tuple(sorted(kept.items())))


def _leaky(slope: float) -> Activation:
    # `Activation("leaky_relu")` means a slope of 0.2, the layer LeakyReLU one of 0.3.
    if slope == 0.2:
        return Activation("leaky_relu")
    return Activation("leaky_relu", (("negative_slope", slope),))
