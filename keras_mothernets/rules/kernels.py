"""Where a small kernel must stand inside a larger one so that nothing changes.

Source: for TensorFlow's `same` padding the output at position p reads input
positions from p * stride - before, where `before` depends on the kernel. The
small kernel's taps must meet the same inputs, which fixes the offset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def kernel_offset(
    small: int,
    large: int,
    *,
    size: int | None,
    stride: int,
    dilation: int,
    padding: str,
) -> int | None:
    """Offset of a `small` kernel inside a `large` one along one axis.

    Args:
        small: Taps of the mother's kernel.
        large: Taps of the member's kernel.
        size: Number of input positions along the axis, None if unknown.
        stride: Stride of the convolution.
        dilation: Distance of neighbouring taps, in positions.
        padding: `"same"`, `"valid"` or `"causal"`.

    Returns:
        The number of taps by which the small kernel is moved, or None where no
        placement is exact.

    Example:
        >>> kernel_offset(3, 5, size=None, stride=1, dilation=1, padding="same")
        1
        >>> kernel_offset(1, 3, size=9, stride=2, dilation=1, padding="same")
        1
        >>> kernel_offset(1, 3, size=None, stride=2, dilation=1, padding="same") is None
        True
    """
    if small == large:
        return 0
    if large < small or padding == "valid":
        return None
    if padding == "causal":
        return large - small
    sizes = range(1, 4 * stride + large * dilation + 1) if size is None else [size]
    offsets = {_same_offset(small, large, size=n, stride=stride, dilation=dilation) for n in sizes}
    return offsets.pop() if len(offsets) == 1 else None


def transposed_kernel_offset(small: int, large: int, *, stride: int, padding: str) -> int | None:
    """Offset of a `small` kernel inside a `large` one for a transposed convolution."""
    if small == large:
        return 0
    if large < small:
        return None
    if padding == "same":
        offset = max(large - stride, 0) // 2 - max(small - stride, 0) // 2
        return offset if 0 <= offset <= large - small else None
    return 0 if large <= stride else None


def kernel_offsets(
    small: Sequence[int],
    large: Sequence[int],
    sizes: Sequence[int | None],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: str,
) -> tuple[int, ...] | None:
    """`kernel_offset` for every axis; None if one of them has no exact placement."""
    offsets = [
        kernel_offset(s, k, size=n, stride=st, dilation=d, padding=padding)
        for s, k, n, st, d in zip(small, large, sizes, strides, dilations, strict=True)
    ]
    if any(offset is None for offset in offsets):
        return None
    return tuple(offset for offset in offsets if offset is not None)


def _same_offset(small: int, large: int, *, size: int, stride: int, dilation: int) -> int | None:
    shift = _before(large, size, stride, dilation) - _before(small, size, stride, dilation)
    offset, rest = divmod(shift, dilation)
    return offset if rest == 0 and 0 <= offset <= large - small else None


def _before(taps: int, size: int, stride: int, dilation: int) -> int:
    """Padding that `same` puts before the first position."""
    reach = (taps - 1) * dilation + 1
    return max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2
