"""Layers that are widened together, and what follows them by itself."""

from __future__ import annotations

import math
from typing import Any

import keras
import pytest
from keras import layers
from keras.src.applications.convnext import LayerScale
from networks import (
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    randomise,
)

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import read
from keras_mothernets.surgery import max_deviation, widen
from keras_mothernets.surgery.coupling import coupled_layers


def gated() -> keras.Model:
    """Two convolutions that are summed, the second with a gate whose shape is reshaped."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.Conv2D(5, 1, activation="relu", name="expand")(y)
    gate = layers.Reshape((1, 1, 5))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(2, 1, activation="relu", name="squeeze")(gate)
    y = layers.Multiply()([y, layers.Conv2D(5, 1, activation="sigmoid", name="excite")(gate)])
    x = layers.Add()([x, layers.Conv2D(4, 1, name="project")(y)])
    x = layers.GlobalAveragePooling2D()(x)
    return randomise(keras.Model(inputs, layers.Dense(3, name="head")(x)))


def scaled() -> keras.Model:
    """A block as in ConvNeXt: a group for every channel, LayerNormalization, LayerScale."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(4, 1, name="stem")(inputs)
    y = layers.Conv2D(4, 3, groups=4, padding="same", name="depthwise")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(6, activation="gelu", name="expand")(y)
    y = LayerScale(0.1, 4)(layers.Dense(4, name="project")(y))
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return randomise(keras.Model(inputs, layers.Dense(3, name="head")(x)))


def test_layers_of_one_width_are_found() -> None:
    groups = coupled_layers(read(gated()))
    assert [(group.layers, group.width) for group in groups if group.key == "filters"] == [
        (("stem", "project"), 4),
        (("expand", "excite"), 5),
        (("squeeze",), 2),
    ]
    assert not any(group.must_divide for group in groups)


def test_a_normalisation_over_channels_makes_the_old_width_a_divisor() -> None:
    groups = {group.layers: group.must_divide for group in coupled_layers(read(scaled()))}
    assert groups == {("stem", "project"): True, ("expand",): False}


@pytest.mark.parametrize("make", [gated, scaled])
def test_all_that_is_free_is_widened_at_once(make: Any) -> None:
    model = make()
    sizes = {
        layer: 2 * group.width if group.must_divide else math.ceil(1.3 * group.width)
        for group in coupled_layers(read(model))
        if group.key != "depth_multiplier"
        for layer in group.layers
    }
    wide = widen(model, sizes)
    assert max_deviation(model, wide, batch_size=2) <= 1e-10
    for layer, size in sizes.items():
        config = wide.get_layer(layer).get_config()
        assert size in (config.get("filters"), config.get("units"))
    assert max_deviation(model, randomise(wide, 5), batch_size=2) > 1e-3


def test_a_width_that_the_old_one_does_not_divide_is_refused_under_a_normalisation() -> None:
    with pytest.raises(SurgeryError, match="same number of copies.*multiple of 4"):
        widen(scaled(), {"stem": 6, "project": 6})


def test_one_of_two_coupled_layers_alone_is_refused() -> None:
    with pytest.raises(SurgeryError, match="Widen all branches that meet there together"):
        widen(gated(), {"project": 7})
