"""The best partition of a few members, by dynamic programming over all their subsets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

Group = tuple[int, ...]
Partition = tuple[Group, ...]
Cost = tuple[int, int]


def best_partition(
    cost: Callable[[Group], Cost], count: int, n_clusters: int, *, balanced: bool
) -> Partition:
    """Find the partition into clusters with the lowest total cost.

    The cluster of the first member left is chosen from all that are possible,
    the rest is a smaller problem of the same kind. This looks at 3**count cases
    at most, 6,561 for 8 members, and asks for the cost of each of the 2**count
    subsets once.

    Args:
        cost: Costs of a cluster, given as ascending member numbers: of partitions with equal
            totals of the first cost, the second decides.
        count: Number of members.
        n_clusters: Number of clusters, 1 to `count`.
        balanced: Whether cluster sizes may differ by at most one.

    Returns:
        The clusters, ordered by their first members.

    Example:
        >>> weights = [1, 9, 2]
        >>> def spread(group):
        ...     inside = [weights[member] for member in group]
        ...     return max(inside) - min(inside), 0
        >>> best_partition(spread, 3, 2, balanced=False)
        ((0, 2), (1,))
    """

    @cache
    def best(left: Group, clusters: int) -> tuple[Cost, Partition]:
        if clusters == 1:
            return cost(left), (left,)
        first, *others = left
        found: tuple[Cost, Partition] | None = None
        for size in _sizes(len(left), clusters, balanced):
            for mates in itertools.combinations(others, size - 1):
                group = (first, *mates)
                rest = tuple(member for member in others if member not in mates)
                below = best(rest, clusters - 1)
                own = cost(group)
                total = own[0] + below[0][0], own[1] + below[0][1]
                if found is None or total < found[0]:
                    found = total, (group, *below[1])
        assert found is not None
        return found

    return best(tuple(range(count)), n_clusters)[1]


def _sizes(left: int, clusters: int, balanced: bool) -> list[int]:
    """Possible sizes of the next cluster, such that enough members are left for the others."""
    if balanced:
        return sorted({left // clusters, -(-left // clusters)})
    return list(range(1, left - clusters + 2))
