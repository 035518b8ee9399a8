"""Mobile networks for small images: wide inside, narrow between units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.zoo.parts import (
    begin,
    check_size,
    convolution,
    end,
    norm,
    scaled_width,
)

STEM = 32
LAST = 1280

# (expansion, filters, strides) of each stage's first unit; the other units have stride 1. The
# original halves the image five times; small images are spared the first two.
STAGES = ((1, 16, 1), (6, 24, 1), (6, 32, 2), (6, 64, 2), (6, 96, 1), (6, 160, 2), (6, 320, 1))

UNITS = (1, 2, 3, 4, 3, 3, 1)

# He's initialisation for the nine inputs that a pixel of a depthwise 3 x 3 convolution has. Keras'
# own `he_normal` would count the inputs of all channels, and fresh networks would fall silent.
DEPTHWISE_DEVIATION = math.sqrt(2 / 9)


def mobilenet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    units: Sequence[int] = UNITS,
    width: float = 1.0,
    augment: bool = False,
    name: str = "mobilenet",
) -> keras.Model:
    """Build a MobileNetV2 for small images of 0 to 255.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        units: Number of units in each of the seven stages.
        width: Multiplier for all filters; each is rounded (to whole numbers, not to multiples
            of eight), and at least 1.
        augment: Whether training images are mirrored and moved by up to 4 pixels.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape or size is not as described.

    Example:
        >>> narrow = mobilenet((8, 8, 1), 10, units=(1,) * 7, width=0.125)
        >>> [narrow.get_layer(f"stage{n}_unit1_project").filters for n in (1, 4, 7)]
        [2, 8, 40]

    Source: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018).
    Departure: three of the five strides are left.
    """
    if len(units) != len(STAGES):
        raise MotherNetsError(
            "`units` must say how many units each stage has",
            expected=f"{len(STAGES)} numbers",
            received=repr(units),
        )
    inputs, x = begin(input_shape, num_classes, width, augment)
    x = convolution(x, scaled_width(STEM, width), 3, "stem_conv")
    x = _norm_relu6(x, "stem", "")
    for stage, (count, (expansion, filters, strides)) in enumerate(
        zip(units, STAGES, strict=True), start=1
    ):
        check_size("units", count)
        for unit in range(1, count + 1):
            label = f"stage{stage}_unit{unit}"
            first = unit == 1
            y = _inverted_residual(
                x, expansion, scaled_width(filters, width), strides if first else 1, label
            )
            x = y if first else layers.Add(name=f"{label}_add")([x, y])
    x = _norm_relu6(convolution(x, scaled_width(LAST, width), 1, "last_conv"), "last", "")
    return end(inputs, x, num_classes, name)


def _inverted_residual(x: Any, expansion: int, filters: int, strides: int, name: str) -> Any:
    if expansion > 1:
        x = convolution(x, expansion * x.shape[-1], 1, f"{name}_expand")
        x = _norm_relu6(x, name, 1)
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=DEPTHWISE_DEVIATION),
        name=f"{name}_depthwise",
    )(x)
    x = _norm_relu6(x, name, 2)
    return norm(convolution(x, filters, 1, f"{name}_project"), f"{name}_norm3")


def _norm_relu6(x: Any, name: str, number: int | str) -> Any:
    return layers.ReLU(max_value=6.0, name=f"{name}_relu{number}")(norm(x, f"{name}_norm{number}"))
