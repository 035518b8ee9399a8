"""What arguments of the console command may be: each function reads one text, or refuses it."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least(smallest: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `smallest` on."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {smallest}, not {text!r}"
            )
        return value

    return whole_number


def _number(text: str, holds: Callable[[float], bool], words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not holds(value):  # false for NaN too
        raise argparse.ArgumentTypeError(f"must be {words}, not {text!r}")
    return value


def positive(text: str) -> float:
    """A type for argparse: numbers above 0."""
    return _number(text, lambda value: 0 < value < float("inf"), "a number greater than 0")


def not_negative(text: str) -> float:
    """A type for argparse: 0 and above."""
    return _number(text, lambda value: 0 <= value < float("inf"), "a number of at least 0")


def fraction(text: str) -> float:
    """A type for argparse: at least 0 and below 1."""
    return _number(text, lambda value: 0 <= value < 1, "at least 0 and less than 1")


def numbers(text: str) -> list[int]:
    """A type for argparse: `3`, `1..5` or `1,2,4`."""
    first, dots, last = text.partition("..")
    try:
        found = list(range(int(first), int(last) + 1)) if dots else [*map(int, text.split(","))]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be numbers such as 3, 1..5 or 1,2,4, not {text!r}")
    return found


def shape(text: str) -> tuple[int, ...]:
    """A type for argparse: whole numbers with commas between, as a tuple."""
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be sizes such as 32,32,3, not {text!r}")
    return sizes
