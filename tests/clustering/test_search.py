"""The searches against brute force, and how long they take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from clustering_networks import mlp, random_mlps, read_all, vgg16_variants

from keras_mothernets import explain
from keras_mothernets.clustering import cluster
from keras_mothernets.clustering.descent import good_partition
from keras_mothernets.clustering.edits import edit_distance
from keras_mothernets.clustering.exact import Group, best_partition
from keras_mothernets.clustering.mothers import Mothers
from keras_mothernets.clustering.partition import is_allowed, partition_into
from keras_mothernets.clustering.sizes import Sizes
from keras_mothernets.clustering.vectors import Layout, layer_vector
from keras_mothernets.graph import build, read
from keras_mothernets.mothernet import common_architecture


def _partitions(members: list[int]) -> Iterator[list[list[int]]]:
    if not members:
        yield []
        return
    first, *others = members
    for rest in _partitions(others):
        yield [[first], *rest]
        for number, group in enumerate(rest):
            yield [*rest[:number], [first, *group], *rest[number + 1 :]]


def _brute_force(cost: Callable[[Group], int], count: int, n_clusters: int, balanced: bool) -> int:
    totals = []
    for partition in _partitions(list(range(count))):
        sizes = [len(group) for group in partition]
        if len(sizes) == n_clusters and not (balanced and max(sizes) - min(sizes) > 1):
            totals.append(sum(cost(tuple(sorted(group))) for group in partition))
    return min(totals)


def _total(cost: Callable[[Group], int], partition: Iterable[Group]) -> int:
    return sum(map(cost, partition))


def _alone(cost: Callable[[Group], int]) -> Callable[[Group], tuple[int, int]]:
    """A cost that nothing else decides where it is equal."""
    return lambda group: (cost(group), 0)


def _random_cost(seed: int) -> Callable[[Group], int]:
    """Any function of the subset: the search may use no property of it."""

    def cost(group: Group) -> int:
        return 0 if len(group) == 1 else int(np.random.default_rng([seed, *group]).integers(100))

    return cost


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("n_clusters", [1, 2, 3, 5, 7])
def test_the_exact_search_misses_no_partition(n_clusters: int, balanced: bool) -> None:
    for seed in range(3):
        cost = _random_cost(seed)
        found = best_partition(_alone(cost), 7, n_clusters, balanced=balanced)
        assert len(found) == n_clusters
        assert sorted(itertools.chain(*found)) == list(range(7))
        assert _total(cost, found) == _brute_force(cost, 7, n_clusters, balanced)
        if balanced:
            assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("distance", ["edit", "parameters"])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 8))]
)
def test_clusters_are_the_best_by_real_mothernets(seed: int, distance: str) -> None:
    """Against MotherNets built for all subsets, where `cluster` guesses most of them."""
    models = random_mlps(seed, 5)
    networks = read_all(models)
    layout = Layout.of([layer_vector(network) for network in networks])

    def cost(group: Group) -> int:
        mother = build(common_architecture([networks[number] for number in group]))
        if distance == "parameters":
            return sum(networks[n].num_params - mother.count_params() for n in group)
        vector = layout.array(layer_vector(read(mother)))
        return sum(edit_distance(layout.array(layer_vector(networks[n])), vector) for n in group)

    known = {
        group: cost(group)
        for size in range(1, 6)
        for group in itertools.combinations(range(5), size)
    }
    for n_clusters, balanced in itertools.product([2, 3], [False, True]):
        found = cluster(models, n_clusters, balanced=balanced, distance=distance)
        total = _total(known.__getitem__, tuple(group.indices for group in found))
        assert total == _brute_force(known.__getitem__, 5, n_clusters, balanced)


def test_guesses_are_right_for_networks_of_one_family() -> None:
    networks = read_all([mlp(8, 16, 16), mlp(12, 12), mlp(16, 16, 16)])
    layout = Layout.of([layer_vector(network) for network in networks])
    vectors = np.stack([layout.array(layer_vector(network)) for network in networks])
    real = read(build(common_architecture(networks)))
    guess = vectors.min(axis=0)
    assert (layout.array(layer_vector(real)) == guess).all()
    for network in networks:
        assert Sizes(network, layout).count(guess) == real.num_params


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("n_clusters", [2, 3, 4])
def test_the_descent_comes_close_to_the_best(n_clusters: int, balanced: bool) -> None:
    """On 10 members, where the exact search still can be waited for."""
    mothers = Mothers(vgg16_variants(10), distance="edit")
    best = best_partition(_alone(mothers.cost), 10, n_clusters, balanced=balanced)
    good = good_partition(mothers.cost, 10, n_clusters, balanced=balanced, seed=0)
    assert len(good) == n_clusters
    assert sorted(itertools.chain(*good)) == list(range(10))
    if balanced:
        assert max(map(len, good)) - min(map(len, good)) <= 1
    assert _total(mothers.cost, best) <= _total(mothers.cost, good)
    assert _total(mothers.cost, good) <= _total(mothers.cost, best) + 1


@pytest.mark.slow
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("distance", ["edit", "parameters"])
def test_a_hundred_members_take_seconds(
    distance: str, balanced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = vgg16_variants(100)
    begin = time.process_time()
    mothers = Mothers(networks, distance=distance, generalize=True)
    partition = partition_into(mothers, 10, balanced=balanced, seed=0)
    seconds = time.process_time() - begin
    with capsys.disabled():
        print(f" [100 members, {distance}, balanced={balanced}: {seconds:.1f} s of CPU]", end="")
    assert seconds < 15
    assert is_allowed(mothers, partition)
    assert sorted(itertools.chain(*partition)) == list(range(100))
    dealt = [np.random.default_rng(n).permutation(100).reshape(-1, 10) for n in range(10)]
    by_chance = [[tuple(sorted(group)) for group in deal.tolist()] for deal in dealt]
    assert _total(mothers.cost, partition) < min(_total(mothers.cost, deal) for deal in by_chance)
    assert all(0 < share <= 1 for group in partition for share in mothers.shared(group))


def test_many_members_get_the_mother_of_all() -> None:
    """In large ensembles most members are only checked against the MotherNet of a few."""
    members = [mlp(20 + n, 50 - n, name=f"mlp{n}") for n in range(12)]
    [found] = cluster(members)
    assert found.shared == tuple(explain(found.mothernet, member).inherited for member in members)
    assert [layer.units for layer in found.mothernet.layers[1:3]] == [20, 39]


def test_the_same_seed_gives_the_same_clusters() -> None:
    members = random_mlps(5, 11)
    results = [
        [(group.indices, group.shared) for group in cluster(members, 4, balanced=True, seed=7)]
        for _ in range(2)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("seed", range(20))
def test_edit_distance_is_levenshtein(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, 3, (2, 7, 1))

    def plain(a: list[int], b: list[int]) -> int:
        if not a or not b:
            return len(a) + len(b)
        if a[0] == b[0]:
            return plain(a[1:], b[1:])
        return 1 + min(plain(a[1:], b), plain(a, b[1:]), plain(a[1:], b[1:]))

    assert edit_distance(first, second) == plain(first[:, 0].tolist(), second[:, 0].tolist())


def test_of_partitions_that_are_equally_far_the_one_that_inherits_more_is_taken() -> None:
    """Every partition of four single layers into two clusters has an edit distance of two."""
    sizes = (5, 50, 7, 60)
    members = [mlp(size) for size in sizes]
    assert [found.indices for found in cluster(members, 2)] == [(0, 2), (1, 3)]
