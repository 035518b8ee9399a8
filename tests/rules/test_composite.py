"""Layers made of layers, as tutorials write them, with a rule of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import pytest
from keras import layers
from networks import randomise

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import layer_variables, read
from keras_mothernets.rules import Axes, Copy, Role, Rule, Split, register_rule
from keras_mothernets.surgery import explain, hatch, max_deviation


@keras.saving.register_keras_serializable("keras_mothernets_tests")
class FeedForward(keras.layers.Layer):
    """Two Dense layers that Keras names."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: Any) -> None:
        options = {"dtype": self.dtype_policy}
        self.wide = layers.Dense(self.units, "tanh", **options)
        self.narrow = layers.Dense(input_shape[-1], **options)
        self.wide.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.units))

    def call(self, x: Any) -> Any:
        return self.narrow(self.wide(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class FeedForwardRule(Rule):
    width = "units"

    def flow(self, mother: Any, member: Any, inputs: Sequence[Axes], spaces: Any) -> Any:
        channels = inputs[0][-1]
        inside = spaces.new(mother.config["units"], member.config["units"])
        return (*inputs[0][:-1], spaces.new(*spaces.size(channels))), (inside,)

    def roles(
        self, mother: Any, member: Any, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        read, (inside,), made = inputs[0][-1], outputs[1], outputs[0][-1]
        return {
            "dense/kernel": (Split(read), Copy(inside)),
            "dense/bias": (Copy(inside),),
            "dense_1/kernel": (Split(inside), Copy(made)),
            "dense_1/bias": (Copy(made),),
        }

    def made_axis(self, node: Any, outputs: Sequence[Axes]) -> Any:
        return outputs[1][0]


register_rule(FeedForward, FeedForwardRule())


def network(units: int) -> keras.Model:
    inputs = keras.Input((4,))
    x = layers.Dense(units + 1)(inputs)
    return keras.Model(inputs, layers.Dense(2)(FeedForward(units, name="feed")(x)))


def test_variables_have_one_name_whatever_was_made_before() -> None:
    first, second = network(3), network(3)
    names = [list(layer_variables(model.get_layer("feed"))) for model in (first, second)]
    assert names[0] == names[1]
    assert names[0] == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_of_layers_grows(seed: int) -> None:
    mother, member = randomise(network(3), seed), randomise(network(5), seed + 10)
    assert max_deviation(mother, member) > 1e-3
    assert max_deviation(mother, hatch(mother, member, seed=seed)) <= 1e-10


class Forgetful(FeedForwardRule):
    """Knows nothing of the second layer's bias."""

    def roles(self, *arguments: Any) -> dict[str, tuple[Role, ...]]:
        roles = super().roles(*arguments)
        del roles["dense_1/bias"]
        return roles


def test_a_rule_that_forgets_a_variable_is_told_so() -> None:
    register_rule(FeedForward, Forgetful())
    try:
        with pytest.raises(SurgeryError, match="`feed`.*`dense_1/bias` no roles"):
            explain(network(3), network(5))
    finally:
        register_rule(FeedForward, FeedForwardRule())
    assert read(network(3)).num_params == network(3).count_params()
