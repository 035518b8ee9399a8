"""Which members cannot share a MotherNet, found out pair by pair and only where needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from keras_mothernets.clustering.vectors import skeleton
from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture


class Partings:
    """Pairs of members that must not meet in one cluster.

    Args:
        architectures: The members.
        share: Finds the MotherNet of some members, given as ascending numbers, or
            raises `SurgeryError`.
        generalize: Whether a pair speaks for all pairs that differ from it in
            widths only. Saves time where there are many members; a pair that
            could share a MotherNet just because it is wider is then kept apart.
    """

    def __init__(
        self,
        architectures: Sequence[Architecture],
        share: Callable[[tuple[int, ...]], object],
        *,
        generalize: bool,
    ) -> None:
        self._share = share
        keys = [skeleton(one) if generalize else n for n, one in enumerate(architectures)]
        kinds = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._kinds = np.array([kinds[key] for key in keys])
        self._known: dict[tuple[int, int], SurgeryError | None] = {}
        self._apart = np.zeros((len(keys), len(keys)), dtype=bool)

    def test(self, first: int, second: int) -> bool:
        """Whether two members share no MotherNet."""
        ours, theirs = kinds = self._kinds_of(first, second)
        if kinds not in self._known:
            self._known[kinds] = self._reason(first, second)
            if self._known[kinds] is not None:
                pairs = np.outer(self._kinds == ours, self._kinds == theirs)
                self._apart |= pairs | pairs.T
        return self._known[kinds] is not None

    def test_all(self, group: Sequence[int]) -> None:
        """Test all pairs of a cluster that cannot be."""
        for first, second in itertools.combinations(group, 2):
            self.test(first, second)

    def count(self, group: Sequence[int]) -> int:
        """Number of pairs in a cluster that are known to part."""
        if not self._apart.any():
            return 0
        members = list(group)
        return int(np.triu(self._apart[np.ix_(members, members)], 1).sum())

    def explain(self, group: Sequence[int]) -> tuple[tuple[int, int], SurgeryError] | None:
        """Two members of a cluster that part, and the error that says where; None if none do."""
        for first, second in itertools.combinations(group, 2):
            known = self._known.get(self._kinds_of(first, second))
            if known is not None:
                # Rather the reason why these two part than why others of their kinds do.
                return (first, second), self._reason(first, second) or known
        return None

    def _kinds_of(self, first: int, second: int) -> tuple[int, int]:
        ours, theirs = int(self._kinds[first]), int(self._kinds[second])
        return min(ours, theirs), max(ours, theirs)

    def _reason(self, first: int, second: int) -> SurgeryError | None:
        try:
            self._share((first, second))
        except SurgeryError as error:
            return error
        return None
