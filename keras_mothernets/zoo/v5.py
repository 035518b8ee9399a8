"""V5: the five VGG variants that the paper trains as its first ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.member import Member
from keras_mothernets.zoo.vgg import Block, vgg

# Convolutions as (kernel size, filters), block by block.
V5_BLOCKS: dict[str, tuple[Block, ...]] = {
    "V13": (
        [(3, 64)] * 2,
        [(3, 128)] * 2,
        [(3, 256)] * 2,
        [(3, 512)] * 2,
        [(3, 512)] * 2,
    ),
    "V16": (
        [(3, 64)] * 2,
        [(3, 128)] * 2,
        [(3, 256)] * 2 + [(1, 256)],
        [(3, 512)] * 2 + [(1, 512)],
        [(3, 512)] * 2 + [(1, 512)],
    ),
    "V16A": (
        [(3, 128)] * 2,
        [(3, 128)] * 2,
        [(3, 128)] * 2 + [(1, 256)],
        [(3, 512)] * 2 + [(1, 512)],
        [(3, 256)] * 2 + [(1, 512)],
    ),
    "V16B": (
        [(3, 64)] * 2,
        [(3, 128)] * 2,
        [(3, 256)] * 3,
        [(3, 512)] * 3,
        [(3, 512)] * 3,
    ),
    "V19": (
        [(3, 64)] * 2,
        [(3, 128)] * 2,
        [(3, 256)] * 4,
        [(3, 512)] * 4,
        [(3, 512)] * 4,
    ),
}


def v5(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build the ensemble V5: V13, V16, V16A, V16B and V19, five variants of VGG.

    They differ in depth, in width (V16A) and in kernel size (V16 and V16A end blocks with 1 x 1
    convolutions). Together their MotherNet has 10 convolutions; without V16A it would be V13.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for all filters: 1 is the paper's, 1/8 trains on two CPU cores.
        **options: `batch_norm`, `head` and `augment`, as in `zoo.vgg`.

    Returns:
        Five `Member`s, in the order above.

    Raises:
        MotherNetsError: As `zoo.vgg`.

    Example:
        >>> for member in v5((32, 32, 3), 10, width=1 / 8):
        ...     print(member.label, f"{member.model.count_params():,}")
        V13 149,218
        V16 159,074
        V16A 103,994
        V16B 232,802
        V19 316,386

    Source: MotherNets (Wasay et al., MLSys 2020), table of ensemble V5. Departures: see `zoo.vgg`.
    """
    return [
        Member(vgg(input_shape, num_classes, blocks, width=width, name=name, **options))
        for name, blocks in V5_BLOCKS.items()
    ]
