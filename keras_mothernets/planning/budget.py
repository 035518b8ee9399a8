"""How much time a user has, as text or as a number."""

from __future__ import annotations

import math
import re
from typing import Any

from keras_mothernets.errors import MotherNetsError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"(?:\s*(\d+(?:\.\d+)?)\s*([smhd]))+\s*")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def seconds_of(budget: Any) -> float:
    """A time in seconds.

    Args:
        budget: Seconds as a number, or a text such as "90s", "30m", "2h", "1h30m", "1d".

    Raises:
        MotherNetsError: It is no time above 0.

    Example:
        >>> seconds_of("1h30m"), seconds_of(90)
        (5400.0, 90.0)
    """
    seconds = math.nan
    if isinstance(budget, str) and _TEXT.fullmatch(budget):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(budget))
    elif isinstance(budget, (int, float)) and not isinstance(budget, bool):
        seconds = float(budget)
    if not 0 < seconds < math.inf:
        raise MotherNetsError(
            "`budget` is no time",
            expected="seconds as a number above 0, or a text such as '90s', '30m' or '1h30m'",
            received=repr(budget),
        )
    return seconds
