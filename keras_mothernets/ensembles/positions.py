"""Some of the members, told by position or by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mothernets.errors import MotherNetsError


def positions_of(members: Sequence[int | str] | np.ndarray, names: Sequence[str]) -> list[int]:
    """Positions of the members that are meant, in the order in which they are told.

    Args:
        members: Positions, names, or both.
        names: Names of all members.

    Raises:
        MotherNetsError: It is no list of at least one member, or one is not known.

    Example:
        >>> positions_of(["resnet", 0], ["vgg", "resnet"])
        [1, 0]
    """
    if (
        isinstance(members, str)
        or not isinstance(members, Sequence | np.ndarray)
        or not len(members)
    ):
        raise MotherNetsError(
            "`members` must be a list of at least one member",
            expected="positions or names",
            received=repr(members),
        )
    return [_position(member, list(names)) for member in members]


def _position(member: int | str, names: list[str]) -> int:
    if isinstance(member, str) and member in names:
        return names.index(member)
    is_number = isinstance(member, int | np.integer) and not isinstance(member, bool)
    if is_number and 0 <= int(member) < len(names):
        return int(member)
    raise MotherNetsError(
        "A member is not known",
        expected=f"a position from 0 to {len(names) - 1}, or one of {names}",
        received=repr(member),
    )
