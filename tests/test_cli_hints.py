"""Warnings before a training that will disappoint."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_mothernets import Member
from keras_mothernets.cli.hints import slow_statistics

layers = keras.layers


def net(*momenta: float, name: str = "mine") -> Member:
    inside = [layers.BatchNormalization(momentum=value) for value in momenta]
    return Member(keras.Sequential([keras.Input((4,)), *inside, layers.Dense(2)], name=name))


def test_what_is_told_is_what_is_left_of_the_statistics() -> None:
    """Against a layer of Keras' own that has taken so many steps on constant numbers."""
    steps = 72
    layer = layers.BatchNormalization(center=False, scale=False)
    x = np.full((8, 4), 10.0, "float32")
    for _ in range(steps):
        layer(x, training=True)
    left = 1 - float(np.mean(layer.moving_mean.numpy())) / 10.0
    assert f"72 steps of this training, {left:.0%} of" in slow_statistics([net(0.99)], steps)


@pytest.mark.parametrize(
    ("members", "steps"),
    [([net(0.99)], 300), ([net(0.9)], 30), ([net()], 1), ([net(), net(0.5)], 10)],
)
def test_nothing_is_told_where_nothing_is_the_matter(members, steps) -> None:
    assert slow_statistics(members, steps) == ""


def test_those_are_named_that_are_slow_nested_ones_too() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()], name="inner")
    inputs = keras.Input((4,))
    outer = Member(keras.Model(inputs, layers.Dense(2)(inner(inputs)), name="outer"))
    told = slow_statistics([outer, net(0.9, name="quick"), net(0.9, 0.98, name="slow")], 50)
    assert "`outer`, `slow`." in told and "quick" not in told


def test_frozen_layers_keep_theirs_on_purpose() -> None:
    member = net(0.99)
    member.model.layers[0].trainable = False
    assert slow_statistics([member], 10) == ""
