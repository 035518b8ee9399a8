"""WRN5: five Wide ResNets, of three depths and two widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.member import Member
from keras_mothernets.zoo.parts import apart
from keras_mothernets.zoo.wide_resnet import STAGES, wide_resnet

# (depth, factor for the filters) of each member.
WRN5_SIZES = ((16, 4), (22, 4), (28, 4), (16, 8), (22, 8))


def wrn5(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build an ensemble of five Wide ResNets: WRN-16-4, 22-4, 28-4, 16-8 and 22-8.

    They differ in depth and in width. WRN-16-4 is the smallest in both, and so it is the MotherNet
    of all five.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for all filters.
        **options: `dropout` and `augment`, as in `zoo.wide_resnet`.

    Returns:
        Five `Member`s, named `WRN-<depth>-<factor at full width>`.

    Raises:
        MotherNetsError: As `zoo.wide_resnet`.

    Example:
        >>> for member in wrn5((8, 8, 3), 10, width=1 / 16):
        ...     print(member.label, f"{member.model.count_params():,}")
        WRN-16-4 11,361
        WRN-22-4 17,633
        WRN-28-4 23,905
        WRN-16-8 44,025
        WRN-22-8 68,665

    Source: Zagoruyko and Komodakis, "Wide residual networks" (2016). Departure: MotherNets (Wasay
    et al., MLSys 2020, appendix E) compares ensembles of Wide ResNets, but we do not know of which;
    these five are our choice.
    """
    last = STAGES[-1]
    # So narrow that both factors would be rounded to one filter, the larger one is larger.
    narrow, wide = (filters / last for filters in apart((4 * last, 8 * last), width))
    factors = {4: narrow, 8: wide}
    return [
        Member(
            wide_resnet(
                input_shape,
                num_classes,
                depth=depth,
                widen=factors[factor],
                width=width,
                name=f"WRN-{depth}-{factor}",
                **options,
            )
        )
        for depth, factor in WRN5_SIZES
    ]
