"""Whether a layer of somebody's own treats every number for itself, found out by trying."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.rules.passing import ElementwiseRule


def probe_elementwise(
    layer: Callable[[Any], Any], *, shapes: Sequence[tuple[int, ...]] = ((4, 5),), seed: int = 0
) -> ElementwiseRule:
    """The rule of a layer without variables, if random inputs show that it needs no other.

    Surgery refuses what it does not know. Where a layer is known to treat every
    number for itself, this asks the layer: entries of the input are copied,
    unevenly and along each axis, and the output must change in the same way. It
    is evidence and no proof, so nothing is ever probed unasked.

    Args:
        layer: A layer or function of one tensor; it is called in inference mode.
        shapes: Input shapes to try, without the batch axis. Name all ranks at
            which the layer will stand.
        seed: Seed of the random inputs.

    Returns:
        A rule to pass to `register_rule`.

    Raises:
        SurgeryError: The layer has variables, changes shapes, or gives outputs
            that do not follow the copies.

    Example:
        >>> class Double(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> rule = probe_elementwise(Double())
    """
    generator = np.random.default_rng(seed)
    for shape in shapes:
        for scale in (1.0, 30.0):
            x = scale * generator.normal(size=(6, *shape))
            _check(layer, x.astype("float32"), generator)
    return ElementwiseRule()


def _check(layer: Callable[[Any], Any], x: np.ndarray, generator: np.random.Generator) -> None:
    y = _call(layer, x)
    if getattr(layer, "weights", None):
        raise _refusal(layer, "it has variables, which need a rule of their own")
    if y.shape != x.shape:
        raise _refusal(layer, f"it makes {y.shape[1:]} of {x.shape[1:]}")
    for axis in range(x.ndim):
        size = x.shape[axis]
        index = np.concatenate(
            [generator.permutation(size), generator.integers(0, size, 3), [0, 0]]
        )
        try:
            copied = _call(layer, np.take(x, index, axis))
        except Exception as error:
            raise _refusal(layer, f"it fails on copies along axis {axis}: {error}") from error
        expected = np.take(y, index, axis)
        if copied.shape != expected.shape or not np.allclose(copied, expected, 1e-5, 1e-6):
            raise _refusal(layer, f"copies along axis {axis} change what the others give")


def _call(layer: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    tensor = keras.ops.convert_to_tensor(x)
    call: Callable[..., Any] = layer
    takes_training = "training" in inspect.signature(getattr(layer, "call", layer)).parameters
    y = call(tensor, training=False) if takes_training else call(tensor)
    return np.asarray(keras.ops.convert_to_numpy(y))


def _refusal(layer: Any, reason: str) -> SurgeryError:
    name = getattr(layer, "name", None) or getattr(layer, "__name__", type(layer).__name__)
    return SurgeryError(
        f"`{name}` does not treat every number for itself: {reason}",
        fix="Write a rule for it: derive a class from `km.Rule`",
    )
