"""What all families of the zoo share: how they begin, how they end, and how width scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from keras_mothernets.errors import MotherNetsError

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
