"""Multi-layer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_mothernets.zoo.parts import check_list, check_size, hidden_units


def mlp(
    input_shape: Sequence[int],
    num_classes: int,
    hidden: Sequence[int] = (64, 64),
    *,
    width: float = 1.0,
    scale: float = 1.0,
    name: str = "mlp",
) -> keras.Model:
    """Build a perceptron with ReLU hidden layers and class probabilities at the end.

    Args:
        input_shape: Shape of one example; more than one axis is flattened.
        num_classes: Number of classes.
        hidden: Units of the hidden layers at full width; may be empty.
        width: Multiplier for all hidden units; each is rounded, and at least 1.
        scale: Factor for the inputs, for example 1 / 255 for images of 0 to 255.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes).

    Raises:
        MotherNetsError: A size is not a positive whole number.

    Example:
        >>> mlp((8, 8, 1), 10, hidden=(32, 16), scale=1 / 255).count_params()
        2778
    """
    check_list("input_shape", input_shape)
    check_list("hidden", hidden)
    for size in (*input_shape, num_classes, *hidden):
        check_size("input_shape, num_classes and hidden", size)
    check_size("width", width, whole=False)
    inputs = keras.Input(tuple(input_shape), name="image" if len(input_shape) == 3 else "features")
    x = inputs if math.isclose(scale, 1.0) else layers.Rescaling(scale, name="rescale")(inputs)
    x = layers.Flatten(name="flatten")(x) if len(input_shape) > 1 else x
    x = hidden_units(x, hidden, width)
    outputs = layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)
