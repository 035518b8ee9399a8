"""Small vision transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.zoo.parts import begin, check_size, scaled_width


def vit(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    depth: int = 6,
    num_heads: int = 4,
    key_dim: int = 16,
    mlp_ratio: int = 4,
    patch_size: int = 4,
    dropout: float = 0.0,
    width: float = 1.0,
    augment: bool = False,
    name: str = "vit",
) -> keras.Model:
    """Build a vision transformer for images of 0 to 255.

    Patches become tokens of `num_heads` x `key_dim` channels; blocks of attention and of two Dense
    layers, each behind its LayerNormalization, add to them; the mean over tokens is classified.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        depth: Number of blocks.
        num_heads: Attention heads at full width.
        key_dim: Channels of each head.
        mlp_ratio: Units of a block's hidden Dense layer, in channels.
        patch_size: Side of a patch; must divide height and width.
        dropout: Rate after attention and after each Dense layer.
        width: Multiplier for the number of heads, and so for all channels.
        augment: Whether training images are mirrored and moved by up to 4 pixels.
        name: Name of the model.

    Returns:
        A built, uncompiled Functional model with output (batch, num_classes), probabilities.

    Raises:
        MotherNetsError: A shape or size is not as described.

    Example:
        >>> vit((8, 8, 1), 10, depth=1, num_heads=2, key_dim=4).count_params()
        1194

    Source: Dosovitskiy et al., "An image is worth 16x16 words" (2021). Departures: in place of a
    learned vector per position, a depthwise 3 x 3 convolution is added to the patches, whose zero
    padding tells where the borders are (Chu et al., "Conditional positional encodings for vision
    transformers", 2023); in place of a class token, the mean.
    """
    sizes = {"depth": depth, "num_heads": num_heads, "key_dim": key_dim, "mlp_ratio": mlp_ratio}
    for argument, size in {**sizes, "patch_size": patch_size}.items():
        check_size(argument, size)
    inputs, x = begin(input_shape, num_classes, width, augment)
    if x.shape[1] % patch_size or x.shape[2] % patch_size:
        raise MotherNetsError(
            "`patch_size` must divide the image's height and width",
            expected=f"a divisor of {x.shape[1]} and {x.shape[2]}",
            received=repr(patch_size),
        )
    heads = scaled_width(num_heads, width)
    x = _tokens(x, heads * key_dim, patch_size)
    for block in range(1, depth + 1):
        x = _attention(x, heads, key_dim, dropout, f"block{block}")
        x = _mlp(x, mlp_ratio, dropout, f"block{block}")
    x = layers.LayerNormalization(epsilon=1e-6, name="last_norm")(x)
    x = layers.GlobalAveragePooling1D(name="global_pooling")(x)
    outputs = layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def _tokens(x: Any, channels: int, patch_size: int) -> Any:
    patches = layers.Conv2D(channels, patch_size, strides=patch_size, name="patches")(x)
    positions = layers.DepthwiseConv2D(3, padding="same", name="positions")(patches)
    x = layers.Add(name="placed")([patches, positions])
    return layers.Reshape((x.shape[1] * x.shape[2], channels), name="tokens")(x)


def _attention(x: Any, heads: int, key_dim: int, dropout: float, name: str) -> Any:
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    y = layers.MultiHeadAttention(heads, key_dim, dropout=dropout, name=f"{name}_attention")(y, y)
    return layers.Add(name=f"{name}_add1")([x, _dropped(y, dropout, f"{name}_dropout1")])


def _mlp(x: Any, ratio: int, dropout: float, name: str) -> Any:
    channels = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = layers.Dense(ratio * channels, activation="gelu", name=f"{name}_dense1")(y)
    y = _dropped(y, dropout, f"{name}_dropout2")
    y = layers.Dense(channels, name=f"{name}_dense2")(y)
    return layers.Add(name=f"{name}_add2")([x, _dropped(y, dropout, f"{name}_dropout3")])


def _dropped(x: Any, dropout: float, name: str) -> Any:
    return layers.Dropout(dropout, name=name)(x) if dropout else x
