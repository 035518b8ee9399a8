"""Running sums over chunks of examples: a range costs one difference and a few examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keras_mothernets.ensembles.additive import ERRORS, kinds, member_sums, member_type, pair_sums
from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.pair_sums import PairSums, Ragged, pairs_of
from keras_mothernets.ensembles.stack import Stack
from keras_mothernets.ensembles.task import Task

# A range of a regression whose squares are less than this part of all of them is summed anew: a
# difference of running sums keeps 16 digits of the larger, and so 10 of its own.
SMALLEST_PART = 1e-5


@dataclass(eq=False)
class Cut:
    """A range, as two boundaries of chunks and the examples that these have wrong.

    Args:
        first: Number of the boundary next to its start.
        last: Number of the boundary next to its end.
        positions: Places in the order between its ends and these boundaries, (ragged,).
        signs: 1 where they are to be added, -1 where they are to be taken away, float32, since a
            factor of this type changes that of no sum, (ragged,).
    """

    first: int
    last: int
    positions: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True, eq=False)
class RunningSums:
    """Sums from the first example up to every boundary of a chunk, in one order of the examples.

    The sums of a range are those at the boundary next to its end, less those at the boundary
    next to its start, with at most half a chunk of single examples mended at each. A tree
    would add up twice the logarithm of the chunks; the difference costs two look-ups whatever
    the range. What a difference can lose is digits, where the range is a tiny part of
    the whole: probabilities are bounded, and for the errors of a regression such
    ranges are found and summed anew from the examples.

    Args:
        order: The examples in this order, (examples,).
        chunk: Examples of a chunk; the last may have fewer.
        pairs: At every boundary the sums of `pair_sums`, for members i and j <= i in column
            i (i + 1) / 2 + j, (chunks + 1, kinds, pairs). A new member appends columns.
        members: At every boundary the sums of `member_type`, (chunks + 1, members).

    Source:
        Wasay, Wei, Dayan & Idreos, Data Canopy: Accelerating Exploratory Statistical Analysis,
        2017, where the sums of chunks lie in segment trees.
    """

    order: np.ndarray
    chunk: int
    pairs: Stack
    members: Stack

    @classmethod
    def of(cls, examples: KeptExamples, order: np.ndarray, chunk: int) -> RunningSums:
        """Read all predictions once, chunk by chunk."""
        boundaries = -(-len(order) // chunk) + 1
        pairs = np.empty((boundaries, kinds(examples.task), 0))
        members = np.empty((boundaries, 0), member_type(examples.task, examples.width))
        return cls(order, chunk, Stack((pairs,), -1), Stack((members,), -1)).extend(examples)

    @property
    def nbytes(self) -> int:
        """Size in bytes, the order included."""
        return self.order.nbytes + self.pairs.nbytes + self.members.nbytes

    def extend(self, examples: KeptExamples) -> RunningSums:
        """With the members that are among the examples and not here: one pass over them."""
        first, count = len(self.members), examples.num_members
        everyone = np.arange(count)
        lower = np.tril_indices(count - first, k=first, m=count)  # what is appended, in its order
        boundaries = len(self.pairs.parts[0])
        pairs = np.zeros((boundaries, kinds(examples.task), len(lower[0])))
        members = np.zeros((boundaries, count - first), member_type(examples.task, examples.width))
        for number in range(boundaries - 1):
            here = self.order[number * self.chunk : (number + 1) * self.chunk]
            look = examples.look(everyone, here)
            new = look.since(first)
            pairs[number + 1] = pairs[number] + pair_sums(new, look)[:, *lower]
            members[number + 1] = member_sums(new)
            _add(members[number + 1], members[number])
        return replace(self, pairs=self.pairs.append(pairs), members=self.members.append(members))

    def sums_of_members(
        self, examples: KeptExamples, members: np.ndarray, start: int, stop: int
    ) -> np.ndarray:
        """Sums over places `start` to `stop` of the order, (members,), of `member_type`."""
        sums = self._member_sums(examples, members, self._cut(start, stop))
        if self._is_unbounded(examples, start, stop):
            whole = self.members.at(self._last, members)
            if (sums["squares"] < SMALLEST_PART * whole["squares"]).any():
                sums = self._member_sums(examples, members, _uncut(start, stop))
        return sums

    def _member_sums(self, examples: KeptExamples, members: np.ndarray, cut: Cut) -> np.ndarray:
        sums = self.members.at(cut.last, members)
        _add(sums, self.members.at(cut.first, members), sign=-1)
        if len(cut.positions):
            ragged = examples.look(members, self.order[cut.positions])
            _add(sums, member_sums(ragged, cut.signs))
        return sums

    def sums_of_pairs(
        self, examples: KeptExamples, members: np.ndarray, start: int, stop: int
    ) -> PairSums:
        """Sums over places `start` to `stop` of the order, for all pairs of some members."""
        sums = self._pair_sums(examples, members, stop - start, self._cut(start, stop))
        if self._is_unbounded(examples, start, stop) and self._has_lost_digits(members, sums):
            sums = self._pair_sums(examples, members, stop - start, _uncut(start, stop))
        return sums

    def _pair_sums(
        self, examples: KeptExamples, members: np.ndarray, count: int, cut: Cut
    ) -> PairSums:
        first, second = pairs_of(len(members))
        cells = _cells(members.take(first), members.take(second))
        ragged = None
        if len(cut.positions):
            ragged = Ragged(examples.look(members, self.order[cut.positions]), cut.signs)
        chunks = self.pairs.at(cut.last, cells) - self.pairs.at(cut.first, cells)
        terms = examples.width if examples.task is Task.NUMBERS else 1
        return PairSums(len(members), count, terms, chunks, ragged)

    def _is_unbounded(self, examples: KeptExamples, start: int, stop: int) -> bool:
        """Whether differences were taken of numbers that may be as large as they like."""
        return examples.task is Task.NUMBERS and stop - start > self.chunk

    def _has_lost_digits(self, members: np.ndarray, sums: PairSums) -> bool:
        whole = self.pairs.at(self._last, _cells(members, members))[ERRORS]
        own = sums.own * (sums.num_examples * sums.terms)
        return bool((own < SMALLEST_PART * whole).any())

    def _cut(self, start: int, stop: int) -> Cut:
        """The boundaries next to a range; a range of at most a chunk needs none."""
        if stop - start <= self.chunk:
            return _uncut(start, stop)
        first, after = self._nearest(start), self._nearest(stop)
        before_start, start_lacks = _between(start, min(first * self.chunk, len(self.order)))
        before_stop, stop_lacks = _between(stop, min(after * self.chunk, len(self.order)))
        signs = np.empty(len(before_start) + len(before_stop), "float32")
        signs[: len(before_start)] = -1.0 if start_lacks else 1.0
        signs[len(before_start) :] = 1.0 if stop_lacks else -1.0
        places = np.concatenate([before_start, before_stop])
        return Cut(first, after, places, signs)

    def _nearest(self, place: int) -> int:
        """The boundary next to a place; the last one stands after the last example."""
        if place == len(self.order):
            return self._last
        return min((place + self.chunk // 2) // self.chunk, self._last)

    @property
    def _last(self) -> int:
        """The last boundary."""
        return len(self.pairs.parts[0]) - 1


def _uncut(start: int, stop: int) -> Cut:
    return Cut(0, 0, np.arange(start, stop), np.ones(stop - start, "float32"))


def _between(end: int, boundary: int) -> tuple[np.ndarray, bool]:
    """Places between an end of a range and a boundary, and whether the boundary comes first."""
    return np.arange(min(end, boundary), max(end, boundary)), boundary < end


def _cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Columns of pairs of members, whichever of the two is the later."""
    later = np.maximum(first, second)
    return (later * (later + 1) >> 1) + np.minimum(first, second)


def _add(sums: np.ndarray, more: np.ndarray, sign: int = 1) -> None:
    """Add up named sums, or take some away."""
    for name in sums.dtype.names or ():
        sums[name] += sign * more[name]
