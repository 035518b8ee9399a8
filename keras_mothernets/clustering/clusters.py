"""Which members share a mother: `cluster` and what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import keras

from keras_mothernets.clustering.mothers import Group, Mothers
from keras_mothernets.clustering.partition import (
    EXACT_UP_TO,
    fewest_clusters,
    is_allowed,
    partition_into,
)
from keras_mothernets.errors import MotherNetsError, SurgeryError
from keras_mothernets.graph import Architecture
from keras_mothernets.member import Member, as_members
from keras_mothernets.mothernet import build_mother, read_member

# With more clusters, only what the search found out anyway is told of why they are apart.
_ASK_UP_TO = 20

DISTANCES = ("edit", "parameters")


@dataclass(frozen=True)
class Cluster:
    """Members that share one MotherNet.

    Args:
        indices: Positions in the list of members, ascending.
        shared: For each of these the fraction of its parameters, 0 to 1, that come
            from the MotherNet, copies not counted. As `km.explain(...).inherited`.
        members: These members.
        seed: Seed of the MotherNet's initial weights.
        found: Gives what was read of the members, and what they have in common.
        parted: Finds what `apart` says.

    Example:
        >>> nets = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, "relu"),
        ...                           keras.layers.Dense(2)], name=name)
        ...         for name, units in (("small", 3), ("large", 6))]
        >>> [found] = cluster(nets)
        >>> found.indices, [round(share, 2) for share in found.shared]
        ((0, 1), [1.0, 0.52])
        >>> found.mothernet.layers[1].units
        3
    """

    indices: tuple[int, ...]
    shared: tuple[float, ...]
    members: tuple[Member, ...] = field(repr=False, compare=False)
    seed: int = field(repr=False, compare=False)
    found: Callable[[], tuple[Sequence[Architecture], Architecture]] = field(
        repr=False, compare=False
    )
    parted: Callable[[], tuple[str, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """Why members of other clusters cannot be in this one: a sentence for each such cluster.

        Clusters of which nothing is said could have been one, but do not gain by it.
        """
        return self.parted()

    @cached_property
    def mothernet(self) -> keras.Model:
        """The largest network from which these members can be hatched; built when first asked for.

        Where it is equal to a member (`same_architecture`), it still is a model of its own.
        """
        return build_mother(self.members, *self.found(), seed=self.seed)

    def __str__(self) -> str:
        rows = [
            f"{member.label} ({share:.1%})"
            for member, share in zip(self.members, self.shared, strict=True)
        ]
        head = f"Cluster of {len(rows)}, with what each inherits: {', '.join(rows)}"
        return "\n".join([head, *(f"  apart because {reason}" for reason in self.apart)])


def cluster(
    members: Sequence[keras.Model | Member],
    n_clusters: int | None = None,
    *,
    min_shared: float | None = None,
    balanced: bool = False,
    distance: str = "edit",
    seed: int = 0,
) -> list[Cluster]:
    """Divide an ensemble into clusters of members that share a MotherNet.

    More clusters have larger MotherNets, which leave less to learn after
    hatching and make members more diverse, but each must be trained. The clusters
    are those with the least total distance of members to their MotherNet; of several,
    those whose members inherit more. Members that cannot share a MotherNet end in
    different clusters.

    Up to 8 members all partitions are compared. Beyond that the search is a
    K-means with MotherNets as centroids, which takes seconds for 100 members; it
    gives the same clusters for the same seed.

    Args:
        members: Built Functional or Sequential models, or `km.Member`s.
        n_clusters: Number of clusters; 1 by default.
        min_shared: Instead of `n_clusters`: use the fewest clusters such that every
            member inherits at least this fraction of its parameters, above 0 to 1.
        balanced: Whether cluster sizes may differ by at most one. The paper wants
            that, but by default we do not: a member unlike all others, put into a cluster for
            the sake of balance, shrinks the MotherNet of all others there.
            Without balance V5 in two clusters has total distance 12, with it 15.
        distance: `"edit"`, the number of layers to insert, delete or replace between
            the layer vectors of a member and its MotherNet; or `"parameters"`, the number
            of a member's parameters that do not come from its MotherNet. The first is
            the paper's, the second also sees by how much layers differ.
        seed: Seed of the search and of the MotherNets' initial weights.

    Returns:
        The clusters, ordered by their first members.

    Raises:
        MotherNetsError: There are no members, or an option is out of range.
        GraphError: A member cannot be read, or has a layer without a rule.
        SurgeryError: Members that cannot share a MotherNet are more than there are
            clusters; the message names two of them.

    Example:
        >>> def net(*units):
        ...     hidden = [keras.layers.Dense(size, "relu") for size in units]
        ...     return keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(2)])
        >>> members = [net(64, 64), net(8, 8), net(64, 60), net(8, 9)]
        >>> [found.indices for found in cluster(members, 2)]
        [(0, 2), (1, 3)]
        >>> first, second = cluster(members, min_shared=0.5)
        >>> [round(share, 2) for share in first.shared], first.mothernet.layers[2].units
        ([0.94, 1.0], 60)

    Source: Wasay et al. 2020, clustering: balanced K-means with the edit distance. The
    fewest clusters with a given share is the threshold of their earlier "Rapid training of
    very large ensembles of diverse neural networks" (2018). Comparing all partitions,
    clusters of any size, and the distance in parameters are ours.
    """
    entries = as_members(members)
    _check_options(len(entries), n_clusters, min_shared, distance)
    mothers = Mothers(
        [read_member(entry.label, entry.model) for entry in entries],
        distance=distance,
        min_shared=min_shared or 0.0,
        generalize=len(entries) > EXACT_UP_TO,
    )
    if min_shared is not None:
        partition = fewest_clusters(mothers, balanced=balanced, seed=seed)
    else:
        partition = partition_into(mothers, n_clusters or 1, balanced=balanced, seed=seed)
    if not is_allowed(mothers, partition):
        raise _too_few(mothers, partition, entries)
    return [
        Cluster(
            group,
            mothers.shared(group),
            tuple(entries[number] for number in group),
            seed,
            partial(mothers.found, group),
            partial(_reasons, mothers, partition, group),
        )
        for group in partition
    ]


def _reasons(mothers: Mothers, partition: Sequence[Group], group: Group) -> tuple[str, ...]:
    """Why a cluster could not have been one with the others, where that is so."""
    others = [other for other in partition if other != group]
    test = len(others) <= _ASK_UP_TO
    found = [mothers.parting(group, other, test=test) for other in others]
    return tuple(error.problem for error in found if error is not None)


def _check_options(count: int, n_clusters: Any, min_shared: Any, distance: Any) -> None:
    if n_clusters is not None and min_shared is not None:
        raise MotherNetsError(
            "`n_clusters` and `min_shared` both say how many clusters there are",
            received=f"n_clusters={n_clusters!r} and min_shared={min_shared!r}",
            fix="Give one of the two",
        )
    if n_clusters is not None and not (_is_number(n_clusters, int) and 1 <= n_clusters <= count):
        raise MotherNetsError(
            "`n_clusters` is not a possible number of clusters",
            expected=f"a whole number from 1 to the number of members, {count}",
            received=repr(n_clusters),
        )
    if min_shared is not None and not (
        _is_number(min_shared, (int, float)) and 0 < min_shared <= 1
    ):
        raise MotherNetsError(
            "`min_shared` is not a fraction of parameters",
            expected="a number above 0 and at most 1",
            received=repr(min_shared),
        )
    if distance not in DISTANCES:
        raise MotherNetsError(
            "`distance` is unknown", expected="'edit' or 'parameters'", received=repr(distance)
        )


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def _too_few(
    mothers: Mothers, partition: Sequence[Group], members: Sequence[Member]
) -> SurgeryError:
    """The error that names members who would have to share a cluster, and says why they cannot."""
    obstacle = next(filter(None, map(mothers.obstacle, partition)))
    names = [f"`{members[number].label}`" for number in obstacle[0]]
    clusters = "1 cluster is" if len(partition) == 1 else f"{len(partition)} clusters are"
    return SurgeryError(
        f"{', '.join(names[:-1])} and {names[-1]} cannot share a MotherNet, so {clusters}"
        f" too few: {obstacle[1].problem}",
        expected=obstacle[1].expected,
        received=obstacle[1].received,
        fix="Ask for more clusters, or make the members agree there",
        details=obstacle[1].details,
    )
