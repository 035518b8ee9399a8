"""What a step is made of, against counts by hand."""

import keras
import pytest

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import read
from keras_mothernets.planning.primitive import primitives_of
from keras_mothernets.planning.standard import standard_primitives
from keras_mothernets.planning.stopwatch import measure

layers = keras.layers


def _by_kind(model, batch=8):
    found = primitives_of(read(model), batch)
    return {one.kind: (one.sizes.values, count) for one, count in found.items()}


def test_sizes_of_a_small_network_equal_those_counted_by_hand():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(5)(layers.Flatten()(x))
    found = _by_kind(keras.Model(inputs, x))
    image, features = 8 * 36 * 3, 8 * 36 * 4
    assert found == {
        "Conv2D (first)": ((8 * 36 * 27 * 4, image, features, 27 * 4 + 4, 3, 4), 1),
        "relu": ((0, features, features, 0, 4, 4), 1),
        "BatchNormalization": ((0, features, features, 16, 4, 4), 1),
        "Dense": ((8 * 144 * 5, features, 8 * 5, 145 * 5, 144, 5), 1),
    }


def test_what_is_equal_is_counted_and_what_works_otherwise_is_another_kind():
    inputs = keras.Input((8, 8, 4))
    x = inputs
    for _ in range(3):
        x = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
    x = layers.Conv2D(4, 3, padding="same", groups=2)(x)
    x = layers.Dropout(0.5)(x)
    found = primitives_of(read(keras.Model(inputs, x)), 8)
    counts = {one.kind: count for one, count in found.items()}
    plain = [kind for kind in counts if kind in ("Conv2D", "Conv2D (first)")]
    assert [counts[kind] for kind in plain] == [1, 2]
    others = [kind for kind in counts if kind.startswith("Conv2D ") and kind not in plain]
    assert len(others) == 2  # dilated, and grouped
    assert counts["Dropout"] == 1


def test_gradients_go_no_further_than_to_what_is_trained():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    scaled = layers.Rescaling(1 / 255)(inputs)
    frozen = layers.Conv2D(4, 3)
    frozen.trainable = False
    x = layers.Conv2D(4, 3)(layers.ReLU()(frozen(scaled)))
    kinds = [one.kind for one in primitives_of(read(keras.Model(inputs, x)), 8)]
    assert kinds == [
        "Rescaling (no gradients)",
        "Conv2D (no gradients)",
        "relu (no gradients)",
        "Conv2D (first)",
    ]
    first = next(iter(primitives_of(read(keras.Model(inputs, x)), 8)))
    assert first.dtypes == ("uint8",)


def test_a_free_axis_is_an_error_that_names_the_layer():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, layers.LSTM(3, name="reader")(inputs))
    with pytest.raises(MotherNetsError, match="`reader` has a free axis"):
        primitives_of(read(model), 8)


def test_half_precision_is_another_kind():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, dtype="mixed_bfloat16")])
    assert [one.kind for one in primitives_of(read(model), 8)] == ["Dense bfloat16 (first)"]


def test_the_standard_primitives_are_the_same_each_time_and_of_measurable_size():
    first, second = standard_primitives(), standard_primitives()
    assert first == second and len(set(first)) == len(first) > 200
    kinds = {one.kind for one in first}
    assert {"Conv2D", "Conv2D (first)", "Dense", "BatchNormalization", "relu", "Add"} <= kinds
    assert all(one.sizes.work <= 1e9 and one.sizes.inputs <= 8e6 for one in first)


def _operations():
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 1)(inputs)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.ops.relu(x + y) * 2.0
    x = layers.Concatenate()([x, y])
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def _attention():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(20, 8)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x)))


@pytest.mark.parametrize("make", [_operations, _attention])
def test_every_primitive_of_a_network_can_be_run_alone(make):
    for one in primitives_of(read(make()), 4):
        forward, training = measure(one)
        assert 0 < forward < 1 and 0 < training < 1


def test_a_backward_pass_is_measured_where_there_is_one():
    inputs = keras.Input((32, 32, 16))
    x = layers.Conv2D(16, 3, padding="same")(inputs)
    model = keras.Model(inputs, layers.Conv2D(16, 3, padding="same")(x))
    first, second = primitives_of(read(model), 32)
    assert first.is_first and not second.is_first
    forward, training = measure(second)
    assert training > 1.5 * forward  # two products more
