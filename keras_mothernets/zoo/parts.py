"""What all families of the zoo share: how they begin, how they end, and how width scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.errors import MotherNetsError

# Of the moving statistics. With Keras' 0.99 they lag hundreds of steps behind the weights, and a
# network that was trained for a few short epochs is judged by the statistics of its beginnings.
MOMENTUM = 0.9

# Images are moved by at most this many pixels in each direction, as is usual for CIFAR.
SHIFT_PIXELS = 4


def scaled_width(size: int, width: float) -> int:
    """Number of filters or units at a width multiplier: rounded, and at least one.

    Args:
        size: Filters or units at full width.
        width: Multiplier, greater than 0.

    Returns:
        The nearest whole number, halves rounded up.

    Example:
        >>> scaled_width(64, 1 / 8), scaled_width(64, 0.001)
        (8, 1)
    """
    return max(1, int(size * width + 0.5))


def apart(sizes: Sequence[int], width: float) -> list[int]:
    """Keep sizes apart that a small width multiplier would round to one and the same.

    Members of an ensemble that differ in one size only would otherwise become copies.

    Args:
        sizes: Filters or units at full width, from the smallest on.
        width: Multiplier, greater than 0.

    Returns:
        Sizes at full width, each as given or, where it must be, as much larger as makes it at
        least one larger than the one before after `scaled_width`.

    Raises:
        MotherNetsError: The width is no positive number.

    Example:
        >>> apart([12, 16, 24], 1 / 4)  # scaled 3, 4, 6
        [12, 16, 24]
        >>> apart([12, 16, 24], 1 / 8)  # scaled 2, 3, 4: as given, they would be 2, 2, 3
        [12, 20, 28]
    """
    check_size("width", width, whole=False)
    result: list[int] = []
    smallest = 1
    for size in sizes:
        if scaled_width(size, width) < smallest:
            size = math.ceil((smallest - 0.5) / width)
            size += scaled_width(size, width) < smallest  # the quotient was rounded down
        smallest = scaled_width(size, width) + 1
        result.append(size)
    return result


def preprocess(x: Any, augment: bool) -> Any:
    """Scale pixels of 0 to 255 to -1 to 1 and, when asked, move and mirror training images.

    Shifts are a `RandomTranslation` by whole pixels (nearest neighbour, padded with the middle
    grey). The cheaper-looking `ZeroPadding2D` and `RandomCrop` will not do: Keras 3.15 draws one
    crop for the whole batch and at inference hands on the padded image uncropped.

    Args:
        x: Keras tensor of shape (batch, height, width, channels), values of 0 to 255.
        augment: Whether to add the random layers.

    Returns:
        Keras tensor of the same shape.
    """
    height, width = x.shape[1:3]
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    if augment:
        x = layers.RandomFlip("horizontal", name="flip")(x)
        x = layers.RandomTranslation(
            SHIFT_PIXELS / height,
            SHIFT_PIXELS / width,
            fill_mode="constant",
            interpolation="nearest",
            name="shift",
        )(x)
    return x


def hidden_units(x: Any, units: Sequence[int], width: float) -> Any:
    """Apply a run of Dense layers with ReLU.

    Args:
        x: Keras tensor of shape (batch, features).
        units: Units of each layer at full width.
        width: Multiplier.

    Returns:
        Keras tensor of shape (batch, last units).
    """
    for number, size in enumerate(units, start=1):
        dense = layers.Dense(scaled_width(size, width), activation="relu", name=f"dense{number}")
        x = dense(x)
    return x


def begin(
    input_shape: Sequence[int], num_classes: int, width: float, augment: bool
) -> tuple[Any, Any]:
    """Check what every image network takes, and make its input.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for the channels.
        augment: Whether training images are mirrored and moved.

    Returns:
        The input and the preprocessed image.

    Raises:
        MotherNetsError: One of them is not as described.
    """
    shape = check_image_shape(input_shape)
    check_size("num_classes", num_classes)
    check_size("width", width, whole=False)
    inputs = keras.Input(shape, name="image")
    return inputs, preprocess(inputs, augment)


def end(inputs: Any, x: Any, num_classes: int, name: str) -> keras.Model:
    """Make the model: mean over all pixels, then class probabilities."""
    x = layers.GlobalAveragePooling2D(name="global_pooling")(x)
    outputs = layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def convolution(x: Any, filters: int, kernel_size: int, name: str, *, strides: int = 1) -> Any:
    """Apply a `same` convolution without bias, as stands before or after a normalisation."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def norm(x: Any, name: str) -> Any:
    """Apply BatchNormalization."""
    return layers.BatchNormalization(momentum=MOMENTUM, name=name)(x)


def norm_relu(x: Any, name: str, number: int | str = "") -> Any:
    """Apply BatchNormalization and ReLU, named `<name>_norm<number>` and `<name>_relu<number>`."""
    return layers.ReLU(name=f"{name}_relu{number}")(norm(x, f"{name}_norm{number}"))


def repeats(depth: int, *, per_round: int, extra: int, network: str) -> int:
    """How many units a stage has in a network of three stages and a given depth.

    Args:
        depth: Layers with weights on the longest way, as papers count them.
        per_round: Layers of one unit in each of the three stages.
        extra: Layers outside of units.
        network: What the depth is of, for the message.

    Returns:
        Units per stage.

    Raises:
        MotherNetsError: No number of units gives that depth.

    Example:
        >>> repeats(20, per_round=6, extra=2, network="a ResNet")
        3
    """
    check_size("depth", depth)
    units, rest = divmod(depth - extra, per_round)
    if rest or units < 1:
        near = [per_round * count + extra for count in (max(1, units), max(1, units) + 1)]
        raise MotherNetsError(
            f"`depth` of {network} must be {per_round} n + {extra}",
            expected=f"for example {near[0]} or {near[1]}",
            received=repr(depth),
        )
    return units


def check_image_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Check the shape of one image.

    Args:
        input_shape: Should be (height, width, channels).

    Returns:
        The same as a tuple of three positive numbers.

    Raises:
        MotherNetsError: It is anything else.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise MotherNetsError(
            "`input_shape` is not the shape of an image",
            expected="(height, width, channels), all positive",
            received=str(shape),
        )
    return shape


def check_list(name: str, value: object) -> None:
    """Check that sizes come as a list or tuple.

    Raises:
        MotherNetsError: They do not.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise MotherNetsError(f"`{name}` must be a list", received=repr(value))


def check_size(name: str, value: float, *, whole: bool = True) -> None:
    """Check that a number of units, filters or classes, or a multiplier, is positive.

    Args:
        name: The argument's name, for the message.
        value: What was given.
        whole: Whether it must be a whole number.

    Raises:
        MotherNetsError: It is not positive, or not whole where it must be.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or value <= 0
    ):
        kind = "a whole number of at least 1" if whole else "a number greater than 0"
        raise MotherNetsError(f"`{name}` must be {kind}", received=repr(value))
