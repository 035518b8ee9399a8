"""What lies in a few arrays, so that more can be appended without copying what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Parts are merged as long as one of at most so many bytes comes out: few parts make short look-ups,
# and what is larger, or lies in a mapped file, is never copied.
LARGEST_MERGED = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Stack:
    """Arrays that continue each other along an axis; it never changes, appending makes another.

    Args:
        parts: Contiguous arrays, equal but for the length of the axis.
        axis: Along which they continue: 0, for predictions, which are taken by `take`, or -1, for
            sums, which are taken by `at`.

    Example:
        >>> stack = Stack((np.array([[1, 2], [3, 4]]),)).append(np.array([[5, 6]]))
        >>> stack.take(np.array([2, 0]), np.array([1])).tolist()
        [[6], [2]]
        >>> stack = Stack((np.array([[1, 2], [3, 4]]),), -1).append(np.array([[7], [8]]))
        >>> stack.at(1, np.array([2, 0])).tolist()
        [8, 3]
    """

    parts: tuple[np.ndarray, ...]
    axis: int = 0

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def nbytes(self) -> int:
        """Size of all parts in bytes."""
        return sum(part.nbytes for part in self.parts)

    def append(self, part: np.ndarray) -> Stack:
        """These parts and one more.

        Small parts are merged with the one before while that is at most twice as large: a number
        is copied as often as its part doubles, a few times in all.
        """
        parts = [there for there in self.parts if there.size] + [part]
        while len(parts) > 1 and _may_merge(*parts[-2:]):
            parts[-2:] = [np.concatenate(parts[-2:], axis=self.axis)]
        return Stack(tuple(parts), self.axis)

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """What stands where these rows and columns cross, (rows, columns, ...)."""
        if len(self.parts) == 1:
            return _cross(self.parts[0], rows, columns)
        first = self.parts[0]
        taken = np.empty((len(rows), len(columns), *first.shape[2:]), first.dtype)
        for part, here, chosen in self._by_part(rows):
            taken[here] = _cross(part, chosen, columns)
        return taken

    def at(self, row: int, columns: np.ndarray) -> np.ndarray:
        """Some columns, the last axis, of a row, the first axis: (..., columns)."""
        if len(self.parts) == 1:
            return self.parts[0][row].take(columns, axis=-1)
        first = self.parts[0]
        taken = np.empty((*first.shape[1:-1], len(columns)), first.dtype)
        for part, here, chosen in self._by_part(columns):
            taken[..., here] = part[row].take(chosen, axis=-1)
        return taken

    def between(self, start: int, stop: int) -> np.ndarray:
        """From `start` to before `stop` along the axis, one contiguous array."""
        pieces = []
        for part, end in zip(self.parts, self._ends, strict=True):
            begin = end - part.shape[self.axis]
            if begin < stop and start < end:
                wanted = slice(max(start - begin, 0), stop - begin)
                pieces.append(part[wanted] if self.axis == 0 else part[..., wanted])
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=self.axis)
        return np.ascontiguousarray(whole)

    def _by_part(self, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Each part that has some of what is wanted, which, and where these stand in the part."""
        part_of = np.searchsorted(self._ends, wanted, side="right")
        for number in np.flatnonzero(np.bincount(part_of)):
            part = self.parts[number]
            here = np.flatnonzero(part_of == number)
            yield part, here, wanted[here] - (self._ends[number] - part.shape[self.axis])

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([part.shape[self.axis] for part in self.parts])


def _cross(part: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """As `part[np.ix_(rows, columns)]`, and some times faster."""
    cells = rows[:, None] * part.shape[1] + columns
    return part.reshape(-1, *part.shape[2:]).take(cells, axis=0)


def _may_merge(before: np.ndarray, last: np.ndarray) -> bool:
    is_small = before.nbytes + last.nbytes <= LARGEST_MERGED
    return is_small and before.nbytes <= 2 * last.nbytes
