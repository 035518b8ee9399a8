"""What MotherNets are by default, and what their settings may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_mothernets.errors import MotherNetsError, whole_number

# Of the schedule of a mother who is no member: her rate is still high when members are hatched.
MOTHER_PART = 0.25
# Epochs of a member as a part of its mother's: behind a mother who was trained to her end it has
# to move away from her first; behind one who was not it has only to be annealed.
MEMBER_SHARE = {True: 1 / 2, False: 1 / 10}
# What goes beyond the paper, and what it usually is; a plan tells of it where it differs.
BEYOND: dict[str, Any] = {
    "mother_part": None,
    "mother_average": None,
    "member_rate": 1.0,
    "member_patience": None,
    "fresh_layers": 0,
    "new_channels": "copies",
    "tree": False,
    "chain": 0,
}


def number_of_clusters(count: Any, members: int) -> int:
    """A number of clusters that so many members can be divided into."""
    count = whole_number("n_clusters", count, 1)
    if count > members:
        raise MotherNetsError(
            "`n_clusters` is larger than the number of members",
            expected=f"1 to {members}",
            received=count,
        )
    return count


def if_given(check: Callable[..., Any], name: str, value: Any, *least: int, **limits: Any) -> Any:
    """A setting that is checked unless it is `None`."""
    return None if value is None else check(name, value, *least, **limits)


def truth(name: str, value: Any) -> bool:
    """A setting that is True or False."""
    if not isinstance(value, bool):
        raise MotherNetsError(f"`{name}` must be True or False", received=repr(value))
    return value
