"""Axes merged into other axes, or taken apart, without moving a number: what a reshape does."""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.errors import SurgeryError
from keras_mothernets.rules.axes import Atom, Axis, Product, axis_parts
from keras_mothernets.rules.spaces import Size, Spaces


def regroup(
    axes: Sequence[Axis], wanted: Sequence[tuple[Size, Size]], spaces: Spaces
) -> tuple[Axis, ...]:
    """Spread what axes are made of over other axes.

    Args:
        axes: The axes, the last one fastest.
        wanted: Sizes of the other axes in the mother and in the member.
        spaces: Where an atom that is too large is taken apart.

    Returns:
        Axes of the wanted sizes.

    Raises:
        SurgeryError: An axis would end within an atom that cannot be taken apart there.
    """
    factors = [factor for axis in axes for factor in _factors(axis, spaces)]
    left = [factor for factor in factors if spaces.size(factor) != (1, 1)]
    made = tuple(_fill_axis(left, sizes, spaces) for sizes in wanted)
    if left:
        raise _mixed(spaces.size(left[0]))
    return made


def in_groups(axis: Axis, groups: tuple[int, int], spaces: Spaces) -> tuple[Axis, Axis]:
    """Take an axis apart into the axis of its groups and the one inside a group.

    Args:
        axis: The axis.
        groups: Numbers of groups in the mother and in the member.
        spaces: Where an atom is taken apart. If widths are still sought, the axis is first
            lowered until it falls into groups.

    Raises:
        SurgeryError: The axis is made of others which do not fall into these groups.
    """
    spaces.fall_into(axis, groups[0])
    ours, theirs = (
        None if size is None else size // number
        for size, number in zip(spaces.size(axis), groups, strict=True)
    )
    try:
        group, inside = regroup([axis], [groups, (ours, theirs)], spaces)
    except SurgeryError as error:
        raise SurgeryError(
            "Groups of channels do not fall together with what the layers before make",
            expected=f"{groups[0]} and {groups[1]} groups of channels that lie side by side",
            received=f"{_text(spaces.size(axis))} channels made of several parts",
            fix="Give it one number of groups in all networks",
        ) from error
    return group, inside


def _text(sizes: tuple[Size, Size]) -> str:
    return " and ".join("?" if size is None else str(size) for size in sizes)


def _factors(axis: Axis, spaces: Spaces) -> list[Axis]:
    axis = spaces.find(axis)
    if isinstance(axis, Product):
        return [factor for part in axis_parts(axis) for factor in _factors(part, spaces)]
    return [axis]


def _fill_axis(left: list[Axis], wanted: tuple[Size, Size], spaces: Spaces) -> Axis:
    """Take factors off the front of `left` until they make up an axis of the wanted sizes."""
    if wanted == (1, 1):
        return spaces.fixed(1, 1, "a reshape makes it")
    if left and spaces.size(left[0]) == wanted:
        return left.pop(0)
    taken: list[Axis] = []
    missing = wanted
    while missing != (1, 1):
        if not left or None in missing or None in spaces.size(left[0]):
            raise _mixed(wanted)
        factor = left.pop(0)
        if not _divides(spaces.size(factor), missing):
            factor, rest = _take_apart(factor, missing, spaces)
            left.insert(0, rest)
        taken.append(factor)
        missing = _ratio(missing, spaces.size(factor))
    return taken[0] if len(taken) == 1 else Product(tuple(taken))


def _take_apart(factor: Axis, first: tuple[Size, Size], spaces: Spaces) -> tuple[Axis, Axis]:
    """Refine an atom into a piece of the given sizes and the rest."""
    have = spaces.size(factor)
    if not isinstance(factor, Atom) or not _divides(first, have):
        raise _mixed(first)
    one, other = spaces.refine(factor, [first, _ratio(have, first)])
    return one, other


def _divides(small: tuple[Size, Size], large: tuple[Size, Size]) -> bool:
    return all(bool(s) and (n or 0) % (s or 1) == 0 for s, n in zip(small, large, strict=True))


def _ratio(large: tuple[Size, Size], small: tuple[Size, Size]) -> tuple[Size, Size]:
    return (large[0] or 0) // (small[0] or 1), (large[1] or 0) // (small[1] or 1)


def _mixed(sizes: tuple[Size, Size]) -> SurgeryError:
    return SurgeryError(
        "A reshape mixes channels with other axes",
        expected="every new axis to be a run of whole old ones, or an even part of one",
        received=f"an axis of size {sizes[1]} (in the smaller network {sizes[0]})",
        fix="Reshape so that the channels keep an axis of their own",
    )
