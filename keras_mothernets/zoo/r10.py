"""R10: ten ResNets, two variants each of the five depths of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.member import Member
from keras_mothernets.zoo.parts import apart
from keras_mothernets.zoo.resnet import STAGES, resnet

R10_DEPTHS = (20, 32, 44, 56, 110)

# Filters of the wide variant, in those of the plain one.
WIDE = 2


def r10(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build the ensemble R10: ResNet-20, 32, 44, 56 and 110, each plain and with twice the filters.

    ResNet-20 is the smallest in depth and width, and so it is the MotherNet of all ten.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for all filters.
        **options: `augment`, as in `zoo.resnet`.

    Returns:
        Ten `Member`s by depth: `ResNet-20`, `ResNet-20-wide`, `ResNet-32`, ...

    Raises:
        MotherNetsError: As `zoo.resnet`.

    Example:
        >>> for member in r10((8, 8, 3), 10, width=1 / 8)[:4]:
        ...     print(member.label, f"{member.model.count_params():,}")
        ResNet-20 4,752
        ResNet-20-wide 17,926
        ResNet-32 8,000
        ResNet-32-wide 30,470

    Source: MotherNets (Wasay et al., MLSys 2020), ensemble R10; He et al., "Deep residual learning
    for image recognition" (2016). Departure: the paper does not say in what the two variants of a
    depth differ; that the second has twice the filters is our choice.
    """
    # So narrow that plain and wide would both be rounded to one filter, the wide one is wider.
    plain, wide = apart((STAGES[-1], WIDE * STAGES[-1]), width)
    widths = {"": width, "-wide": width * wide / plain}
    return [
        Member(
            resnet(
                input_shape,
                num_classes,
                depth=depth,
                width=variant_width,
                name=f"ResNet-{depth}{suffix}",
                **options,
            )
        )
        for depth in R10_DEPTHS
        for suffix, variant_width in widths.items()
    ]
