"""The MotherNet: every member grows from it, exactly, and none could have been larger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import (
    Network,
    Unit,
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    grow,
    random_network,
    randomise,
    weights,
)

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import read
from keras_mothernets.member import Member
from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import can_hatch, hatch, max_deviation


def chain(*units: Unit, **settings: Any) -> Network:
    return Network((8, 8, 3), units, **settings)


def _below_all(members: list[keras.Model], **settings: Any) -> keras.Model:
    """The MotherNet of some members, proved to be below each of them."""
    before = [value.tobytes() for model in members for value in weights(model)]
    mother = mothernet(members, **settings)
    assert mother.built
    assert not mother.compiled
    randomise(mother, 9)
    for member in members:
        assert can_hatch(mother, member)
        assert max_deviation(mother, hatch(mother, member)) <= 1e-7
    assert [value.tobytes() for model in members for value in weights(model)] == before
    return mother


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))]
)
def test_a_mother_of_random_members_is_below_them_all(seed: int) -> None:
    base = random_network(seed)
    networks = [grow(base, seed + 10 * number) for number in range(2 + seed % 2)]
    members = [net.build(f"member{n}", seed=n) for n, net in enumerate(networks)]
    mother = _below_all(members)
    # All were grown from `base`, so it is below them too; the mother must be no smaller.
    assert mother.count_params() >= base.build("base").count_params()


@pytest.mark.parametrize("seed", range(4))
def test_a_member_below_the_others_is_the_mother(seed: int) -> None:
    base = random_network(seed)
    # A dropout that another member lacks is not in the mother either.
    base = replace(base, units=tuple(replace(unit, dropout=0.0) for unit in base.units))
    small = base.build("small", seed=1)
    larger = [grow(base, seed + n).build(f"large{n}", seed=n) for n in range(2)]
    for members in ([small, *larger], [*larger, small], [larger[0], small]):
        mother = mothernet(members)
        assert same_architecture(mother, small)
        assert read(mother).num_params == read(small).num_params
    assert same_architecture(mothernet([small]), small)


def test_widths_and_kernels_are_the_smallest_at_each_position() -> None:
    first = chain(Unit("conv", size=4, kernel=5), Unit("conv", size=9, kernel=3), head="global")
    second = chain(Unit("conv", size=6, kernel=3), Unit("conv", size=7, kernel=5), head="global")
    mother = _below_all([first.build("first"), second.build("second")])
    found = [layer for layer in mother.layers if isinstance(layer, layers.Conv2D)]
    assert [(layer.filters, layer.kernel_size) for layer in found] == [(4, (3, 3)), (7, (3, 3))]


def test_layers_are_the_fewest() -> None:
    unit = Unit("conv", size=4)
    members = [
        chain(*[unit] * before, Unit("pool"), *[unit] * after, head="global").build(
            f"m{before}{after}"
        )
        for before, after in [(1, 3), (3, 2), (2, 1)]
    ]
    mother = _below_all(members)
    found = [
        type(layer)
        for layer in mother.layers
        if isinstance(layer, (layers.Conv2D, layers.MaxPooling2D))
    ]
    assert found == [layers.Conv2D, layers.MaxPooling2D, layers.Conv2D]


def test_pairs_of_an_activation_lower_the_width() -> None:
    deep = Network((5,), (Unit("dense", 6, activation="gelu"), Unit("dense", 5, activation="gelu")))
    flat = Network((5,), (Unit("dense", 8, activation="gelu"),))
    mother = _below_all([deep.build("deep"), flat.build("flat")])
    units = [layer.units for layer in mother.layers if isinstance(layer, layers.Dense)]
    assert units == [3, 3]


def test_an_activation_stays_where_its_layer_goes() -> None:
    """Two convolutions that cannot meet go; what was fused to them stands first then."""
    members = []
    for rate in (1, 2):
        conv = layers.Conv2D(4, 3, padding="same", dilation_rate=rate, activation="tanh")
        model = keras.Sequential([keras.Input((8, 8, 3)), conv, layers.Flatten(), layers.Dense(3)])
        members.append(randomise(model, rate))
    mother = mothernet(members)
    assert [type(layer).__name__ for layer in mother.layers[1:3]] == ["Activation", "Flatten"]
    _below_all(members)


def test_dropout_that_one_member_lacks_is_left_out() -> None:
    with_it = Network((5,), (Unit("dense", 6), Unit("dense", 4, dropout=0.2))).build("with")
    without = Network((5,), (Unit("dense", 4), Unit("dense", 6))).build("without")
    mother = _below_all([with_it, without])
    assert not any(isinstance(layer, layers.Dropout) for layer in mother.layers)


def test_dropout_of_a_member_that_all_others_grow_from_stays() -> None:
    """Thus the mother is that member, and not trained twice."""
    with_it = Network((5,), (Unit("dense", dropout=0.2),)).build("with")
    without = Network((5,), (Unit("dense", size=6),)).build("without")
    assert same_architecture(_below_all([with_it, without]), with_it)


def test_reshapes_follow_the_narrowest() -> None:
    def net(channels: int, name: str) -> keras.Model:
        x = inputs = keras.Input((6,))
        x = layers.Reshape((2, 2, channels))(layers.Dense(4 * channels, activation="relu")(x))
        x = layers.Conv2D(channels + 1, 3, padding="same", activation="relu")(x)
        outputs = layers.Dense(2)(layers.Flatten()(x))
        return randomise(keras.Model(inputs, outputs, name=name), channels)

    mother = _below_all([net(3, "three"), net(2, "two"), net(5, "five")])
    assert same_architecture(mother, net(2, "again"))


def test_nested_and_flat_members_share_a_mother() -> None:
    block = keras.Sequential([layers.Conv2D(4, 3, padding="same"), layers.ReLU()], name="block")
    nested = keras.Sequential(
        [keras.Input((8, 8, 3)), block, layers.Flatten(), layers.Dense(3)], name="nested"
    )
    flat = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(5, 5, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ],
        name="flat",
    )
    mother = _below_all([randomise(nested), randomise(flat)])
    assert same_architecture(mother, nested)


def test_shared_layers_stay_shared() -> None:
    def net(units: int) -> keras.Model:
        x = inputs = keras.Input((5,))
        shared = layers.Dense(units, activation="tanh")
        x = shared(shared(layers.Dense(units)(x)))
        return randomise(keras.Model(inputs, layers.Dense(2)(x), name=f"net{units}"), units)

    mother = _below_all([net(3), net(5)])
    assert mother.count_params() == net(3).count_params()


def test_settings_of_a_normalization_are_the_members() -> None:
    data = np.random.default_rng(0).normal(4.0, 3.0, (50, 5)).astype("float32")

    def net(units: int, factor: float = 1.0) -> keras.Model:
        normalization = layers.Normalization()
        normalization.adapt(factor * data)
        stack = [keras.Input((5,)), normalization, layers.Dense(units, "relu"), layers.Dense(2)]
        return keras.Sequential(stack, name=f"net{units}")

    mother = mothernet([net(3), net(5)])
    found = next(layer for layer in mother.layers if isinstance(layer, layers.Normalization))
    assert np.allclose(keras.ops.convert_to_numpy(found.mean), data.mean(axis=0), atol=1e-4)
    with pytest.raises(SurgeryError, match=r"net7.*normalization"):
        mothernet([net(3), net(7, factor=2.0)])


def test_names_and_seeds() -> None:
    members = [Network((5,), (Unit("dense", n),)).build(f"net{n}") for n in (3, 5)]
    first, again, other = (mothernet(members, name="eve", seed=seed) for seed in (1, 1, 2))
    assert first.name == "eve"
    for ours, theirs in zip(weights(first), weights(again), strict=True):
        assert np.array_equal(ours, theirs)
    assert not np.array_equal(weights(first)[0], weights(other)[0])
    kernels = [value for value in weights(first) if value.ndim > 1]
    assert all(value.std() > 0.05 for value in kernels), "random initial weights"
    wrapped = mothernet([Member(model) for model in members], name="eve", seed=1)
    assert same_architecture(wrapped, first)


def test_same_architecture_looks_at_everything_but_names_and_weights() -> None:
    unit = Unit("conv", size=4, activation="gelu", norm=True)
    base = chain(unit)
    one = base.build("one", seed=1)
    assert same_architecture(one, base.build("two", seed=2))
    others = {
        "filters": Unit("conv", size=5, activation="gelu", norm=True),
        "kernel": Unit("conv", size=4, kernel=5, activation="gelu", norm=True),
        "stride": Unit("conv", size=4, stride=2, activation="gelu", norm=True),
        "padding": Unit("conv", size=4, padding="valid", activation="gelu", norm=True),
        "dilation": Unit("conv", size=4, dilation=2, activation="gelu", norm=True),
        "activation": Unit("conv", size=4, activation="silu", norm=True),
        "normalisation": Unit("conv", size=4, activation="gelu"),
        "bias": Unit("conv", size=4, activation="gelu", norm=True, bias=False),
        "dropout": Unit("conv", size=4, activation="gelu", norm=True, dropout=0.2),
        "kind": Unit("separable", size=4, activation="gelu", norm=True),
    }
    for what, changed in others.items():
        assert not same_architecture(one, chain(changed).build("other")), what
    assert not same_architecture(one, chain(unit, unit).build("deeper"))
    form = chain(Unit("conv", size=4, activation="gelu", norm=True, form="operation"))
    assert same_architecture(one, form.build("as an operation"))


def test_equal_members_have_equal_mothers_however_their_layers_are_named() -> None:
    """Keras numbers unnamed layers by how many the process has made before."""

    def make() -> list[keras.Model]:
        return [
            keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(2)]
            )
            for width in (3, 5)
        ]

    first, second = mothernet(make(), seed=1), mothernet(make(), seed=1)
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    for mine, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(first.get_weights()[0], mothernet(make(), seed=2).get_weights()[0])
    small, large = make()
    hatched = [hatch(small, each, seed=1, new_channels="fresh") for each in (large, make()[1])]
    for mine, theirs in zip(*(model.get_weights() for model in hatched), strict=True):
        np.testing.assert_array_equal(mine, theirs)
