"""Properties of hatching over random chains: widths, kernels, inserted units, all activations."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from networks import (
    ACTIVATIONS,
    FORMS,
    Network,
    Unit,
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    activate,
    distance,
    examples,
    floats,
    grow,
    outputs,
    random_network,
    randomise,
    weights,
)

from keras_mothernets.graph import Architecture, read
from keras_mothernets.rules import ActivationRule, Value
from keras_mothernets.surgery import can_hatch, explain, hatch, max_deviation

SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 30))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_chain_hatches_exactly(seed: int) -> None:
    small = random_network(seed)
    large = grow(small, seed)
    mother, member = small.build("mother", seed=seed), large.build("member", seed=seed + 100)
    before = [value.tobytes() for model in (mother, member) for value in weights(model)]
    hatched = hatch(mother, member, seed=seed)
    # An inserted pair of leaky_relu needs 1 / 1.2, which float32 cannot hold.
    leaky = any(unit.activation == "leaky_relu" for unit in large.units)
    assert max_deviation(mother, hatched, seed=seed) <= (1e-7 if leaky else 1e-10)
    x = examples(mother, seed=seed)
    assert distance(outputs(mother, x), outputs(hatched, x)) <= 1e-5
    if large != small:
        assert distance(outputs(mother, x), outputs(member, x)) > 1e-3
    assert [v.tobytes() for model in (mother, member) for v in weights(model)] == before
    planned = [v for layer in explain(mother, member).layers for v in layer.variables]
    assert len(planned) == len(member.weights)


def test_random_growth_grows() -> None:
    """The generator itself: most pairs differ, and many insert layers."""
    pairs = [(random_network(seed), grow(random_network(seed), seed)) for seed in range(30)]
    assert sum(small != large for small, large in pairs) >= 0.9 * len(pairs)
    assert sum(len(small.units) < len(large.units) for small, large in pairs) >= 0.25 * len(pairs)
    used = {unit.activation for small, _ in pairs for unit in small.units}
    assert len(used) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_the_same_in_every_form(name: str) -> None:
    """Each form of the mother's hatches exactly into the next form of the member's."""
    for number, form in enumerate(FORMS):
        other = FORMS[(number + 1) % len(FORMS)]
        with floats("float64"):
            mother = _one_hidden(name, form, 3, seed=1)
            member = _one_hidden(name, other, 5, seed=2)
            hatched = hatch(mother, member)
        x = examples(mother)
        assert distance(outputs(mother, x), outputs(member, x)) > 1e-3
        assert distance(outputs(mother, x), outputs(hatched, x)) <= 1e-12, (form, other)


def _one_hidden(name: str, form: str, units: int, seed: int) -> keras.Model:
    unit = Unit("dense", size=units, activation=name, form=form)
    return Network((5,), (unit,)).build("net", seed=seed)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_inserted_where_numbers_allow_it_and_refused_elsewhere(name: str) -> None:
    """The verdict on `f` after `f` is compared with what `f` does to numbers."""
    x = np.linspace(-9, 9, 2001).astype("float32")
    once = keras.ops.convert_to_numpy(activate(x, name, "layer"))
    twice = keras.ops.convert_to_numpy(activate(once, name, "layer"))
    negated = keras.ops.convert_to_numpy(activate(-x, name, "layer"))
    slope = (once[-1] - negated[-1]) / x[-1]
    idempotent = bool(np.abs(twice - once).max() <= 1e-6)
    paired = bool(np.abs(once - negated - slope * x).max() <= 1e-5 and abs(slope) > 1e-3)
    unit = Unit("dense", size=3, activation=name)
    mother = Network((5,), (unit,)).build("mother", seed=1)
    narrow = Network((5,), (unit, replace(unit, size=4))).build("narrow", seed=2)
    wide = Network((5,), (replace(unit, size=7), unit)).build("wide", seed=3)
    assert can_hatch(mother, narrow) == idempotent
    assert can_hatch(mother, wide) == (idempotent or paired)
    for member in (narrow, wide):
        if can_hatch(mother, member):
            assert max_deviation(mother, hatch(mother, member)) <= 1e-7


@pytest.mark.parametrize(
    "option", [{"max_value": 4.0}, {"negative_slope": 0.1}, {"threshold": 0.5}], ids=str
)
def test_a_relu_with_settings_is_inserted_only_where_it_changes_nothing(
    option: dict[str, float],
) -> None:
    def net(width: int, more: bool) -> keras.Model:
        x = inputs = keras.Input((4,))
        x = keras.layers.ReLU(**option)(keras.layers.Dense(width)(x))
        if more:
            x = keras.layers.ReLU(**option)(keras.layers.Dense(3)(x))
        return randomise(keras.Model(inputs, keras.layers.Dense(2)(x)), seed=width)

    mother, narrow, wide = net(3, False), net(3, True), net(6, True)
    # Zero, or not below the threshold: a second time changes nothing. With a slope it does, but
    # then f(x) - f(-x) is linear.
    assert can_hatch(mother, narrow) == ("negative_slope" not in option)
    for member in (narrow, wide):
        if can_hatch(mother, member):
            assert max_deviation(mother, hatch(mother, member)) <= 1e-7
    assert can_hatch(mother, wide)


def test_an_activation_may_follow_another_that_leaves_it_nothing_to_do() -> None:
    """`g` is inserted after `f` only if g(f(x)) = f(x); for all pairs, against numbers."""
    x = np.linspace(-9, 9, 2001).astype("float64")
    values = {name: keras.ops.convert_to_numpy(activate(x, name, "layer")) for name in ACTIVATIONS}
    single = {name: read(_activated([name])) for name in ACTIVATIONS}
    legal = set()
    for first in ACTIVATIONS:
        for second in ACTIVATIONS:
            after = keras.ops.convert_to_numpy(activate(values[first], second, "layer"))
            unchanged = bool(np.abs(after - values[first]).max() <= 1e-6)
            if _may_follow(single[first], single[second]):
                legal.add((first, second))
                assert unchanged, f"{second} changes what comes out of {first}"
    wanted = {
        ("relu", "elu"), ("relu", "leaky_relu"), ("softplus", "relu"), ("sigmoid", "relu6"),
        ("tanh", "hard_tanh"), ("relu6", "relu"), ("exponential", "celu"), ("gelu", "linear"),
    }  # fmt: skip
    assert wanted <= legal


def _activated(names: list[str]) -> keras.Model:
    x = inputs = keras.Input((3,))
    for name in names:
        x = keras.layers.Activation(name)(x)
    return keras.Model(inputs, x)


def _may_follow(first: Architecture, second: Architecture) -> bool:
    rule = ActivationRule()
    value = rule.value(first.nodes[0], Value())
    return not rule.changes(second.nodes[0], value)


def test_seeds_decide_copies_and_shares_and_nothing_else() -> None:
    small = Network((5,), (Unit("dense", size=3, activation="tanh"),))
    large = replace(small, units=(replace(small.units[0], size=9),))
    mother, member = small.build("mother", seed=1), large.build("member", seed=2)
    first, again, other = (hatch(mother, member, seed=seed) for seed in (1, 1, 2))
    for ours, theirs in zip(weights(first), weights(again), strict=True):
        assert np.array_equal(ours, theirs)
    assert any(
        not np.array_equal(a, b) for a, b in zip(weights(first), weights(other), strict=True)
    )
    assert max_deviation(mother, other) <= 1e-10


def test_shares_of_copies_are_uneven_in_every_output() -> None:
    small = Network((5,), (Unit("dense", size=2, activation="tanh"),))
    large = replace(small, units=(replace(small.units[0], size=8),))
    mother, member = small.build("mother", seed=1), large.build("member", seed=2)
    hatched, plan = hatch(mother, member), explain(mother, member)
    head = plan.layers[-1]
    index = plan.maps[head.variables[0].roles[0].axis].index  # type: ignore[union-attr]
    assert len(index) == 8
    assert set(index) == {0, 1}
    rows, whole = np.array(hatched.weights[2]), np.array(mother.weights[2])
    shares = rows / whole[index]  # (8, 3)
    for channel in (0, 1):
        copies = shares[index == channel]
        assert np.allclose(copies.sum(axis=0), 1.0, atol=1e-6)
        assert (copies > 0).all()
        for column in copies.T:
            gaps = np.diff(np.sort(column))
            assert gaps.min() > 1e-4


def test_noise_and_shrink_change_kernels_by_what_they_say() -> None:
    net = Network((5,), (Unit("dense", size=400, activation="tanh"),), classes=50)
    mother = net.build("mother", seed=1)
    kernel = np.array(mother.weights[0])
    noisy = np.array(hatch(mother, mother, noise=0.1).weights[0])
    assert 0.08 * kernel.std() < (noisy - kernel).std() < 0.12 * kernel.std()
    shrunk = hatch(mother, mother, shrink=0.5)
    assert np.allclose(np.array(shrunk.weights[0]), 0.5 * kernel)
    assert np.array_equal(np.array(shrunk.weights[1]), np.array(mother.weights[1]))
