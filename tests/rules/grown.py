"""Checks that a member hatched from a mother computes the same, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from networks import floats, randomise

from keras_mothernets import hatch, max_deviation, mothernet

EXACT = 1e-10
DIFFERENT = 1e-3

Pick = Callable[[Any, Any], Any]
Make = Callable[[Pick], keras.Model]


def networks(make: Make) -> tuple[keras.Model, keras.Model]:
    """The mother and the member of a row: `w(3, 5)` is 3 in one and 5 in the other."""
    mother = make(lambda mother, member: mother)
    member = make(lambda mother, member: member)
    return randomise(mother, 1), randomise(member, 2)


def check_growth(make: Make, *, seeds: tuple[int, ...] = (0, 1)) -> float:
    """Hatch with several seeds, and meet; returns the largest deviation."""
    with floats("float64"):
        mother, member = networks(make)
        assert max_deviation(mother, member) > DIFFERENT
        before = [np.array(value) for value in member.get_weights()]
        hatched = [hatch(mother, member, seed=seed) for seed in seeds]
        worst = max(max_deviation(mother, model) for model in hatched)
        assert worst <= EXACT
        assert hatched[0].count_params() == member.count_params()
        common = mothernet([member, mother])
        assert common.count_params() == mother.count_params()
        randomise(common, 3)
        assert max_deviation(common, hatch(common, member, seed=3)) <= EXACT
    for old, new in zip(before, member.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return worst
