"""How fast a device is now, against when it was measured: what it shares with others changes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from statistics import median

import keras

from keras_mothernets.graph import read
from keras_mothernets.planning.primitive import Primitive, primitives_of

layers = keras.layers
FRESH = 120.0  # seconds for which a pace is taken to stay
BATCH = 128
# Layers that take a good part of a millisecond, so that their times are not those of their launch.
_SHAPES = (
    ((32, 32, 8), lambda: layers.Conv2D(16, 3, padding="same")),
    ((16, 16, 32), lambda: layers.Conv2D(32, 3, padding="same")),
    ((8, 8, 64), lambda: layers.Conv2D(128, 3, padding="same")),
    ((1024,), lambda: layers.Dense(1024)),
    ((16, 16, 32), lambda: layers.BatchNormalization()),
)

_told: dict[str, tuple[float, float]] = {}  # by device: when, and the pace


@functools.cache
def reference_primitives() -> tuple[Primitive, ...]:
    """The layers by which a device is compared with itself."""
    found = []
    for shape, make in _SHAPES:
        inputs = keras.Input(shape)
        x = layers.Dense(shape[-1], use_bias=False)(inputs)  # so that gradients go on
        *_, primitive = primitives_of(read(keras.Model(inputs, make()(x))), BATCH)
        found.append(primitive)
    return tuple(found)


def pace_now(
    device: str,
    known: Mapping[Primitive, float],
    seconds_of: Callable[[Primitive], float],
) -> float:
    """How many times as long the references take now.

    Args:
        device: The device in words; what it was told lately is told again.
        known: Seconds that each reference took when the device was measured.
        seconds_of: Measures one now.
    """
    lately = pace_lately(device)
    if lately is None:
        ratios = [seconds_of(one) / seconds for one, seconds in known.items()]
        lately = median(ratios) if ratios else 1.0
        _told[device] = (time.monotonic(), lately)
    return lately


def pace_lately(device: str) -> float | None:
    """What `pace_now` has found lately; `None` if that is too long ago.

    Args:
        device: The device in words.
    """
    when, pace = _told.get(device, (float("-inf"), 1.0))
    return pace if time.monotonic() - when < FRESH else None


def forget_pace(device: str) -> None:
    """Ask anew next time.

    Args:
        device: The device in words.
    """
    _told.pop(device, None)
