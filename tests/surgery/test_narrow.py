"""Narrower networks, from which the whole ones can be grown."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from marks import quick_ones

import keras_mothernets as km
from keras_mothernets.errors import SurgeryError
from keras_mothernets.surgery import narrow

BUILDERS = {
    "vgg": lambda: km.zoo.vgg((8, 8, 1), 3, [[(3, 8)] * 2, [(3, 12)]]),
    "resnet": lambda: km.zoo.resnet((8, 8, 3), 3, depth=8, width=0.4),
    "densenet": lambda: km.zoo.d5((8, 8, 3), 3, width=1 / 4)[0].model,
    "wide resnet": lambda: km.zoo.wrn5((8, 8, 3), 3, width=1 / 8)[0].model,
    "mlp": lambda: km.zoo.mlp((6,), 3, (9, 7)),
}


def _randomised(model: keras.Model) -> keras.Model:
    """Random weights, and random statistics of BatchNormalization too."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        if not np.issubdtype(np.dtype(weight.dtype), np.floating):
            continue
        positive = "variance" in weight.path or "gamma" in weight.path
        values = rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(size=weight.shape)
        weight.assign(0.3 * values)
    return model


@pytest.mark.parametrize("name", quick_ones(BUILDERS, ["vgg", "mlp"]))
@pytest.mark.parametrize("share", [0.5, 0.3])
def test_the_whole_network_grows_from_the_narrow_one_exactly(name: str, share: float) -> None:
    model = BUILDERS[name]()
    before = [weight.copy() for weight in model.get_weights()]
    small = _randomised(narrow(model, share, name="small", seed=1))
    assert small.name == "small"
    assert small.count_params() < 0.9 * share * model.count_params() + 60
    for seed in (0, 1):
        assert km.max_deviation(small, km.hatch(small, model, seed=seed)) < 1e-10
    for was, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, weight)


def test_widths_are_the_part_that_was_asked_for() -> None:
    small = narrow(km.zoo.mlp((6,), 3, (9, 1)), 0.5, name="small")
    widths = [layer.units for layer in small.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == [4, 1, 3]  # one unit at least, and the head as it was


def test_its_initial_weights_are_random_and_follow_the_seed() -> None:
    model = km.zoo.mlp((6,), 3, (9, 7))
    one, same, other = (narrow(model, 0.5, name="n", seed=seed) for seed in (0, 0, 1))
    kernels = [network.trainable_weights[0].numpy() for network in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert kernels[0].std() > 0.1
    assert not np.allclose(kernels[0], kernels[2])


def test_what_cannot_be_narrower_is_refused() -> None:
    model = km.zoo.mlp((6,), 3, (9, 7), name="base")
    model.layers[-2].trainable = False
    with pytest.raises(SurgeryError, match="`base` has frozen layers, which cannot be narrower"):
        narrow(model, 0.5, name="small")
    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="head")
    with pytest.raises(SurgeryError, match="`head` has no layer that could be narrower"):
        narrow(head, 0.5, name="small")
