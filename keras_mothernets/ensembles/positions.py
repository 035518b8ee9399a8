"""Some of the members, by position or name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mothernets.errors import MotherNetsError

Subset = Sequence[int | str] | np.ndarray


def positions_of(names: Sequence[str], members: Subset | None) -> np.ndarray:
    """Where the chosen members stand.

    Args:
        names: Names of all members, in their order.
        members: Positions or names, one of them several times if wanted; all by default.

    Raises:
        MotherNetsError: There is none, or one is not known.

    Example:
        >>> positions_of(("small", "large"), ["large", 0])
        array([1, 0])
    """
    if members is None:
        return np.arange(len(names))
    is_list = isinstance(members, Sequence | np.ndarray) and not isinstance(members, str)
    if not is_list or len(members) == 0:
        raise MotherNetsError(
            "`members` must be a list of at least one member",
            expected="positions or names",
            received=repr(members),
        )
    if isinstance(members, np.ndarray) and members.ndim == 1 and members.dtype.kind in "iu":
        if members.astype("uint64").max() < len(names):  # what is below 0 becomes very large
            return members.astype("int64")
    return np.array([_position(list(names), member) for member in members])


def _position(names: list[str], member: int | str) -> int:
    if isinstance(member, str) and member in names:
        return names.index(member)
    is_number = isinstance(member, (int, np.integer)) and not isinstance(member, bool)
    if is_number and 0 <= int(member) < len(names):
        return int(member)
    raise MotherNetsError(
        "A member is not known",
        expected=f"a position from 0 to {len(names) - 1}, or one of {names}",
        received=repr(member),
    )
