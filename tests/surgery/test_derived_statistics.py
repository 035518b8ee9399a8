"""Statistics in closed form where branches meet and shapes change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import randomise

from keras_mothernets.graph import read
from keras_mothernets.surgery import can_hatch, hatch, max_deviation
from keras_mothernets.surgery.weaving import tensor_values


def two_norms(x: Any) -> tuple[Any, Any]:
    return layers.BatchNormalization(name="one")(x), layers.BatchNormalization(name="two")(x)


MEETINGS: dict[str, Callable[[Any], Any]] = {
    "concat": lambda x: layers.Concatenate()(two_norms(x)),
    "sum": lambda x: layers.Add()(two_norms(x)),
    "product": lambda x: layers.Multiply()(two_norms(x)),
    "bare branch": lambda x: layers.Add()([x, layers.BatchNormalization(name="one")(x)]),
    "flatten": lambda x: layers.Flatten()(layers.BatchNormalization(name="one")(x)),
    "permuted": lambda x: layers.Permute((2, 1, 3))(layers.BatchNormalization(name="one")(x)),
    "pooled": lambda x: layers.AveragePooling2D(2)(layers.BatchNormalization(name="one")(x)),
}


def network(meeting: str, *, more: bool) -> keras.Model:
    inputs = keras.Input((4, 4, 3))
    x = MEETINGS[meeting](layers.Conv2D(3, 3)(inputs))
    if more:
        x = layers.BatchNormalization(name="inserted")(x)
    x = layers.Dense(2, name="head")(layers.Flatten()(x))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("meeting", MEETINGS)
def test_a_normalisation_behind_a_meeting_is_inserted_exactly(meeting: str) -> None:
    mother = randomise(network(meeting, more=False))
    assert max_deviation(mother, hatch(mother, network(meeting, more=True))) <= 1e-6


def moments(mother: keras.Model, name: str) -> tuple[np.ndarray, np.ndarray]:
    layer = mother.get_layer(name)
    return np.array(layer.beta), np.array(layer.gamma) ** 2


def inserted(mother: keras.Model, meeting: str) -> tuple[np.ndarray, np.ndarray]:
    layer = hatch(mother, network(meeting, more=True)).get_layer("inserted")
    return np.array(layer.moving_mean), np.array(layer.moving_variance)


def test_side_by_side_and_summed() -> None:
    mother = randomise(network("concat", more=False))
    one, two = moments(mother, "one"), moments(mother, "two")
    mean, variance = inserted(mother, "concat")
    np.testing.assert_allclose(mean, np.concatenate([one[0], two[0]]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, np.concatenate([one[1], two[1]]), rtol=2e-3)
    mother = randomise(network("sum", more=False))
    one, two = moments(mother, "one"), moments(mother, "two")
    mean, variance = inserted(mother, "sum")
    np.testing.assert_allclose(mean, one[0] + two[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, one[1] + two[1], rtol=2e-3)


@pytest.mark.parametrize("meeting", ["product", "bare branch", "flatten", "permuted"])
def test_what_is_not_known_is_not_guessed(meeting: str) -> None:
    mean, variance = inserted(randomise(network(meeting, more=False)), meeting)
    np.testing.assert_array_equal(mean, np.zeros_like(mean))
    np.testing.assert_allclose(variance, np.ones_like(variance), atol=2e-3)


def test_statistics_of_other_channels_are_not_taken() -> None:
    """A normalisation over another axis knows nothing of the channels before it."""

    def network(more: bool) -> keras.Model:
        inputs = keras.Input((6, 4))
        x = layers.BatchNormalization(name="one")(layers.Dense(5)(inputs))
        x = layers.BatchNormalization(axis=1, name="inserted")(x) if more else x
        return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))

    mother = randomise(network(False))
    assert max_deviation(mother, hatch(mother, network(True))) <= 1e-10


@pytest.mark.parametrize("bend", [lambda x: x * -1.0, lambda x: x - 5.0], ids=["times", "minus"])
def test_numbers_behind_an_operation_with_a_constant_are_not_known(bend: Any) -> None:
    """They are not above zero because those before it were, so a ReLU is no identity there."""
    made = []
    for more in (False, True):
        x = inputs = keras.Input((4,))
        x = bend(layers.ReLU()(layers.Dense(3)(x)))
        x = layers.ReLU()(layers.Dense(3)(x)) if more else x
        made.append(keras.Model(inputs, layers.Dense(2)(x)))
    assert not can_hatch(*made)
    architecture = read(made[0])
    bent = architecture.nodes[-2]
    assert tensor_values(architecture)[bent.inputs[0]].low == 0
    assert tensor_values(architecture)[bent.outputs[0]].low < 0
