"""D5: the five DenseNets of the paper, of two depths and three growths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.member import Member
from keras_mothernets.zoo.densenet import densenet
from keras_mothernets.zoo.parts import apart

GROWTHS = (12, 16, 24)

# (depth, growth) of each member.
D5_SIZES = ((40, 12), (40, 24), (100, 12), (100, 16), (100, 24))


def d5(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build the ensemble D5: two DenseNets of 40 layers and three of 100.

    They differ in depth and in growth, the channels that every unit adds. The first, DenseNet-40
    of growth 12, is the smallest in both, and so it is the MotherNet of all five.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for growths and for the filters of the first convolution. Below 1/4 some
            growths are rounded up, so that all three still differ.
        **options: `bottleneck` and `augment`, as in `zoo.densenet`.

    Returns:
        Five `Member`s, named `DenseNet-<depth>-<growth at full width>`.

    Raises:
        MotherNetsError: As `zoo.densenet`.

    Example:
        >>> for member in d5((8, 8, 3), 10, width=1 / 12):
        ...     print(member.label, f"{member.model.count_params():,}")
        DenseNet-40-12 10,159
        DenseNet-40-24 68,407
        DenseNet-100-12 67,629
        DenseNet-100-16 227,133
        DenseNet-100-24 478,957

    Source: MotherNets (Wasay et al., MLSys 2020), ensemble D5; Huang et al., "Densely connected
    convolutional networks" (2017). Departure: the paper does not say whether its DenseNets have
    bottlenecks; here they do not, unless asked for.
    """
    growths = dict(zip(GROWTHS, apart(GROWTHS, width), strict=True))
    return [
        Member(
            densenet(
                input_shape,
                num_classes,
                depth=depth,
                growth=growths[growth],
                width=width,
                name=f"DenseNet-{depth}-{growth}",
                **options,
            )
        )
        for depth, growth in D5_SIZES
    ]
