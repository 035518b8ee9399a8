"""The primitives that every device is measured with: common layers at sizes spread out evenly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import read
from keras_mothernets.planning.primitive import Primitive, primitives_of

layers = keras.layers
Draw = Callable[["Dice"], tuple[tuple[int, ...], Callable[[Any], Any]]]

MOST_WORK = 1e9  # multiplications of a call; larger ones take as long as these for each
MOST_NUMBERS = 8e6  # that go in or come out


class Dice:
    """Draws sizes whose logarithms are spread evenly.

    Args:
        seed: The same sizes for the same seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def power(self, low: int, high: int) -> int:
        """A power of two between two others."""
        return int(2 ** self._rng.integers(int(np.log2(low)), int(np.log2(high)) + 1))

    def number(self, low: int, high: int) -> int:
        """Any whole number, small ones more often."""
        return round(float(np.exp(self._rng.uniform(np.log(low), np.log(high)))))

    def one_of(self, *choices: Any) -> Any:
        """One of some things."""
        return choices[int(self._rng.integers(len(choices)))]

    def image(self, low: int = 4, high: int = 256) -> tuple[int, int, int]:
        """Shape of an image with a number of channels between these."""
        side = self.power(2, 32)
        return side, side, self.number(low, high)


def _conv(dice: Dice) -> tuple[tuple[int, ...], Any]:
    size, stride = dice.one_of(1, 3, 3, 3, 5), dice.one_of(1, 1, 1, 2)
    return dice.image(1), layers.Conv2D(dice.number(1, 256), size, stride, padding="same")


def _dense(dice: Dice) -> tuple[tuple[int, ...], Any]:
    return (dice.number(16, 2048),), layers.Dense(dice.number(4, 2048))


# What is drawn, how often, and whether a trained layer stands before it.
_DRAWS: tuple[tuple[Draw, int, bool], ...] = (
    (_conv, 110, True),
    (lambda dice: (dice.image(1, 4), layers.Conv2D(dice.number(1, 128), 3, padding="same")), 16,
     False),
    (_dense, 24, True),
    (_dense, 12, False),
    (lambda dice: (dice.image(1), layers.BatchNormalization()), 30, True),
    (lambda dice: (dice.image(), layers.ReLU()), 14, True),
    (lambda dice: (dice.image(), layers.MaxPooling2D()), 14, True),
    (lambda dice: (dice.image(), layers.AveragePooling2D(2)), 6, True),
    (lambda dice: (dice.image(), layers.GlobalAveragePooling2D()), 6, True),
    (lambda dice: (dice.image(), lambda x: layers.Add()([x, x])), 10, True),
    (lambda dice: (dice.image(), lambda x: layers.Concatenate()([x, x])), 10, True),
    (lambda dice: ((dice.number(2, 1000),), layers.Softmax()), 4, True),
    (lambda dice: (dice.image(1, 4), layers.Rescaling(1 / 255)), 4, False),
)  # fmt: skip


def standard_primitives() -> list[Primitive]:
    """Convolutions, dense layers, normalisations, activations, poolings, sums and joins.

    Sizes are drawn with the same seed always: from 16 to 256 examples, images of 2 to 32 pixels
    a side, 1 to 256 channels, 4 to 2,048 units.

    Returns:
        About 260 primitives.
    """
    dice, found = Dice(), []
    for draw, count, is_inside in _DRAWS:
        of_kind: dict[Primitive, None] = {}
        while len(of_kind) < count:
            of_kind.update(dict.fromkeys(_drawn(draw, dice, is_inside)))
        found += list(of_kind)
    return found


def _drawn(draw: Draw, dice: Dice, is_inside: bool) -> Iterator[Primitive]:
    """One primitive, or none if it is too large to be measured fast."""
    shape, layer = draw(dice)
    inputs = x = keras.Input(shape)
    if is_inside:  # something that is trained, so that gradients go on to the inputs
        x = layers.Dense(shape[-1], use_bias=False)(x)
    network = read(keras.Model(inputs, layer(x)))
    *_, primitive = primitives_of(network, dice.power(16, 256))
    sizes = primitive.sizes
    if sizes.work <= MOST_WORK and max(sizes.inputs, sizes.outputs) <= MOST_NUMBERS:
        yield primitive
