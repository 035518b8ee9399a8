"""The arithmetic of growth: a variable of the mother becomes one of the member.

One function serves all layers. What it does along each axis is told by the
axis' role: copy entries, split a sum among copies, move taps into a larger
kernel, or keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.rules import Copy, Map, Maps, Role, Split, Taps


def grow(
    array: np.ndarray,
    roles: Sequence[Role],
    maps: Maps,
    shape: Sequence[int],
    generator: np.random.Generator,
    fresh: Callable[[], np.ndarray],
) -> np.ndarray:
    """Grow one variable.

    Args:
        array: The mother's value.
        roles: One role per axis.
        maps: The index maps of all channel axes.
        shape: Shape of the member's variable.
        generator: Source of the uneven splits among copies.
        fresh: Gives initial weights of `shape`, for channels that the mother lacks.

    Returns:
        An array of `shape`. Where nothing grows it is `array` itself.

    Raises:
        SurgeryError: The result would have another shape.
    """
    for position, role in enumerate(roles):
        if isinstance(role, Taps):
            array = _place_taps(array, position, role.offset, shape[position])
        elif isinstance(role, Copy):
            array = _copy(array, position, maps[role.axis], role.odd)
    for position, role in enumerate(roles):
        if isinstance(role, Split):
            array = _split(array, position, _made_axis(roles), maps[role.axis], generator)
    if array.shape != tuple(shape):
        raise SurgeryError(
            "A variable does not fit", expected=f"shape {tuple(shape)}", received=str(array.shape)
        )
    return _fill_missing(array, roles, maps, fresh)


def _fill_missing(
    array: np.ndarray, roles: Sequence[Role], maps: Maps, fresh: Callable[[], np.ndarray]
) -> np.ndarray:
    """Channels that the mother lacks: made with initial weights, and not listened to."""
    for kind in (Copy, Split):
        for position, role in enumerate(roles):
            channels = maps[role.axis] if isinstance(role, kind) else None
            if channels is None or not channels.missing.size:
                continue
            where: Any = (*[slice(None)] * position, channels.missing)
            array[where] = fresh()[where] if kind is Copy else 0.0
    return array


def _place_taps(array: np.ndarray, position: int, offset: int, size: int) -> np.ndarray:
    if array.shape[position] == size:
        return array
    padding = [(0, 0)] * array.ndim
    padding[position] = (offset, size - array.shape[position] - offset)
    return np.pad(array, padding)


def _copy(array: np.ndarray, position: int, channels: Map | None, odd: bool) -> np.ndarray:
    if channels is None or channels.is_identity:
        return array
    array = np.take(array, channels.index, axis=position)
    if odd and channels.sign is not None and channels.constant is None:
        array = array * _along(channels.sign.astype(array.dtype), position, array.ndim)
    return array


def _split(
    array: np.ndarray,
    position: int,
    made: int,
    channels: Map | None,
    generator: np.random.Generator,
) -> np.ndarray:
    """Give each copy of an input channel a share of its weights; the shares sum to one."""
    if channels is None or channels.is_identity:
        return array
    grown = np.take(array, channels.index, axis=position)
    rows = np.moveaxis(grown, position, 0)
    if rows.ndim == 1:
        rows = rows[:, None]
    # Where no axis is left that makes outputs, the last of the others tells shares apart.
    other = rows.ndim - 2 if made == position else made - (made > position)
    _share_out(rows, _groups(channels), other, generator)
    if channels.sign is not None:
        factor = channels.sign / (channels.constant or 1.0)
        grown = grown * _along(factor.astype(grown.dtype), position, grown.ndim)
    return grown


def _groups(channels: Map) -> np.ndarray:
    """A number for each channel; the copies of one thing have the same number."""
    if channels.constant is None or channels.sign is None:
        return channels.index
    # f(x) and f(-x) are different things, each of which has copies of its own.
    return channels.index * 2 + (channels.sign < 0)


def _share_out(
    rows: np.ndarray, groups: np.ndarray, made: int, generator: np.random.Generator
) -> None:
    """Replace equal rows by uneven shares that add up to them, in place.

    Equal shares would never come apart in training. The shares differ for each
    output, and they are multiples of the unit in the last place of the number
    that is shared, except the last one, which gets what is left. Thus they add
    up exactly, in float32 too.

    Args:
        rows: Weights of shape `(inputs, ...)`; rows of one group are equal.
        groups: The group of each row, shape `(inputs,)`.
        made: The axis of outputs, the first axis of `rows` not counted.
        generator: Source of the shares.
    """
    counts = np.bincount(groups + 1)[groups + 1]
    copies = np.flatnonzero((counts > 1) & (groups >= 0))
    if not copies.size:
        return
    copies = copies[np.argsort(groups[copies], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[copies], prepend=-1))
    ends = np.append(starts[1:], len(copies)) - 1
    shares = _uneven_shares(groups[copies], counts[copies], rows.shape[made + 1], starts, generator)
    shares = np.expand_dims(shares, tuple(n for n in range(1, rows.ndim) if n != made + 1))
    whole = rows[copies].astype("float64")
    unit = np.spacing(np.abs(rows[copies])).astype("float64")
    parts = np.rint(whole * shares / unit) * unit
    parts[ends] = whole[ends] - (np.add.reduceat(parts, starts, axis=0) - parts[ends])
    unheard = ~whole.any(axis=tuple(range(1, rows.ndim)))
    if unheard.any():
        parts[unheard] = _cancelling(groups[copies][unheard], parts[unheard].shape, rows, generator)
    rows[copies] = parts


def _cancelling(
    groups: np.ndarray, shape: Sequence[int], rows: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Small weights that add up to zero over each group, for copies that nothing listens to.

    No share of zero would tell them apart. A tenth of usual initial weights, in multiples of a
    power of two, so that their sums are exact.
    """
    scale = 0.1 / np.sqrt(rows.size / rows.shape[-1])
    quantum = 2.0 ** np.floor(np.log2(scale / 1024))
    parts = np.rint(generator.normal(0.0, scale, shape) / quantum) * quantum
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    ends = np.append(starts[1:], len(groups)) - 1
    parts[ends] -= np.add.reduceat(parts, starts, axis=0)
    return parts


def _uneven_shares(
    groups: np.ndarray,
    counts: np.ndarray,
    outputs: int,
    starts: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Positive shares of shape `(copies, outputs)` that sum to one over each group."""
    noise = generator.uniform(-0.5, 0.5, (len(groups), outputs))
    lengths = np.diff(np.append(starts, len(groups)))
    means = np.add.reduceat(noise, starts, axis=0) / lengths[:, None]
    return (1.0 + noise - np.repeat(means, lengths, axis=0)) / counts[:, None]


def _made_axis(roles: Sequence[Role]) -> int:
    """The axis of a variable that makes outputs: the last one that is copied."""
    made = [position for position, role in enumerate(roles) if isinstance(role, Copy)]
    return made[-1] if made else len(roles) - 1


def _along(vector: np.ndarray, position: int, rank: int) -> np.ndarray:
    return vector.reshape([-1 if axis == position else 1 for axis in range(rank)])
