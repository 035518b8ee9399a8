"""Residual networks for small images: stages of units that add to what they were given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.zoo.parts import (
    begin,
    convolution,
    end,
    norm,
    norm_relu,
    repeats,
    scaled_width,
)

# Filters of the three stages; each but the first halves the resolution.
STAGES = (16, 32, 64)

# In a bottleneck the last convolution has this many times the filters of the others.
EXPANSION = 4


def resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    depth: int = 20,
    version: int = 1,
    width: float = 1.0,
    augment: bool = False,
    name: str = "resnet",
) -> keras.Model:
    """Build a ResNet for images of 0 to 255, of the kind made for CIFAR.

    Version 1 has units of two convolutions, and ReLU after the sum. Version 2 has bottlenecks of
    three convolutions, each behind its normalisation and ReLU, and nothing after the sum. Where
    a stage begins with other channels than the one before ends with, the shortcut is a
    projection (1 x 1 convolution). Which shortcuts are, depends on version and stage only, never
    on `width`, so all networks of a version agree.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        depth: Layers with weights: 6 n + 2 for version 1 (20, 32, 44, 56, 110), 9 n + 2 for
            version 2 (29, 56, 110, 164, 1001).
        version: 1 or 2.
        width: Multiplier for all filters; each is rounded, and at least 1.
        augment: Whether training images are mirrored and moved by up to 4 pixels.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape or size is not as described, or no such depth exists.

    Example:
        >>> resnet((32, 32, 3), 10, depth=20).count_params()  # 272,474 of them are trained
        274042

    Source: He et al., "Deep residual learning for image recognition" (2016) and "Identity mappings
    in deep residual networks" (2016). Departure: the first paper's CIFAR networks pad shortcuts
    with zeros; projections, its option B, cost 2,752 parameters more in all.
    """
    if version not in (1, 2):
        raise MotherNetsError("`version` must be 1 or 2", received=repr(version))
    per_round = 6 if version == 1 else 9
    units = repeats(depth, per_round=per_round, extra=2, network=f"a ResNet version {version}")
    inputs, x = begin(input_shape, num_classes, width, augment)
    x = convolution(x, scaled_width(STAGES[0], width), 3, "stem_conv")
    x = norm_relu(x, "stem") if version == 1 else x
    for stage, filters in enumerate(STAGES, start=1):
        for unit in range(1, units + 1):
            strides = 2 if stage > 1 and unit == 1 else 1
            label = f"stage{stage}_unit{unit}"
            filters_here = scaled_width(filters, width)
            if version == 1:
                x = _basic(x, filters_here, strides, label, project=stage > 1 and unit == 1)
            else:
                x = _bottleneck(x, filters_here, strides, label, project=unit == 1)
    x = x if version == 1 else norm_relu(x, "last")
    return end(inputs, x, num_classes, name)


def _basic(x: Any, filters: int, strides: int, name: str, *, project: bool) -> Any:
    shortcut = x
    if project:
        shortcut = convolution(x, filters, 1, f"{name}_shortcut", strides=strides)
        shortcut = norm(shortcut, f"{name}_shortcut_norm")
    y = convolution(x, filters, 3, f"{name}_conv1", strides=strides)
    y = norm_relu(y, name, 1)
    y = norm(convolution(y, filters, 3, f"{name}_conv2"), f"{name}_norm2")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([shortcut, y]))


def _bottleneck(x: Any, filters: int, strides: int, name: str, *, project: bool) -> Any:
    y = norm_relu(x, name, 1)
    shortcut = x
    if project:  # of what is normalised already, as in the authors' code
        shortcut = convolution(y, EXPANSION * filters, 1, f"{name}_shortcut", strides=strides)
    y = convolution(y, filters, 1, f"{name}_conv1", strides=strides)
    y = norm_relu(y, name, 2)
    y = convolution(y, filters, 3, f"{name}_conv2")
    y = norm_relu(y, name, 3)
    y = convolution(y, EXPANSION * filters, 1, f"{name}_conv3")
    return layers.Add(name=f"{name}_add")([shortcut, y])
