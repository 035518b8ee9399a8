"""Which branches of two regions correspond: the matching that shares the most parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from keras_mothernets.graph import Chain, Node, Region
from keras_mothernets.rules import Refusal, rule_for
from keras_mothernets.surgery.insertion import is_scaled, joins_channels, zero_point
from keras_mothernets.surgery.pairs import Alignment, BranchPair

# More branches than these are matched in their order: the search doubles with each of them.
MOST_UNORDERED = 8

Align = Callable[[Chain, Chain], Alignment | Refusal]
Branches = tuple[tuple[BranchPair, ...], list[Alignment]]


def meet_branches(
    first: Region, second: Region, align: Align, *, may_drop: bool
) -> Branches | Refusal:
    """Match the branches of two regions; what only one has must be able to give nothing.

    Where the merge does not care for the order of its inputs (a sum), any branch may meet any;
    else they meet in their order.

    Args:
        first: A region with branches.
        second: Another one.
        align: Aligns two branches.
        may_drop: Whether the first may have a branch that the second lacks.

    Returns:
        The pairs of branches, and the alignments of those that both have.
    """
    match = _Matching(first, second, align, may_drop)
    straight = match.straight()
    if straight is not None:
        return straight
    best = match.best()
    if best is not None:
        return best
    refused = [found for found in match.aligned.values() if isinstance(found, Refusal)]
    same_number = len(first.branches) == len(second.branches)
    return refused[0] if refused and same_number else match.reason


@dataclass(frozen=True)
class _Partial:
    """A matching of some branches: its score (parameters, pairs), its pairs and alignments."""

    score: tuple[int, int] = (0, 0)
    pairs: tuple[BranchPair, ...] = ()
    alignments: tuple[Alignment, ...] = ()

    def matched(self, pair: BranchPair, found: Alignment) -> _Partial:
        """With one more pair of branches."""
        score = (self.score[0] + found.params, self.score[1] + 1)
        return _Partial(score, (*self.pairs, pair), (*self.alignments, found))

    def alone(self, pair: BranchPair) -> _Partial:
        """With a branch that only one region has."""
        return _Partial(self.score, (*self.pairs, pair), self.alignments)


@dataclass
class _Matching:
    """The dynamic programme over the branches of the first region, in their order."""

    first: Region
    second: Region
    align: Align
    may_drop: bool
    aligned: dict[tuple[int, int], Alignment | Refusal] = field(default_factory=dict)
    reason: Refusal = field(default_factory=lambda: Refusal("their branches do not correspond"))

    def found(self, i: int, j: int) -> Alignment | Refusal:
        """The alignment of two branches, computed once."""
        if (i, j) not in self.aligned:
            self.aligned[i, j] = self.align(self.first.branches[i], self.second.branches[j])
        return self.aligned[i, j]

    def straight(self) -> Branches | None:
        """Each branch with the one of its number, where no other order can be better."""
        if len(self.first.branches) != len(self.second.branches):
            return None
        found = [self.found(n, n) for n in range(len(self.first.branches))]
        good = [a for a in found if isinstance(a, Alignment)]
        if len(good) < len(found):
            return None
        filled = sum(bool(branch.items) for branch in self.first.branches)
        if self._any_order() and (filled > 1 or not all(a.is_whole for a in good)):
            return None
        return tuple(BranchPair(n, n, a.pairs) for n, a in enumerate(good)), good

    def best(self) -> Branches | None:
        """The best matching; None if there is none in which at least one pair meets."""
        states: dict[frozenset[int], _Partial] = {frozenset(): _Partial()}
        for i in range(len(self.first.branches)):
            following: dict[frozenset[int], _Partial] = {}
            for used, partial in states.items():
                for now, grown in self._choices(i, used, partial):
                    if now not in following or grown.score > following[now].score:
                        following[now] = grown
            states = following
        ends = [end for used, partial in states.items() if (end := self._end(used, partial))]
        best = max(ends, key=lambda end: end.score, default=None)
        return (best.pairs, list(best.alignments)) if best else None

    def _choices(
        self, i: int, used: frozenset[int], partial: _Partial
    ) -> Iterator[tuple[frozenset[int], _Partial]]:
        """What a branch of the first region can do: meet one that is free, or give nothing."""
        start = 0 if self._any_order() else max(used, default=-1) + 1
        for j in range(start, len(self.second.branches)):
            found = self.found(i, j) if j not in used else None
            if isinstance(found, Alignment):
                yield used | {j}, partial.matched(BranchPair(i, j, found.pairs), found)
        if self.may_drop:
            zeroed = _silenced(self.first, i)
            if not isinstance(zeroed, Refusal):
                yield used, partial.alone(BranchPair(i, None, zeroed=zeroed))

    def _end(self, used: frozenset[int], partial: _Partial) -> _Partial | None:
        """With the branches of the second region that are left, if each can give nothing."""
        for j in range(len(self.second.branches)):
            if j not in used:
                zeroed = _silenced(self.second, j)
                if isinstance(zeroed, Refusal):
                    self.reason = zeroed
                    return None
                partial = partial.alone(BranchPair(None, j, zeroed=zeroed))
        return partial if partial.alignments else None

    def _any_order(self) -> bool:
        assert self.first.merge is not None
        few = max(len(self.first.branches), len(self.second.branches)) <= MOST_UNORDERED
        return few and rule_for(self.first.merge).commutes(self.first.merge)


def _silenced(region: Region, number: int) -> Node | None | Refusal:
    """How a branch of one network only gives nothing: a zeroed node; None if none is needed."""
    assert region.merge is not None
    kind = rule_for(region.merge).merge
    if kind == "sum" and not (number == 0 and is_scaled(region.merge)):
        return zero_point(region.branches[number])
    if kind == "concat" and region.branches[number].items and joins_channels(region.merge):
        return None
    return Refusal(
        f"a further branch of {region.merge.kind} `{region.merge.name}` cannot be made to give"
        " nothing"
    )
