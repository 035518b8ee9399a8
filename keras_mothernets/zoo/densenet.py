"""Densely connected networks: every unit adds channels to all that came before."""

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

# Filters of the first convolution without bottlenecks; with them it has twice the growth.
STEM = 16

BLOCKS = 3

# Filters of a bottleneck's 1 x 1 convolution, in growths.
BOTTLENECK = 4

# Share of the channels that a transition keeps in networks with bottlenecks.
COMPRESSION = 0.5


def densenet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    depth: int = 40,
    growth: int = 12,
    bottleneck: bool = False,
    width: float = 1.0,
    augment: bool = False,
    name: str = "densenet",
) -> keras.Model:
    """Build a DenseNet for images of 0 to 255, of the kind made for CIFAR.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        depth: Layers with weights: 3 n + 4 (40, 100), with bottlenecks 6 n + 4 (100, 190).
        growth: Channels that each unit adds.
        bottleneck: Whether it is a DenseNet-BC: a 1 x 1 convolution before each 3 x 3, and
            transitions that halve the channels.
        width: Multiplier for the growth and the first convolution's filters.
        augment: Whether training images are mirrored and moved by up to 4 pixels.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape or size is not as described, or no such depth exists.

    Example:
        >>> densenet((8, 8, 1), 10, depth=10, growth=4).count_params()
        8778

    Source: Huang et al., "Densely connected convolutional networks" (2017).
    """
    per_round = 6 if bottleneck else 3
    units = repeats(depth, per_round=per_round, extra=4, network="a DenseNet")
    check_size("growth", growth)
    inputs, x = begin(input_shape, num_classes, width, augment)
    growth = scaled_width(growth, width)
    stem = 2 * growth if bottleneck else scaled_width(STEM, width)
    x = convolution(x, stem, 3, "stem_conv")
    for block in range(1, BLOCKS + 1):
        for unit in range(1, units + 1):
            x = _unit(x, growth, bottleneck, f"block{block}_unit{unit}")
        if block < BLOCKS:
            x = _transition(x, COMPRESSION if bottleneck else 1.0, f"transition{block}")
    return end(inputs, norm_relu(x, "last"), num_classes, name)


def _unit(x: Any, growth: int, bottleneck: bool, name: str) -> Any:
    y = norm_relu(x, name, 1)
    if bottleneck:
        y = convolution(y, BOTTLENECK * growth, 1, f"{name}_conv1")
        y = norm_relu(y, name, 2)
    y = convolution(y, growth, 3, f"{name}_conv2" if bottleneck else f"{name}_conv1")
    return layers.Concatenate(name=f"{name}_concat")([x, y])


def _transition(x: Any, compression: float, name: str) -> Any:
    channels = max(1, int(x.shape[-1] * compression))
    y = convolution(norm_relu(x, name), channels, 1, f"{name}_conv")
    # Of images down to one pixel there is nothing left to pool.
    return layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(y)
