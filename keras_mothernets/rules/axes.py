"""Axes as expressions: what an axis of a tensor is made up of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Atom:
    """An axis that stands for itself, told by a number."""

    number: int


@dataclass(frozen=True)
class Product:
    """An axis that runs over several axes, the last one fastest (Flatten, depthwise)."""

    factors: tuple[Axis, ...]


@dataclass(frozen=True)
class Concat:
    """An axis made of axes one after the other (Concatenate)."""

    parts: tuple[Axis, ...]


@dataclass(frozen=True)
class Paired:
    """An axis that holds f(x) and f(-x) for every x, where f(x) - f(-x) = constant * x."""

    axis: Axis
    constant: float


Axis = Atom | Product | Concat | Paired


def axis_parts(axis: Axis) -> tuple[Axis, ...]:
    """The axes of which an axis is made up; none for an atom."""
    if isinstance(axis, Product):
        return axis.factors
    if isinstance(axis, Concat):
        return axis.parts
    return (axis.axis,) if isinstance(axis, Paired) else ()
