"""The numbers that follow from the paper's table of V5, at full size."""

from __future__ import annotations

import keras
import pytest

from keras_mothernets import explain
from keras_mothernets.clustering import cluster, layer_vector
from keras_mothernets.clustering.edits import edit_distance
from keras_mothernets.clustering.vectors import Layout
from keras_mothernets.graph import read
from keras_mothernets.member import Member
from keras_mothernets.mothernet import same_architecture

MOTHER = [
    [(3, 3, 64)] * 2,
    [(3, 3, 128)] * 2,
    [(3, 3, 128)] * 2,
    [(3, 3, 512)] * 2,
    [(3, 3, 256)] * 2,
    [(10,)],
]


@pytest.mark.slow
def test_one_cluster(v5: list[Member]) -> None:
    [found] = cluster(v5)
    assert found.indices == (0, 1, 2, 3, 4)
    mother = found.mothernet
    assert mother.count_params() == 5_278_026
    assert [list(block) for block in layer_vector(read(mother)) if block] == MOTHER
    inherited = [explain(mother, member.model).inherited for member in v5]
    assert found.shared == pytest.approx(inherited)
    params = [member.model.count_params() for member in v5]
    assert found.shared == pytest.approx([5_278_026 / count for count in params])
    vectors = [layer_vector(read(model)) for model in (mother, *(m.model for m in v5))]
    layout = Layout.of(vectors)
    ours, *theirs = map(layout.array, vectors)
    assert [edit_distance(vector, ours) for vector in theirs] == [4, 7, 5, 7, 10]


@pytest.mark.slow
def test_two_clusters_leave_the_odd_one_alone(v5: list[Member]) -> None:
    first, second = cluster(v5, 2)
    assert (first.indices, second.indices) == ((0, 1, 3, 4), (2,))
    assert same_architecture(first.mothernet, v5[0].model), "the mother is V13"
    assert first.mothernet is not v5[0].model
    assert first.shared[0] == 1.0 and second.shared == (1.0,)
    assert _total(v5, [first.indices, second.indices]) == 12


@pytest.mark.slow
def test_two_balanced_clusters(v5: list[Member]) -> None:
    found = [group.indices for group in cluster(v5, 2, balanced=True)]
    assert found == [(0, 3, 4), (1, 2)]
    assert _total(v5, found) == 15


@pytest.mark.slow
def test_fewest_clusters_that_share_enough(v5: list[Member]) -> None:
    assert len(cluster(v5, min_shared=0.26)) == 1
    halves = cluster(v5, min_shared=0.5)
    assert len(halves) == 2
    assert min(share for group in halves for share in group.shared) >= 0.5
    assert len(cluster(v5, min_shared=1.0)) == 5


def _total(members: list[Member], groups: list[tuple[int, ...]]) -> int:
    """Total edit distance, by the definition: minimum by hand, and a plain recursion."""
    total = 0
    for group in groups:
        vectors = [layer_vector(read(members[number].model)) for number in group]
        mother = [
            [tuple(map(min, zip(*entries, strict=True))) for entries in zip(*blocks, strict=False)]
            for blocks in zip(*vectors, strict=True)
        ]
        for vector in vectors:
            total += _edits(_flat(vector, mother), _flat(mother, vector))
    return total


def _flat(vector: object, other: object) -> list[tuple[int, ...]]:
    """Blocks one after the other, each padded to the longer of the two."""
    rows: list[tuple[int, ...]] = []
    for block, its in zip(vector, other, strict=True):  # type: ignore[call-overload]
        rows += [*block, *[()] * (max(len(block), len(its)) - len(block))]
    return rows


def _edits(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> int:
    known = {(i, 0): i for i in range(len(first) + 1)}
    known |= {(0, j): j for j in range(len(second) + 1)}
    for i, a in enumerate(first, start=1):
        for j, b in enumerate(second, start=1):
            skipped = min(known[i - 1, j], known[i, j - 1]) + 1
            known[i, j] = min(skipped, known[i - 1, j - 1] + (a != b))
    return known[len(first), len(second)]


def test_a_kernel_and_a_width_belong_to_one_layer() -> None:
    def network(*layers: keras.layers.Layer) -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 3)), *layers])

    layers = keras.layers
    vector = layer_vector(
        read(
            network(
                layers.Conv2D(4, (3, 5), padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.Conv2D(6, 3, strides=2, padding="same"),
                layers.ReLU(),
                layers.Conv2D(6, 1),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(7, "relu"),
                layers.Dropout(0.5),
                layers.Dense(5),
            )
        )
    )
    blocks = [block for block in vector if block]
    assert blocks == [((3, 5, 4),), ((3, 3, 6), (1, 1, 6)), ((7,),), ((5,),)]
