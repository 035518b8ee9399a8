"""Growth at one place at a time: which places there are, and that nothing changes."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers
from networks import (
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    randomise,
)

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import read
from keras_mothernets.surgery import Place, grow_each, max_deviation
from keras_mothernets.surgery.places import find_places


def residual(units: int = 1) -> keras.Model:
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
    for number in range(1, units + 1):
        y = layers.Conv2D(5, 3, padding="same", name=f"expand_{number}")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(4, 1, padding="valid", name=f"project_{number}")(y)
        x = layers.ReLU(name=f"relu_{number}")(layers.Add(name=f"add_{number}")([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return randomise(keras.Model(inputs, layers.Dense(3, "softmax", name="head")(x), name="net"))


def test_each_place_grows_by_itself_and_keeps_the_function() -> None:
    model = residual()
    grown, left_out = grow_each(model)
    assert [str(each.place) for each in grown] == [
        "stem + project_1, wider",
        "stem, deeper",
        "stem, larger kernel",
        "expand_1, wider",
        "expand_1, deeper",
        "expand_1, larger kernel",
        "project_1, deeper",
        "add_1, deeper",
    ]
    [(place, reason)] = left_out.items()
    assert str(place) == "project_1, larger kernel" and "kernel" in reason
    for each in grown:
        assert each.model.count_params() > model.count_params()
        assert max_deviation(model, each.model, batch_size=2) <= 1e-10
        assert max_deviation(model, randomise(each.model, 5), batch_size=2) > 1e-3


def test_layers_of_one_width_grow_together_and_the_rest_stays() -> None:
    [grown], _ = grow_each(residual(), [("project_1", "wider")], growth=1.5)
    filters = {
        layer.name: layer.filters
        for layer in grown.model.layers
        if isinstance(layer, layers.Conv2D)
    }
    assert filters == {"stem": 6, "expand_1": 5, "project_1": 6}
    [grown], _ = grow_each(residual(), [("stem", "larger kernel")])
    assert grown.model.get_layer("stem").kernel_size == (5, 5)


def test_what_is_normalised_over_channels_grows_by_a_whole_factor() -> None:
    hidden = [layers.Dense(4, name="hidden"), layers.LayerNormalization(), layers.Dense(2)]
    [grown], _ = grow_each(
        keras.Sequential([keras.Input((3,)), *hidden]), [("hidden", "wider")], growth=1.5
    )
    assert grown.model.get_layer("hidden").units == 8


def test_a_name_stands_for_all_that_grows_there_and_a_place_for_itself() -> None:
    grown, left_out = grow_each(residual(), ["project_1"])
    assert [each.place.kind for each in grown] == ["wider", "deeper"]
    assert [place.kind for place in left_out] == ["larger kernel"]
    [again], _ = grow_each(residual(), [grown[0].place])
    assert again.place == grown[0].place == Place(("stem", "project_1"), "wider")


def test_what_is_frozen_is_no_place() -> None:
    model = residual()
    model.get_layer("expand_1").trainable = False
    grown, left_out = grow_each(model)
    assert {place.layers for place in left_out if "frozen" in left_out[place]} == {("expand_1",)}
    assert not any("expand_1" in each.place.layers for each in grown)


def test_layers_that_make_an_output_are_no_places() -> None:
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", name="hidden")(x)
    maps = layers.Conv2D(2, 3, padding="same", name="maps")(x)
    outputs = [layers.GlobalAveragePooling2D()(maps), layers.Activation("relu")(maps)]
    places = find_places(read(keras.Model(inputs, outputs)))
    assert {place.layers for place in places} == {("hidden",)}


@pytest.mark.parametrize(
    ("positions", "fragment"),
    [
        (["nowhere"], "has no layer `nowhere`"),
        (["head"], "`head` makes the output"),
        ([("head", "wider")], "`head` makes the output"),
        (["relu_1"], "`relu_1` cannot grow. Expected: one of `stem`, `project_1`"),
        ([("add_1", "wider")], "`add_1` cannot grow wider. Expected: one of `stem`"),
        ([("project_1", "larger kernel")], "cannot grow at `project_1`"),
        ([("stem", "taller")], 'cannot be understood.*"wider", "deeper".*\'taller\''),
        ([3], "cannot be understood.*Received: 3"),
        ("stem", "must be a list.*'stem'"),
        ([], "must be a list"),
    ],
)
def test_positions_that_cannot_be_are_named(positions: Any, fragment: str) -> None:
    with pytest.raises(MotherNetsError, match=f"(?s){fragment}"):
        grow_each(residual(), positions)


def test_a_network_without_hidden_layers_cannot_grow() -> None:
    with pytest.raises(MotherNetsError, match="`flat` cannot grow anywhere"):
        grow_each(keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="flat"))
