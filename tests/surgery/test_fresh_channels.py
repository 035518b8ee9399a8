"""New channels that are no copies: with weights of their own, and not listened to at first."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from marks import quick_ones
from networks import randomise

import keras_mothernets as km

PAIRS = {
    "vgg": lambda: [km.zoo.vgg((8, 8, 1), 3, [[(3, n)] * 2, [(3, n + 2)]]) for n in (4, 7)],
    "resnet": lambda: [km.zoo.resnet((8, 8, 3), 3, depth=8, width=w) for w in (0.2, 0.5)],
    "wide resnet": lambda: [m.model for m in km.zoo.wrn5((8, 8, 3), 3, width=1 / 8)[:4:3]],
    "densenet": lambda: [m.model for m in km.zoo.d5((8, 8, 3), 3, width=1 / 4)[:2]],
    "mobilenet": lambda: [km.zoo.mobilenet((8, 8, 3), 3, width=w) for w in (0.1, 0.25)],
}


@pytest.mark.parametrize("name", quick_ones(PAIRS, ["vgg"]))
def test_families_keep_their_function(name: str) -> None:
    small, large = PAIRS[name]()
    randomise(small, 1)
    for seed in (0, 1):
        grown = km.hatch(small, large, seed=seed, new_channels="fresh")
        assert km.max_deviation(small, grown, seed=seed) < 1e-10


def _net(units: int) -> keras.Sequential:
    hidden = keras.layers.Dense(units, "relu", name="hidden")
    head = keras.layers.Dense(3, name="head")
    return keras.Sequential([keras.Input((4,)), hidden, head], name=f"net_{units}")


def test_fresh_channels_are_no_copies_and_begin_to_learn_at_the_first_step() -> None:
    small = randomise(_net(3), 1)
    grown = km.hatch(small, _net(5), new_channels="fresh")
    hidden, head = grown.get_layer("hidden").kernel, grown.get_layer("head").kernel
    old = small.get_layer("hidden").kernel.numpy()
    np.testing.assert_array_equal(hidden.numpy()[:, :3], old)
    np.testing.assert_array_equal(head.numpy()[:3], small.get_layer("head").kernel.numpy())
    np.testing.assert_array_equal(head.numpy()[3:], np.zeros((2, 3)))
    for new in hidden.numpy()[:, 3:].T:
        assert np.abs(new).max() > 0.01
        assert min(np.abs(new - column).max() for column in old.T) > 0.01
    grown.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(32, 4))
    grown.fit(x, np.ones((32, 3)), epochs=1, batch_size=32, verbose=0)
    assert np.abs(head.numpy()[3:]).max() > 1e-3


def test_a_normalization_over_channels_has_copies_all_the_same() -> None:
    def net(units: int) -> keras.Model:
        inputs = keras.Input((4,))
        x = keras.layers.Dense(units, name="hidden")(inputs)
        x = keras.layers.LayerNormalization()(x)
        return keras.Model(inputs, keras.layers.Dense(2)(x))

    small = randomise(net(3), 1)
    grown = km.hatch(small, net(6), new_channels="fresh")
    assert km.max_deviation(small, grown) < 1e-10
    kernel = grown.get_layer("hidden").kernel.numpy()
    assert len(np.unique(kernel.round(6), axis=1).T) == 3


def test_other_words_are_refused() -> None:
    with pytest.raises(km.MotherNetsError, match='`new_channels` is not known. Expected: "copies"'):
        km.hatch(_net(3), _net(5), new_channels="zeros")
    with pytest.raises(km.MotherNetsError, match="`new_channels` is not known"):
        km.MotherNets([_net(3), _net(5)], new_channels="new")
