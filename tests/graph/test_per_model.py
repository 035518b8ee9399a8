"""What is found out about models is forgotten when they change, and only then."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from keras_mothernets.graph import PerModel, read, reading_once


def nested() -> keras.Model:
    """A model whose dropout stands inside of another model."""
    inner = [keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dropout(0.5, name="drop")]
    body = keras.Sequential([keras.Input((4,)), *inner], name="body")
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(body(inputs)))


CHANGES: dict[str, Callable[[keras.Model], object]] = {
    "a layer is frozen": lambda model: setattr(model.get_layer("head"), "trainable", False),
    "a rate inside of a nested model": lambda model: setattr(
        model.get_layer("body").get_layer("drop"), "rate", 0.1
    ),
    "an activation": lambda model: setattr(
        model.get_layer("head"), "activation", keras.activations.tanh
    ),
    "the whole model is frozen": lambda model: setattr(model, "trainable", False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_known_of_a_changed_model_is_forgotten(change) -> None:
    asked: list[keras.Model] = []
    known = PerModel(lambda model: len(asked) if asked.append(model) is None else 0)
    changed, other = nested(), nested()
    assert (known(changed), known(other), known(changed)) == (1, 2, 1)
    change(changed)
    known.forget_changed()
    assert (known(other), known(changed)) == (2, 3)


def test_weights_calls_and_training_change_nothing() -> None:
    model = nested()
    asked: list[keras.Model] = []
    known = PerModel(asked.append)
    known(model)
    model.set_weights([np.ones(weight.shape) for weight in model.weights])
    model(np.ones((2, 4)))
    known.forget_changed()
    known(model)
    assert len(asked) == 1
    known.clear()
    known(model)
    assert len(asked) == 2


def test_a_model_is_read_once_inside_and_anew_outside() -> None:
    model = nested()
    with reading_once():
        first = read(model)
        with reading_once():
            assert read(model) is first
        assert read(model) is first, "the inner one must not end the outer one"
    assert read(model) is not first


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_model_that_changes_inside_is_read_anew(change) -> None:
    model = nested()
    with reading_once():
        before = read(model)
        change(model)
        after = read(model)
    assert after is not before
    configs = [[node.config for node in each.nodes] for each in (before, after)]
    assert configs[0] != configs[1]
