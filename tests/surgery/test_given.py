"""What a mother takes from its members as it is: layers that all of them have frozen."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from networks import randomise

from keras_mothernets.mothernet import mothernet
from keras_mothernets.surgery import explain, hatch, lost_layers, max_deviation


def base(seed: int = 0, *, frozen: bool = True, width: int = 4) -> keras.Model:
    """A pretrained network, so to say."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, name="conv")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(x), name="base")
    randomise(model, seed)
    if frozen:
        model.trainable = False
    return model


def member(over: keras.Model, units: int, name: str) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(over(inputs))
    x = layers.Dense(units, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(3)(x), name=name)


def frozen_layers(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if not layer.trainable]


def test_a_base_that_all_share_is_kept_with_its_weights() -> None:
    shared = base()
    members = [member(shared, units, f"m{units}") for units in (5, 7)]
    mother = mothernet(members)
    assert frozen_layers(mother) == ["base_conv", "base_norm"]
    for name in ("conv", "norm"):
        pairs = zip(
            mother.get_layer(f"base_{name}").get_weights(),
            shared.get_layer(name).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    for model in members:
        assert lost_layers(explain(mother, model), mother, model) == []
        hatched = hatch(mother, model)
        assert not hatched.get_layer("base").trainable
        assert max_deviation(mother, hatched) <= 1e-10


def test_what_not_all_share_can_be_trained_in_the_mother() -> None:
    for other in (base(1), base(0, frozen=False), base(0, width=6)):
        members = [member(base(), 5, "one"), member(other, 7, "two")]
        mother = mothernet(members)
        assert frozen_layers(mother) == []
        assert lost_layers(explain(mother, members[0]), mother, members[0]) == [
            "base/conv",
            "base/norm",
        ]
