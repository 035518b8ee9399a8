"""Repeating whole units: residual, dense, gated, transformer; exact, trainable, or refused."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import examples, floats, randomise, weights

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import read
from keras_mothernets.surgery import deepen, max_deviation
from keras_mothernets.surgery.insertion import RegionInsertion

Unit = Callable[[Any], Any]


def conv(x: Any, filters: int, kernel_size: int = 3, **options: Any) -> Any:
    x = layers.Conv2D(filters, kernel_size, padding="same", use_bias=False, **options)(x)
    return layers.BatchNormalization()(x)


def residual(x: Any) -> Any:
    """After the activation: relu(x + f(x))."""
    y = conv(layers.ReLU()(conv(x, 3)), 4)
    return layers.ReLU()(layers.Add(name="unit")([x, y]))


def projected(x: Any) -> Any:
    """With a shortcut of its own, and a resolution that it halves."""
    y = conv(layers.ReLU()(conv(x, 3, strides=2)), 5)
    return layers.ReLU()(layers.Add(name="unit")([conv(x, 5, 1, strides=2), y]))


def preactivated(x: Any) -> Any:
    y = conv(layers.Activation("gelu")(layers.BatchNormalization()(x)), 4)
    return layers.Add(name="unit")([y, x])


def dense(x: Any) -> Any:
    y = layers.Conv2D(3, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
    return layers.Concatenate(name="unit")([x, y])


def mixer(x: Any) -> Any:
    """The shortcut goes past a depthwise convolution alone."""
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    return layers.Add(name="unit")([y, x])


def gated(x: Any) -> Any:
    y = conv(layers.Activation("silu")(conv(x, 6, 1)), 4)
    g = layers.GlobalAveragePooling2D(keepdims=True)(y)
    y = layers.Multiply()([y, layers.Conv2D(4, 1, activation="sigmoid")(g)])
    return layers.Add(name="unit")([x, y])


def inner(x: Any) -> Any:
    """A unit within a branch of another."""
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Add(name="unit")([y, layers.Conv2D(4, 1)(layers.Activation("tanh")(y))])
    return layers.Add(name="outer")([x, layers.Conv2D(4, 1)(y)])


UNITS: dict[str, Unit] = {
    unit.__name__: unit
    for unit in (residual, projected, preactivated, dense, mixer, gated, inner)
}  # fmt: skip


def network(unit: Unit) -> keras.Model:
    """An image, a convolution, a unit, and more behind it that reads what the unit gives."""
    inputs = keras.Input((8, 8, 3))
    x = unit(layers.ReLU()(layers.Conv2D(4, 3, padding="same")(inputs)))
    x = layers.ReLU()(conv(x, 5))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def transformer() -> keras.Model:
    x = inputs = keras.Input((6, 8))
    y = layers.LayerNormalization()(x)
    x = layers.Add(name="attended")([x, layers.MultiHeadAttention(2, 4)(y, y)])
    y = layers.Dense(8)(layers.Dense(12, "gelu")(layers.LayerNormalization()(x)))
    x = layers.Add(name="unit")([x, y])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize("copies", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*UNITS, "transformer"])
def test_a_repeated_unit_changes_nothing_and_can_learn(name: str, copies: int) -> None:
    with floats("float64"):
        model = randomise(transformer() if name == "transformer" else network(UNITS[name]))
        before = weights(model)
        deeper = deepen(model, "unit", copies=copies)
        assert max_deviation(model, deeper) <= 1e-10
        assert all(np.array_equal(*pair) for pair in zip(before, weights(model), strict=True))
        names = [layer.name for layer in deeper.layers]
        assert [f"unit_deeper_{copy + 1}" in names for copy in range(copies + 1)] == (
            [True] * copies + [False]
        )
        old = [np.array(v) for v in deeper.trainable_variables if "deeper" in v.path]
        deeper.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
        for _ in range(2):  # in a dense unit the first step reaches its readers only
            deeper.train_on_batch(examples(model), np.random.default_rng(0).normal(size=(8, 3)))
        new = [np.array(v) for v in deeper.trainable_variables if "deeper" in v.path]
    assert any(not np.array_equal(*pair) for pair in zip(old, new, strict=True))


def test_the_layer_that_is_zeroed_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the battery above is red: the fault that it exists to catch."""
    module = importlib.import_module("keras_mothernets.surgery.deepen")
    original = module.insert_region

    def forgetful(*arguments: Any) -> RegionInsertion:
        return replace(original(*arguments), zeroed=())

    monkeypatch.setattr(module, "insert_region", forgetful)
    model = randomise(network(residual))
    assert max_deviation(model, deepen(model, "unit")) > 1e-2


def test_followers_of_a_dense_unit_read_nothing_from_it_at_first() -> None:
    model = randomise(network(dense))
    deeper = deepen(model, "unit")
    readers = [layer for layer in deeper.layers if isinstance(layer, layers.Conv2D)]
    kernel = np.array(readers[-1].kernel)
    assert kernel.shape[2] == 4 + 3 + 3
    assert np.array_equal(kernel[:, :, 7:], np.zeros_like(kernel[:, :, 7:]))
    assert np.abs(kernel[:, :, :7]).min() > 0


def test_names_may_be_repeated_and_shared_layers_stay_shared() -> None:
    x = inputs = keras.Input((4,))
    shared = layers.Dense(4, "tanh", name="shared")
    x = layers.Add(name="unit")([x, layers.Dense(4, name="last")(shared(shared(x)))])
    model = randomise(keras.Model(inputs, layers.Dense(2)(x)))
    twice = deepen(deepen(model, "unit", copies=2), "unit")
    assert max_deviation(model, twice) <= 1e-10
    calls = [node.layer.name for node in read(twice).nodes if not node.fused]
    assert [calls.count(f"shared_deeper_{copy}") for copy in range(1, 5)] == [2, 2, 2, 0]
    again = deepen(twice, "unit_deeper_3")
    assert max_deviation(model, again) <= 1e-10


REFUSED = {
    "post_norm": (
        lambda x: layers.LayerNormalization(name="norm")(
            layers.Add(name="unit")([x, layers.ReLU()(layers.Dense(4, name="last")(x))])
        ),
        ("unit", "stops learning at zero"),
    ),
    "gate": (
        lambda x: layers.Multiply(name="unit")([x, layers.Dense(4, "sigmoid")(x)]),
        ("unit", "Multiply"),
    ),
    "no_weights": (
        lambda x: layers.Add(name="unit")([x, layers.Activation("tanh")(x)]),
        ("unit", "without weights"),
    ),
    "two_inputs_of_a_region_without_cut_points": (
        lambda x: crossed(x),
        ("unit", "cannot be repeated", "merge"),
    ),
}


def crossed(x: Any) -> Any:
    a, b = layers.Dense(4)(x), layers.Dense(4)(x)
    c = layers.Add(name="unit")([a, b])
    d = layers.Multiply()([b, a])
    return layers.Add(name="end")([c, d])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_repeated_is_refused_by_name(name: str) -> None:
    unit, fragments = REFUSED[name]
    x = inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(unit(x)))
    with pytest.raises(MotherNetsError) as caught:
        deepen(model, "unit")
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)
