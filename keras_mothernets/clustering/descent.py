"""Good partitions of many members: K-means with MotherNets as centroids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from keras_mothernets.clustering.exact import Group, Partition

Cost = Callable[[Group], int]

_RANDOM_STARTS = 4
# A descent ends when no member can be moved at a gain; this only guards against endless ones.
_PASSES = 100


def good_partition(
    cost: Cost, count: int, n_clusters: int, *, balanced: bool, seed: int
) -> Partition:
    """Find a partition into clusters that no single change of place improves.

    As in K-means, members go to the cluster whose centroid, its MotherNet, is
    nearest. But a MotherNet shrinks with every member it takes in, so members
    move one at a time, counting what the move does to the whole of both
    clusters (Hartigan's form of K-means). There are several starts: members
    merged step by step, and a few random ones.

    Args:
        cost: Cost of a cluster, given as ascending member numbers.
        count: Number of members.
        n_clusters: Number of clusters, 1 to `count`.
        balanced: Whether cluster sizes may differ by at most one.
        seed: Seed of the random starts.

    Returns:
        The clusters, ordered by their first members.

    Source: Wasay et al. 2020, clustering: balanced K-means with edit distance and the
    cluster's MotherNet as centroid. Moving one member at a time is ours.
    """
    generator = np.random.default_rng(seed)
    starts = [
        _random_start(cost, count, n_clusters, balanced, generator) for _ in range(_RANDOM_STARTS)
    ]
    if not balanced:
        starts.insert(0, merge(cost, [(n,) for n in range(count)], n_clusters))
    ends = [_descend(cost, start, balanced) for start in starts]
    best = min(ends, key=lambda clusters: sum(map(cost, clusters)))
    return tuple(sorted(best))


def merge(
    cost: Cost, clusters: Sequence[Group], n_clusters: int, *, limit: int | None = None
) -> list[Group]:
    """Merge the two clusters whose union costs least more, until few enough are left.

    Args:
        cost: Cost of a cluster.
        clusters: The clusters to begin with.
        n_clusters: Stop at this number of clusters.
        limit: Stop also when every merger would cost this much more.
    """
    current = dict(enumerate(clusters))
    rises: dict[tuple[int, int], int] = {}
    fresh = list(itertools.combinations(current, 2))
    while len(current) > n_clusters:
        for a, b in fresh:
            union = _joined(current[a], current[b])
            rises[a, b] = cost(union) - cost(current[a]) - cost(current[b])
        a, b = min(rises, key=lambda pair: (rises[pair], pair))
        if limit is not None and rises[a, b] >= limit:
            break
        new = max(current) + 1
        current[new] = _joined(current.pop(a), current.pop(b))
        rises = {pair: rise for pair, rise in rises.items() if not {a, b} & set(pair)}
        fresh = [(other, new) for other in current if other != new]
    return list(current.values())


def _random_start(
    cost: Cost, count: int, n_clusters: int, balanced: bool, generator: np.random.Generator
) -> list[Group]:
    """Seeds far apart from each other (K-means++), then every member to its best cluster."""
    seeds = _distant_seeds(cost, count, n_clusters, generator)
    clusters: list[Group] = [(seed,) for seed in seeds]
    for member in generator.permutation([m for m in range(count) if m not in seeds]).tolist():
        open_ones = _open(clusters, count) if balanced else range(n_clusters)
        rises = {n: cost(_joined(clusters[n], (member,))) - cost(clusters[n]) for n in open_ones}
        best = min(rises, key=lambda number: (rises[number], number))
        clusters[best] = _joined(clusters[best], (member,))
    return clusters


def _distant_seeds(
    cost: Cost, count: int, n_clusters: int, generator: np.random.Generator
) -> list[int]:
    """Members drawn one by one, with odds after the distance to the nearest drawn before."""
    seeds = [int(generator.integers(count))]
    nearest = np.full(count, np.inf)
    while len(seeds) < n_clusters:
        pairs = [tuple(sorted({member, seeds[-1]})) for member in range(count)]
        nearest = np.minimum(nearest, np.array([cost(pair) for pair in pairs], dtype="float64"))
        nearest[seeds] = 0.0
        odds = nearest if nearest.any() else np.array([float(m not in seeds) for m in range(count)])
        seeds.append(int(generator.choice(count, p=odds / odds.sum())))
    return seeds


def _open(clusters: Sequence[Group], count: int) -> list[int]:
    """The clusters that may take another member if sizes must differ by at most one."""
    small, larger = divmod(count, len(clusters))
    full = sum(len(cluster) > small for cluster in clusters)
    return [
        number
        for number, cluster in enumerate(clusters)
        if len(cluster) < small or (len(cluster) == small and full < larger)
    ]


def _descend(cost: Cost, start: Sequence[Group], balanced: bool) -> list[Group]:
    """Move single members, and exchange pairs where sizes must stay, while that gains."""
    clusters = list(start)
    for _ in range(_PASSES):
        moved = _move_each(cost, clusters, balanced)
        if balanced and not moved:
            moved = _exchange_each(cost, clusters)
        if not moved:
            break
    return clusters


def _move_each(cost: Cost, clusters: list[Group], balanced: bool) -> bool:
    """Give every member once the chance of a better cluster. Changes the list in place."""
    moved = False
    for member in sorted(itertools.chain(*clusters)):
        home = next(n for n, cluster in enumerate(clusters) if member in cluster)
        if len(clusters[home]) == 1:
            continue
        without = _without(clusters[home], member)
        gain = cost(clusters[home]) - cost(without)
        rises = {
            n: cost(_joined(cluster, (member,))) - cost(cluster)
            for n, cluster in enumerate(clusters)
            if n != home and (not balanced or len(cluster) < len(clusters[home]))
        }
        best = min(rises, key=lambda number: (rises[number], number), default=home)
        if best != home and rises[best] < gain:
            clusters[home], clusters[best] = without, _joined(clusters[best], (member,))
            moved = True
    return moved


def _exchange_each(cost: Cost, clusters: list[Group]) -> bool:
    """Exchange pairs of members between clusters where that gains. Changes the list in place."""
    moved = False
    for first, second in itertools.combinations(range(len(clusters)), 2):
        exchanged = _best_exchange(cost, clusters[first], clusters[second])
        while exchanged is not None:
            clusters[first], clusters[second] = exchanged
            moved = True
            exchanged = _best_exchange(cost, *exchanged)
    return moved


def _best_exchange(cost: Cost, first: Group, second: Group) -> tuple[Group, Group] | None:
    """The two clusters after the most promising exchange that gains; None if there is none.

    An exchange is promising if the two moves of which it consists do not lose
    when each is made alone. Trying out only these takes a tenth of the time.
    """
    moves = [
        {m: cost(_joined(there, (m,))) + cost(_without(here, m)) for m in here}
        for here, there in ((first, second), (second, first))
    ]
    before = cost(first) + cost(second)
    promises = [
        (ours + theirs, a, b)
        for (a, ours), (b, theirs) in itertools.product(moves[0].items(), moves[1].items())
        if ours + theirs <= 2 * before
    ]
    for _, a, b in sorted(promises):
        exchanged = _joined(_without(first, a), (b,)), _joined(_without(second, b), (a,))
        if sum(map(cost, exchanged)) < before:
            return exchanged
    return None


def _joined(first: Group, second: Group) -> Group:
    return tuple(sorted(first + second))


def _without(group: Group, member: int) -> Group:
    return tuple(other for other in group if other != member)
