"""Index maps: how the channels of a member come from those of its mother."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from keras_mothernets.rules.axes import Atom, Axis, Paired, Product, axis_parts


@dataclass(frozen=True)
class Map:
    """How the channels of a member come from those of the mother.

    Args:
        index: For each member channel the mother channel it copies, shape `(member_size,)`;
            -1 for a channel that the mother lacks.
        size: Number of channels in the mother.
        sign: +1 or -1 for each member channel; None where all are +1.
        constant: For an axis that holds f(x) and f(-x): the c of f(x) - f(-x) = c * x.
    """

    index: np.ndarray
    size: int
    sign: np.ndarray | None = None
    constant: float | None = None

    @property
    def missing(self) -> np.ndarray:
        """Positions of channels that the mother lacks."""
        return np.flatnonzero(self.index < 0)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is copied, moved or negated."""
        return (
            self.sign is None
            and len(self.index) == self.size
            and bool((self.index == np.arange(self.size)).all())
        )


@dataclass(frozen=True)
class Maps:
    """The index maps of a walk, for every axis."""

    _find: Callable[[Axis], Axis]
    _atoms: Mapping[int, Map | None]

    def __getitem__(self, axis: Axis) -> Map | None:
        """The map of an axis; None where its size is not known, so that nothing may move."""
        axis = self._find(axis)
        if isinstance(axis, Atom):
            return self._atoms[axis.number]
        maps = [self[part] for part in axis_parts(axis)]
        known = [part for part in maps if part is not None]
        if len(known) < len(maps):
            return None
        if isinstance(axis, Paired):
            return replace(known[0], constant=axis.constant)
        return _product(known) if isinstance(axis, Product) else _concat(known)


def _product(maps: list[Map]) -> Map:
    index, size = np.zeros(1, dtype=np.int64), 1
    sign: np.ndarray | None = None
    for factor in maps:
        lacking = (index[:, None] < 0) | (factor.index[None, :] < 0)
        index = index[:, None] * factor.size + factor.index[None, :]
        index = np.where(lacking, -1, index).reshape(-1)
        if sign is not None or factor.sign is not None:
            before = np.ones(len(index) // len(factor.index)) if sign is None else sign
            own = np.ones(len(factor.index)) if factor.sign is None else factor.sign
            sign = (before[:, None] * own[None, :]).reshape(-1)
        size *= factor.size
    constants = [factor.constant for factor in maps if factor.constant is not None]
    return Map(index, size, sign, constants[0] if constants else None)


def _concat(maps: list[Map]) -> Map:
    offsets = np.cumsum([0, *[part.size for part in maps]])
    index = np.concatenate(
        [
            np.where(part.index < 0, -1, part.index + offset)
            for part, offset in zip(maps, offsets, strict=False)
        ]
    )
    if all(part.sign is None for part in maps):
        return Map(index, int(offsets[-1]))
    signs = [np.ones(len(part.index)) if part.sign is None else part.sign for part in maps]
    return Map(index, int(offsets[-1]), np.concatenate(signs))
