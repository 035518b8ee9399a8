"""The five small networks of the demo, which the command line knows as the ensemble `demo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets import zoo
from keras_mothernets.member import Member

# Convolutions as (kernel size, filters), block by block. The five differ in depth, width and
# kernel size; what they have in common is smaller than each of them. Without
# BatchNormalization the digits take long enough to learn for curves to show something.
NETWORKS: dict[str, list[list[tuple[int, int]]]] = {
    "deep": [[(3, 16)] * 2, [(3, 32)] * 2, [(3, 64)] * 2],
    "deeper": [[(3, 16)] * 3, [(3, 32)] * 3, [(3, 64)] * 2],
    "wide": [[(3, 32)], [(3, 64)], [(3, 128)]],
    "wide_deep": [[(3, 24)] * 2, [(3, 48)] * 2, [(3, 96)]],
    "large_kernels": [[(5, 16)], [(5, 32)], [(5, 64)]],
}


def demo(input_shape: Sequence[int], num_classes: int, **options: Any) -> list[Member]:
    """Make the five networks, untrained.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        **options: `width` and `augment`, as in `zoo.vgg`.
    """
    return [
        Member(zoo.vgg(input_shape, num_classes, blocks, batch_norm=False, name=name, **options))
        for name, blocks in NETWORKS.items()
    ]
