"""Branches of a sum meet in whatever order shares most; those of a Concatenate in theirs."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import pytest
from keras import layers
from networks import randomise

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.mothernet import mothernet
from keras_mothernets.surgery import hatch, max_deviation


def network(name: str, *branches: Sequence[int], merge: type = layers.Add) -> keras.Model:
    """Branches of Dense layers of the given widths, each of which ends in 4 units."""
    inputs = keras.Input((4,))
    ends = []
    for widths in branches:
        x = inputs
        for units in widths:
            x = layers.Dense(units, "relu")(x)
        ends.append(layers.Dense(4)(x) if widths else x)
    x = layers.Activation("tanh")(merge(name="meeting")(ends))
    return randomise(keras.Model(inputs, layers.Dense(2)(x), name=name))


@pytest.mark.parametrize("merge", [layers.Add, layers.Maximum, layers.Average, layers.Multiply])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_the_order_of_inputs_does_not_matter(merge: type, order: Sequence[int]) -> None:
    branches = [(9,), (3, 7), (5, 5, 5)]
    members = [
        network("one", *branches, merge=merge),
        network("two", *[branches[number] for number in order], merge=merge),
    ]
    mother = randomise(mothernet(members), 3)
    assert mother.count_params() == members[0].count_params()
    for member in members:
        assert max_deviation(mother, hatch(mother, member)) <= 1e-10


def test_widths_decide_who_meets_whom() -> None:
    members = [network("one", (3,), (9,)), network("two", (8,), (4,))]
    mother = randomise(mothernet(members), 3)
    units = sorted(layer.units for layer in mother.layers if isinstance(layer, layers.Dense))
    assert units == [2, 3, 4, 4, 8]
    for member in members:
        assert max_deviation(mother, hatch(mother, member)) <= 1e-10


def test_a_branch_that_one_network_has_more_may_stand_anywhere() -> None:
    small, large = network("small", (), (6,)), network("large", (5, 5), (8,), ())
    mother = randomise(mothernet([small, large]), 3)
    assert mother.count_params() == small.count_params()
    assert max_deviation(mother, hatch(mother, large)) <= 1e-10


@pytest.mark.parametrize("merge", [layers.Subtract, layers.Concatenate])
def test_where_order_matters_it_is_kept(merge: type) -> None:
    members = [network("one", (3,), (9,), merge=merge), network("two", (8,), (4,), merge=merge)]
    mother = randomise(mothernet(members), 3)
    units = sorted(layer.units for layer in mother.layers if isinstance(layer, layers.Dense))
    assert units == [2, 3, 4, 4, 4]
    for member in members:
        assert max_deviation(mother, hatch(mother, member)) <= 1e-10


def test_branches_that_cannot_meet_are_named() -> None:
    odd = network("odd", (3,), (9,), merge=layers.Subtract)
    even = network("even", (3,), (3, 3), (9,), merge=layers.Average)
    with pytest.raises(MotherNetsError, match="`odd`.*`even`.*meeting"):
        mothernet([odd, even])
