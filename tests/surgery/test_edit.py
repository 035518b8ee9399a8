"""Growing one model by hand: `widen`, `enlarge_kernels` and `deepen` keep what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import (
    PAIRED,
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    activate,
    distance,
    examples,
    outputs,
    randomise,
    weights,
)

from keras_mothernets.member import Member
from keras_mothernets.mothernet import mothernet
from keras_mothernets.surgery import (
    can_hatch,
    deepen,
    enlarge_kernels,
    explain,
    hatch,
    max_deviation,
    widen,
)


def _network() -> keras.Model:
    block = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", name="conv"), layers.BatchNormalization(name="norm"),
         layers.ReLU(name="relu")], name="block",
    )  # fmt: skip
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = block(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.SeparableConv2D(3, 2, strides=2, padding="same", activation="relu", name="sep")(x)
    x = layers.Conv2DTranspose(3, 2, strides=2, padding="same", name="up")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    return randomise(keras.Model(inputs, layers.Dense(3, name="head")(x), name="net"))


Edit = Callable[[keras.Model], keras.Model]
EDITS: dict[str, tuple[Edit, Callable[[keras.Model], Any], Any]] = {
    "widen_nested_conv": (
        lambda m: widen(m, {"block/conv": 7}),
        lambda g: g.get_layer("block_conv").filters,
        7,
    ),
    "widen_by_the_short_name": (
        lambda m: widen(m, {"conv": 5}),
        lambda g: g.get_layer("block_conv").filters,
        5,
    ),
    "widen_depthwise": (
        lambda m: widen(m, {"depthwise": 3}),
        lambda g: g.get_layer("depthwise").depth_multiplier,
        3,
    ),
    "widen_many": (
        lambda m: widen(m, {"conv": 6, "depthwise": 2, "sep": 5, "up": 4, "hidden": 11}, seed=4),
        lambda g: g.get_layer("hidden").units,
        11,
    ),
    "widen_to_the_same": (lambda m: widen(m, {"hidden": 5}), lambda g: g.count_params(), None),
    "enlarge_one_number": (
        lambda m: enlarge_kernels(m, {"conv": 5, "depthwise": 7}),
        lambda g: g.get_layer("block_conv").kernel_size,
        (5, 5),
    ),
    "enlarge_one_axis": (
        lambda m: enlarge_kernels(m, {"conv": (3, 5)}),
        lambda g: g.get_layer("block_conv").kernel_size,
        (3, 5),
    ),
    "enlarge_strided_and_transposed": (
        lambda m: enlarge_kernels(m, {"sep": 4, "up": 4}),
        lambda g: (g.get_layer("sep").kernel_size, g.get_layer("up").kernel_size),
        ((4, 4), (4, 4)),
    ),
    "deepen_conv_norm_relu": (
        lambda m: deepen(m, "block/conv"),
        lambda g: g.get_layer("block_conv_deeper_1").filters,
        4,
    ),
    "deepen_three_times": (
        lambda m: deepen(m, "hidden", copies=3),
        lambda g: g.get_layer("hidden_deeper_3").units,
        5,
    ),
    "deepen_strided": (
        lambda m: deepen(m, "sep"),
        lambda g: g.get_layer("sep_deeper_1").strides,
        (1, 1),
    ),
    "deepen_depthwise": (
        lambda m: deepen(m, "depthwise"),
        lambda g: g.get_layer("depthwise_deeper_1").depth_multiplier,
        1,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_keeps_the_function_and_leaves_the_model_alone(name: str) -> None:
    edit, look, wanted = EDITS[name]
    model = _network()
    before = [value.tobytes() for value in weights(model)], model.get_config()
    grown = edit(model)
    assert max_deviation(model, grown) <= 1e-10
    x = examples(model)
    assert distance(outputs(model, x), outputs(grown, x)) <= 1e-5
    assert look(grown) == (model.count_params() if wanted is None else wanted)
    assert grown.built
    assert not grown.compiled
    assert ([value.tobytes() for value in weights(model)], model.get_config()) == before
    fresh = randomise(keras.models.clone_model(grown), 7)
    assert distance(outputs(model, x), outputs(fresh, x)) > 1e-3


def test_what_was_grown_learns_and_its_copies_part() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "tanh", name="hidden"), layers.Dense(2, name="head")]
    )
    grown = widen(randomise(model), {"hidden": 12})
    first = grown.get_layer("hidden")
    copies = np.array(first.kernel)
    twins = [
        (a, b) for a in range(12) for b in range(a) if np.array_equal(copies[:, a], copies[:, b])
    ]
    assert len(twins) >= 9
    grown.compile("sgd", "mse", run_eagerly=True)
    generator = np.random.default_rng(0)
    grown.train_on_batch(generator.normal(size=(16, 4)), generator.normal(size=(16, 2)))
    trained = np.array(first.kernel)
    assert all(np.abs(trained[:, a] - trained[:, b]).max() > 1e-6 for a, b in twins)


@pytest.mark.parametrize("name", PAIRED)
def test_deepening_after_an_activation_without_an_identity_is_refused_or_exact(name: str) -> None:
    """There is no room for pairs in a layer that keeps its width."""
    x = inputs = keras.Input((4,))
    x = activate(layers.Dense(3, name="hidden")(x), name, "layer")
    model = randomise(keras.Model(inputs, layers.Dense(2)(x)))
    with pytest.raises(ValueError, match="hidden.*cannot be followed|cannot be followed"):
        deepen(model, "hidden")


@pytest.mark.parametrize("calibrate", [False, True])
def test_deepening_is_nearly_exact_in_training_mode(calibrate: bool) -> None:
    """An inserted BatchNormalization carries the statistics of what flows into it."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(256, 8, 8, 3)).astype("float32")
    inputs = keras.Input((8, 8, 3))
    y = layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv")(inputs)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.0)(y))
    y = layers.GlobalAveragePooling2D()(y)
    model = randomise(keras.Model(inputs, layers.Dense(3)(y)))
    model(x, training=True)  # with momentum 0 the statistics are those of x
    deeper = deepen(model, "conv", calibration=x if calibrate else None)
    ours, theirs = (outputs(net, x, training=True)[0] for net in (model, deeper))
    plain = deepen(model, "conv")
    norm = next(
        layer for layer in plain.layers
        if isinstance(layer, layers.BatchNormalization) and "deeper" in layer.name
    )  # fmt: skip
    norm.moving_mean.assign(np.zeros(6))
    norm.moving_variance.assign(np.ones(6))
    norm.beta.assign(np.zeros(6))
    norm.gamma.assign(np.full(6, np.sqrt(1 + norm.epsilon)))
    naive = outputs(plain, x, training=True)[0]
    apart = np.abs(naive - ours).max()
    assert apart > 0.1
    assert np.abs(theirs - ours).max() < (0.01 if calibrate else 0.2) * apart


def test_a_whole_name_goes_before_the_last_part_of_one() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")], name="block")
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="dense")(inner(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    grown = widen(model, {"dense": 7})
    assert [grown.get_layer(name).units for name in ("block_dense", "dense")] == [3, 7]


def test_members_are_taken_wherever_models_are() -> None:
    model, wider = _network(), widen(_network(), {"hidden": 9})
    member, larger = Member(model), Member(wider)
    assert can_hatch(member, larger)
    assert explain(member, larger).inherited < 1
    assert max_deviation(member, Member(hatch(member, larger))) <= 1e-10
    for edit in (
        lambda m: widen(m, {"hidden": 7}),
        lambda m: enlarge_kernels(m, {"conv": 5}),
        lambda m: deepen(m, "hidden"),
    ):
        assert max_deviation(member, edit(member)) <= 1e-10


def test_a_fixed_number_of_examples_stays_fixed() -> None:
    inputs = keras.Input(batch_shape=(5, 4))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(3, name="hidden")(inputs)))
    for grown in (widen(model, {"hidden": 4}), mothernet([model]), hatch(model, model)):
        assert grown.input_shape == (5, 4)


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_that_nothing_listens_to_part_too(copies: int) -> None:
    """Their outgoing weights are zero, and so would be all shares of them."""
    head = layers.Dense(2, kernel_initializer="zeros", name="head")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh", name="hidden"), head])
    grown = widen(model, {"hidden": 3 * copies}, seed=1)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    assert np.abs(outputs(grown, x)[0]).max() <= 1e-7
    kernel = np.array(grown.get_layer("hidden").kernel)
    first, second = next(
        (n, m) for n in range(3) for m in range(3, 3 * copies) if np.array_equal(*kernel.T[[n, m]])
    )
    grown.compile("sgd", "mse")
    grown.train_on_batch(x, np.ones((8, 2)))
    kernel = np.array(grown.get_layer("hidden").kernel)
    assert np.abs(kernel[:, first] - kernel[:, second]).max() > 1e-4
