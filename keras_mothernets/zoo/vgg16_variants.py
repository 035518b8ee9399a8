"""Networks that differ from VGG16 in one or two layers, and the hundred of them that are V100."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from keras_mothernets.zoo.parts import apart
from keras_mothernets.zoo.v5 import V5_BLOCKS
from keras_mothernets.zoo.vgg import Block

# Configuration D of Simonyan and Zisserman, without its Dense layers.
VGG16_BLOCKS = V5_BLOCKS["V16B"]

# How a changed layer differs: factor for its filters, and how much larger its kernel is.
WAYS: dict[str, tuple[int, int]] = {"filters": (2, 0), "kernel": (1, 2), "both": (2, 2)}

# Of the drawing. Another seed would be another V100.
SEED = 2020


def vgg16_variants(count: int, *, width: float = 1.0) -> dict[str, tuple[Block, ...]]:
    """Draw distinct variants of VGG16: one or two of its 13 convolutions are changed in one way.

    The ways are `filters` (twice as many), `kernel` (5 x 5 in place of 3 x 3) and `both`. There
    are 3 x (13 + 78) = 273 such variants. They are drawn evenly and without replacement, always
    in the same order, so that fewer are the first of more.

    Args:
        count: How many, at most 273.
        width: Multiplier that the filters will be scaled with. Where that is so small that twice
            the filters would be rounded to the same number, it is one filter more.

    Returns:
        Blocks for `zoo.vgg` by name. `VGG16-kernel-11` has a larger kernel in its eleventh
        convolution; `VGG16-both-10-13` more filters and larger kernels in two of them.

    Example:
        >>> variants = vgg16_variants(4)
        >>> list(variants)
        ['VGG16-both-10-13', 'VGG16-kernel-5-9', 'VGG16-both-12-13', 'VGG16-filters-2-13']
        >>> variants["VGG16-kernel-5-9"][2]  # convolutions 5, 6 and 7, as (kernel size, filters)
        [(5, 256), (3, 256), (3, 256)]

    Source: MotherNets (Wasay et al., MLSys 2020), V100: a hundred networks, each distinct, made
    from VGG16 by more filters, larger filters or both in one or two layers. Departure: by how much,
    and which hundred, the paper does not say; that is our choice.
    """
    return {name: _changed(layers, way, width) for name, (way, layers) in _drawn(count)}


def _drawn(count: int) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    depth = sum(len(block) for block in VGG16_BLOCKS)
    numbers = range(1, depth + 1)
    choices = [
        (way, layers)
        for size in (1, 2)
        for layers in itertools.combinations(numbers, size)
        for way in WAYS
    ]
    # Of all that `random` offers, Python promises only `random()` to stay the same for a seed.
    generator = random.Random(SEED)
    choices.sort(key=lambda _: generator.random())
    for way, layers in choices[:count]:
        yield "-".join(["VGG16", way, *map(str, layers)]), (way, layers)


def _changed(layers: tuple[int, ...], way: str, width: float) -> tuple[Block, ...]:
    """The blocks of VGG16 with some convolutions, numbered from 1, changed."""
    factor, taps = WAYS[way]
    numbers = itertools.count(1)
    return tuple(
        [
            (kernel_size + taps, _times(filters, factor, width))
            if next(numbers) in layers
            else (kernel_size, filters)
            for kernel_size, filters in block
        ]
        for block in VGG16_BLOCKS
    )


def _times(filters: int, factor: int, width: float) -> int:
    return filters if factor == 1 else apart((filters, factor * filters), width)[1]
