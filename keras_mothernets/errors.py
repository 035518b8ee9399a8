"""The one base error of the package, and the shape that all its messages have."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any


class MotherNetsError(ValueError):
    """Base of every error that keras_mothernets raises on purpose.

    A message has up to four parts: what happened, what was expected, what was
    received, and how to mend it. Parts that would say nothing are left out.

    Args:
        problem: One clause that says what happened; names stand in backticks.
        expected: What would have been right.
        received: What came instead.
        fix: What the user can do about it.
        details: Lines to show below the message, a table for example.

    Example:
        >>> print(MotherNetsError("`epochs` must be positive", received=0))
        `epochs` must be positive. Received: 0.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        received: object = None,
        fix: str | None = None,
        details: str | None = None,
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.received = received
        self.fix = fix
        self.details = details
        super().__init__(problem)

    def __str__(self) -> str:
        parts = [self.problem]
        if self.expected is not None:
            parts.append(f"Expected: {self.expected}")
        if self.received is not None:
            parts.append(f"Received: {self.received}")
        if self.fix is not None:
            parts.append(self.fix)
        message = " ".join(part if part.endswith("?") else part.rstrip(".") + "." for part in parts)
        return message if self.details is None else f"{message}\n{self.details}"


class GraphError(MotherNetsError):
    """A model cannot be read: unbuilt, subclassed, or made of parts that have no rule.

    Example:
        >>> import keras, keras_mothernets as km
        >>> km.mothernet([keras.Sequential([keras.layers.Dense(2)], name="shapeless")])
        Traceback (most recent call last):
            ...
        keras_mothernets.errors.GraphError: ...
    """


class SurgeryError(MotherNetsError):
    """A change of a network that would not keep its function exactly.

    Example:
        >>> import keras, keras_mothernets as km
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3, name="one"), keras.layers.Dense(2)]
        >>> km.widen(keras.Sequential(layers), {"one": 2})
        Traceback (most recent call last):
            ...
        keras_mothernets.errors.SurgeryError: ...
    """


class DataError(MotherNetsError):
    """Training data that cannot be right: NaN, labels out of range, lengths that differ.

    Example:
        >>> import keras_mothernets as km
        >>> km.Predictions.of_classes([[[0.9, 0.3]]], [0])  # of two classes, 1.2 in all
        Traceback (most recent call last):
            ...
        keras_mothernets.errors.DataError: ...
    """


class RunError(MotherNetsError):
    """A run directory, plan or job that cannot go on.

    Example:
        >>> import keras_mothernets as km
        >>> km.EnsembleStatistics.load("no/such/folder")
        Traceback (most recent call last):
            ...
        keras_mothernets.errors.RunError: ...
    """


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say in whose name a block works: errors inside get `what` put before their problem.

    The inner function knows what is wrong, the outer one which member it is.

    Args:
        what: For example "member `vgg16`".

    Raises:
        MotherNetsError: The error of the block, of the same class, with the name added.
    """
    try:
        yield
    except MotherNetsError as error:
        error.problem = f"{what}: {error.problem}"
        raise


def whole_number(name: str, value: Any, least: int) -> int:
    """A setting that must be a whole number of at least so much, NumPy's included.

    Args:
        name: What the setting is called.
        value: What was given.
        least: The smallest number that is right.

    Raises:
        MotherNetsError: It is something else.

    Example:
        >>> whole_number("epochs", 3, 1)
        3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise MotherNetsError(
            f"`{name}` must be a whole number of at least {least}", received=repr(value)
        )
    return number


def finite_number(
    name: str, value: Any, *, most: float = math.inf, above: bool = False
) -> int | float:
    """A number of at least 0, as it was given.

    Args:
        name: Name of the argument, for the message.
        value: What was given.
        most: The largest that is allowed.
        above: Whether 0 itself is not allowed.

    Raises:
        MotherNetsError: It is no such number.

    Example:
        >>> finite_number("shrink", 0.5, most=1)
        0.5
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= most or (above and not value):
        limits = "of at least 0" if most == math.inf else f"from 0 to {most:g}"
        limits += ", and not 0" if above else ""
        raise MotherNetsError(f"`{name}` must be a finite number {limits}", received=repr(value))
    return value


def check_arguments(verb: str, given: Collection[str], known: Collection[str]) -> None:
    """Names of arguments must be known; of one that is not, the closest known name is said.

    Args:
        verb: Name of the function that was called.
        given: The names that were given.
        known: All names that there are.

    Raises:
        MotherNetsError: There is no argument of that name.
    """
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise MotherNetsError(
                f"`{verb}` has no argument `{name}`",
                expected=None if close else f"one of {', '.join(f'`{each}`' for each in known)}",
                fix=f"Did you mean `{close[0]}`?" if close else None,
            )


def reason_of(error: Exception) -> str:
    r"""The line of another library's error that says what was wrong, without what it wraps it in.

    Example:
        >>> reason_of(ValueError("Exception encountered when calling Add.call().\n\nToo few."))
        'Too few.'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    if lines and lines[0] == "Graph execution error:":  # then comes where, and then what
        where = ("Detected at node", "File ", "<stack traces")
        lines = [line for line in lines[1:] if not line.startswith(where)] or lines
    return lines[0] if lines else type(error).__name__
