"""The widths of a mother: what members insert and normalise, and layers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest
from keras import layers
from networks import randomise

from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import hatch, max_deviation


def image(body: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(body(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


def sequence(body: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((6, 3))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(body(inputs))))


def conv(width: int, kernel: int = 3) -> Any:
    return layers.Conv2D(width, kernel, padding="same")


def separable(width: int, *, units: int) -> keras.Model:
    """MobileNet's units: depthwise, then pointwise."""

    def body(x: Any) -> Any:
        x = layers.ReLU()(conv(width)(x))
        for _ in range(units):
            x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
            x = layers.ReLU()(conv(width, 1)(x))
        return x

    return image(body)


def joined(one: int, two: int, behind: int = 0) -> keras.Model:
    def body(x: Any) -> Any:
        x = layers.Concatenate()([conv(one)(x), conv(two, 1)(x)])
        return layers.ReLU()(conv(behind, 1)(x) if behind else x)

    return image(body)


def normed(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: layers.LayerNormalization()(make(x))


def in_time(width: int) -> keras.Model:
    def body(x: Any) -> Any:
        x = layers.TimeDistributed(layers.Dense(width))(x)
        return x + layers.Dense(width)(layers.LayerNormalization()(x))

    return sequence(body)


def both_ways(units: int, mode: str) -> keras.Model:
    recurrent = layers.LSTM(units, return_sequences=True)
    return sequence(normed(layers.Bidirectional(recurrent, merge_mode=mode)))


def einsum(width: int) -> keras.Model:
    return sequence(normed(layers.EinsumDense("abc,cd->abd", output_shape=(6, width))))


def depthwise(width: int, norm: Any) -> keras.Model:
    return image(lambda x: norm(layers.DepthwiseConv2D(3, depth_multiplier=2)(conv(width)(x))))


def split_heads(width: int) -> keras.Model:
    def body(x: Any) -> Any:
        x = layers.LayerNormalization()(layers.Dense(2 * width)(x))
        return layers.Dense(3, activation="tanh")(layers.Reshape((6, 2, width))(x))

    return sequence(body)


def only_head(*, hidden: bool) -> keras.Model:
    x = inputs = keras.Input((4,))
    if hidden:
        x = layers.Dense(8, activation="gelu")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def widths() -> Iterator[tuple[str, Callable[[], list[keras.Model]]]]:
    """Two members, and the network that is their mother."""
    yield "separable units", lambda: [separable(w, units=n) for w, n in ((6, 0), (8, 1), (6, 0))]
    yield "the cheapest channels go", lambda: [joined(4, 4), joined(4, 4, 6), joined(4, 2)]
    for name, make in {
        "einsum": einsum,
        "in time": in_time,
        "both ways, summed": lambda w: both_ways(w, "sum"),
        "both ways, joined": lambda w: both_ways(w, "concat"),
        "joined": lambda w: image(normed(lambda x: layers.Concatenate()([conv(w)(x)] * 2))),
        "flat": lambda w: sequence(normed(lambda x: layers.Flatten()(layers.Dense(w)(x)))),
        "depthwise": lambda w: depthwise(w, layers.LayerNormalization()),
        "depthwise, groups": lambda w: depthwise(w, layers.GroupNormalization(4)),
        "split behind": split_heads,
    }.items():
        yield f"normalised, {name}", lambda make=make: [make(8), make(12), make(4)]
    yield "nothing but a head", lambda: [only_head(hidden=h) for h in (False, True, False)]


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in widths()])
def test_widths_settle_as_large_as_they_can(build: Callable[[], list[keras.Model]]) -> None:
    *members, expected = build()
    mother = randomise(mothernet(members), 9)
    assert same_architecture(mother, expected)
    for seed, member in enumerate(members):
        assert max_deviation(mother, hatch(mother, member, seed=seed)) <= 1e-10
