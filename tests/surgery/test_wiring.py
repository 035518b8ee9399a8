"""Two networks correspond only where they are wired alike, whatever their layers are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers
from networks import randomise

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import can_hatch, deepen, hatch, max_deviation, widen

Build = Callable[[int, bool], keras.Model]


def _two() -> list[Any]:
    return [keras.Input((3,), name=name) for name in ("first", "second")]


def concatenated(units: int, swapped: bool) -> keras.Model:
    inputs = _two()
    x = layers.Concatenate()(inputs[::-1] if swapped else inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(units, activation="tanh")(x)))


def subtracted(units: int, swapped: bool) -> keras.Model:
    inputs = _two()
    shared = layers.Dense(units, activation="tanh")
    encoded = [shared(x) for x in inputs]
    return keras.Model(
        inputs, layers.Dense(2)(layers.Subtract()(encoded[::-1] if swapped else encoded))
    )


def other_branch(units: int, swapped: bool) -> keras.Model:
    inputs = _two()
    plain, bent = inputs[::-1] if swapped else inputs
    y = layers.Activation("tanh")(layers.Dense(units)(bent))
    return keras.Model(inputs, layers.Dense(2)(layers.Add()([layers.Dense(units)(plain), y])))


def outputs(units: int, swapped: bool) -> keras.Model:
    inputs = keras.Input((4,))
    first = layers.Dense(3)(layers.Dense(units, activation="tanh")(inputs))
    second = layers.Dense(3)(layers.Activation("tanh")(first))
    return keras.Model(inputs, [second, first] if swapped else [first, second])


def operand(units: int, swapped: bool) -> keras.Model:
    inputs = keras.Input((4,))
    x = layers.Dense(units, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(2)(1.0 - x if swapped else x - 1.0))


def masked(units: int, swapped: bool) -> keras.Model:
    inputs = keras.Input((6, units))
    flags = {"training": True} if swapped else {"use_causal_mask": True}
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs, **flags)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


@pytest.mark.parametrize(
    "build", [concatenated, subtracted, other_branch, outputs, operand], ids=lambda b: b.__name__
)
def test_another_order_is_another_network(build: Build) -> None:
    mother, member, swapped = (build(units, swap) for units, swap in ((3, 0), (5, 0), (5, 1)))
    randomise(mother, 1)
    assert max_deviation(mother, hatch(mother, member)) <= 1e-10
    assert not can_hatch(mother, swapped)
    assert not same_architecture(build(3, False), build(3, True))
    # A mother of both is possible where what differs can be left out; then it is exact.
    try:
        common = randomise(mothernet([mother, swapped]), 2)
    except MotherNetsError:
        return
    for model in (mother, swapped):
        assert max_deviation(common, hatch(common, model)) <= 1e-10


def test_flags_of_a_call_are_told_apart_by_name() -> None:
    assert can_hatch(masked(4, False), masked(4, False))
    assert not can_hatch(masked(4, False), masked(4, True))


def _with_merge(kind: type | None) -> keras.Model:
    """A network, or the same with a merge that reads one tensor twice."""
    inputs = keras.Input((4,))
    x = layers.Dense(5, activation="tanh")(inputs)
    if kind is not None:
        x = kind(name="merge")([x, x, layers.Dense(5)(x)])
    return randomise(keras.Model(inputs, layers.Dense(2)(x)), 1)


@pytest.mark.parametrize("kind", [layers.Add, layers.Concatenate])
def test_a_merge_that_reads_a_tensor_twice_is_no_identity(kind: type) -> None:
    model = _with_merge(kind)
    assert not can_hatch(_with_merge(None), model)
    with pytest.raises(MotherNetsError, match="merge"):
        deepen(model, "merge")
    hidden = [layer.name for layer in model.layers if isinstance(layer, layers.Dense)][:2]
    wider = widen(model, dict.fromkeys(hidden, 8))
    assert max_deviation(model, wider) <= 1e-10


def _shared_below(units: int) -> keras.Model:
    """Two models over the same layers, one of them a part of the other."""
    entry = keras.Input((4,))
    first, second = layers.Dense(units, activation="tanh"), layers.Dense(units, activation="relu")
    part = keras.Model(entry, first(entry), name="part")
    whole = keras.Model(entry, second(first(entry)), name="whole")
    inputs = keras.Input((4,))
    x = layers.Concatenate()([whole(inputs), part(inputs)])
    return keras.Model(inputs, layers.Dense(2)(x), name=f"shared_{units}")


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_that_stands_in_two_models_is_one_layer(seed: int) -> None:
    members = [randomise(_shared_below(units), seed) for units in (3, 5)]
    mother = randomise(mothernet(members), 9)
    assert mother.count_params() == members[0].count_params()
    for member in members:
        hatched = hatch(mother, member, seed=seed)
        assert len(hatched.weights) == len(member.weights)
        assert max_deviation(mother, hatched) <= 1e-10
