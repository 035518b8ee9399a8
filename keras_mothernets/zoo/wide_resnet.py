"""Wide residual networks: few units, many filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.zoo.parts import (
    begin,
    check_size,
    convolution,
    end,
    norm_relu,
    repeats,
    scaled_width,
)

# Filters of the first convolution, and of the three stages at `widen=1`.
STEM = 16
STAGES = (16, 32, 64)


def wide_resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    depth: int = 16,
    widen: float = 4,
    dropout: float = 0.0,
    width: float = 1.0,
    augment: bool = False,
    name: str = "wide_resnet",
) -> keras.Model:
    """Build a Wide ResNet (WRN-depth-widen) for images of 0 to 255.

    Units have two 3 x 3 convolutions, each behind its normalisation and ReLU. The first unit of
    every stage has a projection as shortcut, whatever the widths, so all networks agree.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        depth: Layers with weights, 6 n + 4: 10, 16, 22, 28, 40.
        widen: Factor for the filters of all stages, but not of the first convolution.
        dropout: Share of channels' numbers dropped between the convolutions of a unit.
        width: Multiplier for all filters, those of the first convolution too.
        augment: Whether training images are mirrored and moved by up to 4 pixels.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape or size is not as described, or no such depth exists.

    Example:
        >>> wide_resnet((8, 8, 1), 10, depth=10, widen=1).count_params()
        78298

    Source: Zagoruyko and Komodakis, "Wide residual networks" (2016). Departure: at `widen=1` the
    authors' first stage has no projection.
    """
    units = repeats(depth, per_round=6, extra=4, network="a Wide ResNet")
    check_size("widen", widen, whole=False)
    inputs, x = begin(input_shape, num_classes, width, augment)
    x = convolution(x, scaled_width(STEM, width), 3, "stem_conv")
    for stage, filters in enumerate(STAGES, start=1):
        for unit in range(1, units + 1):
            x = _unit(
                x,
                scaled_width(filters, widen * width),
                2 if stage > 1 and unit == 1 else 1,
                dropout,
                f"stage{stage}_unit{unit}",
                project=unit == 1,
            )
    return end(inputs, norm_relu(x, "last"), num_classes, name)


def _unit(x: Any, filters: int, strides: int, dropout: float, name: str, *, project: bool) -> Any:
    y = norm_relu(x, name, 1)
    shortcut = x
    if project:
        shortcut = convolution(y, filters, 1, f"{name}_shortcut", strides=strides)
    y = convolution(y, filters, 3, f"{name}_conv1", strides=strides)
    y = norm_relu(y, name, 2)
    if dropout:
        y = layers.Dropout(dropout, name=f"{name}_dropout")(y)
    y = convolution(y, filters, 3, f"{name}_conv2")
    return layers.Add(name=f"{name}_add")([shortcut, y])
