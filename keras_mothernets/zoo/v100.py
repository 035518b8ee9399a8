"""V100 and V25: a hundred variants of VGG16, and the first 25 of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.member import Member
from keras_mothernets.zoo.vgg import vgg
from keras_mothernets.zoo.vgg16_variants import vgg16_variants


def v25(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build the ensemble V25: VGG16 with one or two layers changed, in 25 ways.

    Each of the 13 convolutions is changed in some members and not in others, so their MotherNet is
    VGG16 itself, which is not a member. All 25 are built at once: at full width they take 2.3 GB of
    memory before anything is trained.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for all filters. The members differ at any width.
        **options: `batch_norm`, `head` and `augment`, as in `zoo.vgg`.

    Returns:
        25 `Member`s, named by what is changed in which convolutions: `VGG16-kernel-5-9`.

    Raises:
        MotherNetsError: As `zoo.vgg`.

    Example:
        >>> members = v25((8, 8, 3), 10, width=1 / 32)
        >>> len(members), members[0].label, f"{members[0].model.count_params():,}"
        (25, 'VGG16-both-10-13', '38,700')

    Source: MotherNets (Wasay et al., MLSys 2020), ensemble V25. Departures: which variants, and by
    how much they differ, is our choice (the first 25 of `zoo.v100`); and see `zoo.vgg`.
    """
    return _variants(25, input_shape, num_classes, width, options)


def v100(
    input_shape: Sequence[int], num_classes: int, *, width: float = 1.0, **options: Any
) -> list[Member]:
    """Build the ensemble V100: VGG16 with one or two layers changed, in a hundred ways.

    A change is twice the filters, a 5 x 5 kernel, or both. The hundred are drawn from all 273 such
    variants, always the same. Their MotherNet is VGG16 itself, which is not a member. All are built
    at once: at full width they take 9 GB of memory before anything is trained.

    Args:
        input_shape: (height, width, channels) of an image.
        num_classes: Number of classes.
        width: Multiplier for all filters. The members differ at any width.
        **options: `batch_norm`, `head` and `augment`, as in `zoo.vgg`.

    Returns:
        100 `Member`s, named by what is changed in which convolutions: `VGG16-kernel-5-9`.

    Raises:
        MotherNetsError: As `zoo.vgg`.

    Example:
        >>> names = list(vgg16_variants(100))  # `v100` takes seconds even for narrow networks
        >>> names[0], names[99]
        ('VGG16-both-10-13', 'VGG16-filters-3-13')

    Source: MotherNets (Wasay et al., MLSys 2020), ensemble V100. Departures: the paper says in what
    variants may differ, and not by how much or which were drawn; that is our choice. Of the network
    itself see `zoo.vgg`.
    """
    return _variants(100, input_shape, num_classes, width, options)


def _variants(
    count: int,
    input_shape: Sequence[int],
    num_classes: int,
    width: float,
    options: dict[str, Any],
) -> list[Member]:
    return [
        Member(vgg(input_shape, num_classes, blocks, width=width, name=name, **options))
        for name, blocks in vgg16_variants(count, width=width).items()
    ]
