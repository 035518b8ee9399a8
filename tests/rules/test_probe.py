"""A layer of one's own may be probed: what treats every number for itself passes."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from grown import EXACT, Pick, networks
from keras import layers, ops

from keras_mothernets import GraphError, SurgeryError, hatch, max_deviation, register_rule
from keras_mothernets.rules import Rule, probe_elementwise


class Bend(layers.Layer):
    """x * sin(x): no function that Keras has."""

    def call(self, x: Any) -> Any:
        return x * ops.sin(x)


class Centre(layers.Layer):
    def call(self, x: Any) -> Any:
        return x - ops.mean(x, axis=-1, keepdims=True)


class Half(layers.Layer):
    def call(self, x: Any) -> Any:
        return x[..., ::2]


def test_a_layer_that_passes_can_be_registered() -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input((4,))
        return keras.Model(x, layers.Dense(2)(Bend()(layers.Dense(w(3, 7))(x))))

    mother, member = networks(make)
    with pytest.raises(GraphError, match="Bend"):
        hatch(mother, member)
    register_rule(Bend, probe_elementwise(Bend(), shapes=[(4,)]))
    assert max_deviation(mother, hatch(mother, member)) <= EXACT


@pytest.mark.parametrize("layer", [ops.sin, layers.ReLU(), layers.Dropout(0.5)])
def test_what_treats_every_number_for_itself_passes(layer: Any) -> None:
    assert isinstance(probe_elementwise(layer, shapes=[(4,), (3, 4, 5)]), Rule)


@pytest.mark.parametrize(
    ("layer", "fragment"),
    [
        (Centre(), "copies along axis 2 change"),
        (layers.Softmax(), "copies along axis 2 change"),
        (layers.Softmax(axis=1), "copies along axis 1 change"),
        (layers.UnitNormalization(), "change what the others give"),
        (lambda x: ops.cumsum(x, axis=1), "copies along axis 1 change"),
        (lambda x: x - ops.mean(x, axis=0), "copies along axis 0 change"),
        (lambda x: ops.flip(x, axis=-1), "copies along axis 2 change"),
        (lambda x: x + ops.arange(5, dtype="float32"), "it fails on copies along axis 2"),
        (Half(), "it makes (4, 3) of (4, 5)"),
        (layers.BatchNormalization(), "it has variables"),
        (layers.PReLU(), "it has variables"),
    ],
    ids=lambda value: None if isinstance(value, str) else getattr(value, "name", "function"),
)
def test_what_does_not_is_refused(layer: Any, fragment: str) -> None:
    with pytest.raises(SurgeryError) as caught:
        probe_elementwise(layer)
    assert fragment in str(caught.value)
