"""Where two networks part: their stages side by side."""

from __future__ import annotations

import keras
import pytest
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import read
from keras_mothernets.mothernet import mothernet
from keras_mothernets.surgery.stages import side_by_side, stages

HERE = "<- they part here"


def _net(name: str, *blocks: list[keras.layers.Layer]) -> keras.Model:
    stack = [layer for block in blocks for layer in block]
    head = [layers.GlobalAveragePooling2D(name="mean"), layers.Dense(3, name="head")]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack, *head], name=name)


def _conv(filters: int, activation: str = "relu") -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", activation=activation)


def _error(*members: keras.Model) -> SurgeryError:
    with pytest.raises(SurgeryError) as caught:
        mothernet(members)
    return caught.value


def _marked(error: SurgeryError) -> list[str]:
    return [line for line in str(error).splitlines() if line.endswith(HERE)]


def test_the_sentence_comes_first_and_the_table_below() -> None:
    first = _net("first", [_conv(2), _conv(2)], [layers.MaxPooling2D(), _conv(4)])
    second = _net("second", [_conv(2)], [layers.AveragePooling2D(2), _conv(4)])
    sentence, header, _, *rows = str(_error(first, second)).splitlines()
    assert sentence.startswith("`first` cannot share a mother with `second`: ")
    assert sentence.endswith("put them into different clusters.")
    assert header.split() == ["`first`", "`second`"]
    assert [row.split("  ")[0] for row in rows] == ["8 x 8", "4 x 4", "vector"]
    assert "2 x (Conv2D relu)" in rows[0] and not rows[0].endswith(HERE)
    assert "MaxPooling2D, Conv2D relu" in rows[1] and "AveragePooling2D, Conv2D relu" in rows[1]
    assert rows[1].endswith(HERE)


def test_a_missing_stage_is_shown() -> None:
    small = _net("small", [_conv(2)])
    large = _net("large", [_conv(2)], [layers.MaxPooling2D(), _conv(4)])
    error = _error(small, large)
    assert "(no such stage)" in str(error)
    [row] = _marked(error)
    assert "vector" in row and "4 x 4" in row


def test_the_mark_stands_where_layers_of_equal_stages_part() -> None:
    pool = layers.MaxPooling2D
    first = _net("first", [_conv(2)], [pool(), _conv(4)], [pool(), _conv(4, "sigmoid")])
    second = _net("second", [_conv(2)], [pool(), _conv(4)], [pool(), _conv(4, "tanh")])
    [row] = _marked(_error(first, second))
    assert row.startswith("2 x 2") and "sigmoid" in row and "tanh" in row


def test_stages_hold_every_item_once() -> None:
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Add()([_conv(3)(x), x])
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    model = keras.Model(inputs, layers.Flatten()(x), name="model")
    architecture = read(model)
    found = stages(architecture)
    assert [stage.size for stage in found] == ["8 x 8", "4 x 4", "vector"]
    assert [stage.start for stage in found] == [0, 1, 2]
    items = [item for stage in found for item in stage.items]
    assert tuple(items) == architecture.tree.items
    text = side_by_side(architecture, architecture, (1, 1)).splitlines()
    assert "Add of 2" in text[2] and text[3].endswith(HERE)
