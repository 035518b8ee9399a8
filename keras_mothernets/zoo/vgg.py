"""The VGG family: blocks of convolutions with a pooling after each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.zoo.parts import (
    MOMENTUM,
    begin,
    check_list,
    check_size,
    hidden_units,
    scaled_width,
)

# (kernel size, filters) of one convolution; a block is a run of them.
Block = Sequence[tuple[int, int]]


def vgg(
    input_shape: Sequence[int],
    num_classes: int,
    blocks: Sequence[Block],
    *,
    batch_norm: bool = True,
    width: float = 1.0,
    head: str | Sequence[int] = "global_pooling",
    augment: bool = False,
    name: str = "vgg",
) -> keras.Model:
    """Build a VGG network for images of 0 to 255.

    Each convolution (`same` padding) is followed by BatchNormalization and ReLU, each block by
    2 x 2 max pooling. Small images do not have room for a pooling after every block: then the
    *first* blocks go without, so that the image is not reduced to a point half-way. Where the
    poolings are depends on the image and the number of blocks only, so networks of one ensemble
    agree. Weight decay is left to the optimizer.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        blocks: For each block its convolutions as (kernel size, filters at full width).
        batch_norm: Whether there is BatchNormalization after each convolution; convolutions
            have a bias only where there is none.
        width: Multiplier for all filters and hidden units; each is rounded, and at least 1.
        head: "global_pooling", or the units of the Dense layers between Flatten and output,
            such as (4096, 4096).
        augment: Whether training images are mirrored and moved by up to 4 pixels. Right for
            photographs, wrong for digits and letters.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape, size or head is not as described.

    Example:
        >>> blocks = [[(3, 16)], [(3, 32), (3, 32)]]
        >>> vgg((8, 8, 1), 10, blocks, batch_norm=False).count_params()
        14378

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2015. Departures: BatchNormalization, and global pooling in place of the two
    hidden layers of 4096 units, which would hold nine tenths of the parameters.
    """
    inputs, x = begin(input_shape, num_classes, width, augment)
    check_list("blocks", blocks)
    if not blocks or not all(blocks):
        raise MotherNetsError("`blocks` must hold at least one block, each with a convolution")
    first_pooled = len(blocks) - _room_for_poolings(inputs.shape[1:])
    for number, block in enumerate(blocks):
        x = _convolutions(x, block, f"block{number + 1}", batch_norm, width)
        if number >= first_pooled:
            x = layers.MaxPooling2D(2, name=f"block{number + 1}_pool")(x)
    x = _head(x, head, width)
    outputs = layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def _room_for_poolings(shape: tuple[int, int, int]) -> int:
    """How often the shorter side of an image can be halved before it is one pixel."""
    return int(math.log2(min(shape[:2])))


def _convolutions(x: Any, block: Block, name: str, batch_norm: bool, width: float) -> Any:
    for number, (kernel_size, filters) in enumerate(block, start=1):
        check_size("kernel size", kernel_size)
        check_size("filters", filters)
        x = layers.Conv2D(
            scaled_width(filters, width),
            kernel_size,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            name=f"{name}_conv{number}",
        )(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return x


def _head(x: Any, head: str | Sequence[int], width: float) -> Any:
    if head == "global_pooling":
        return layers.GlobalAveragePooling2D(name="global_pooling")(x)
    if isinstance(head, str):
        raise MotherNetsError(
            "`head` is unknown",
            expected="'global_pooling' or the units of the hidden Dense layers",
            received=repr(head),
        )
    check_list("head", head)
    for units in head:
        check_size("head", units)
    return hidden_units(layers.Flatten(name="flatten")(x), head, width)
