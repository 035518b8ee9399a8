"""Finds the clusters: searches on guessed MotherNets, settles what it found, and searches on."""

from __future__ import annotations

from collections.abc import Callable

from keras_mothernets.clustering.descent import good_partition, merge
from keras_mothernets.clustering.exact import Partition, best_partition
from keras_mothernets.clustering.mothers import VIOLATION, Mothers

EXACT_UP_TO = 8
"""Largest number of members for which all partitions are compared."""

# A search over more members takes the best settled partition after this many rounds.
_ROUNDS = 20


def partition_into(mothers: Mothers, n_clusters: int, *, balanced: bool, seed: int) -> Partition:
    """Find the partition into clusters with the least total distance.

    Args:
        mothers: What clusters cost. Up to `EXACT_UP_TO` members all partitions
            are compared.
        n_clusters: Number of clusters, 1 to the number of members.
        balanced: Whether cluster sizes may differ by at most one.
        seed: Seed of the search, where it is not exact.

    Returns:
        The clusters, each settled; see `is_allowed` for whether they can be.
    """
    count = len(mothers)
    exact = count <= EXACT_UP_TO
    if exact and 1 < n_clusters < count:
        mothers.check_pairs()
    found: list[Partition] = []
    while exact or len(found) < _ROUNDS:
        if exact:
            partition = best_partition(
                lambda group: (mothers.cost(group), mothers.missing(group)),
                count,
                n_clusters,
                balanced=balanced,
            )
        else:
            partition = good_partition(
                mothers.cost, count, n_clusters, balanced=balanced, seed=seed
            )
        found.append(partition)
        # Where guesses already forbid it, settling many clusters is hardly worth the time.
        if not (exact or is_allowed(mothers, partition)) or not _settle_all(mothers, partition):
            break
    return min(reversed(found), key=lambda partition: sum(map(mothers.cost, partition)))


def fewest_clusters(mothers: Mothers, *, balanced: bool, seed: int) -> Partition:
    """Find the partition with the fewest clusters that is allowed, and of those the best.

    Args:
        mothers: What clusters cost; it knows how much members must inherit.
        balanced: See `partition_into`.
        seed: See `partition_into`.

    Returns:
        The clusters; with every member for itself there always is a way. With more
        than `EXACT_UP_TO` members a still smaller number may go unfound.
    """

    def divide(count: int) -> Partition:
        return partition_into(mothers, count, balanced=balanced, seed=seed)

    if len(mothers) <= EXACT_UP_TO:
        tried = (divide(count) for count in range(1, len(mothers) + 1))
        return next(partition for partition in tried if is_allowed(mothers, partition))
    alone = [(member,) for member in range(len(mothers))]
    partition = divide(len(merge(mothers.cost, alone, 1, limit=VIOLATION)))
    if not is_allowed(mothers, partition):
        return _bisect(mothers, divide, len(partition))
    while len(partition) > 1:
        fewer = divide(len(partition) - 1)
        if not is_allowed(mothers, fewer):
            break
        partition = fewer
    return partition


def is_allowed(mothers: Mothers, partition: Partition) -> bool:
    """Whether all clusters have a MotherNet, of which every member inherits enough."""
    return all(mothers.cost(group) < VIOLATION for group in partition)


def _settle_all(mothers: Mothers, partition: Partition) -> bool:
    """Settle all clusters; whether that changed the cost of any."""
    return any([mothers.settle(group) for group in partition])


def _bisect(mothers: Mothers, divide: Callable[[int], Partition], too_few: int) -> Partition:
    """The allowed partition with the fewest clusters, as if more clusters were always better."""
    enough = divide(len(mothers))
    while len(enough) - too_few > 1:
        middle = divide((len(enough) + too_few) // 2)
        if is_allowed(mothers, middle):
            enough = middle
        else:
            too_few = len(middle)
    return enough
