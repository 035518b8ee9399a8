"""`cluster` on small networks: options, incompatible members, errors."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from clustering_networks import dense_chain, families, mlp, mobile, random_mlps

from keras_mothernets import Member, MotherNetsError, SurgeryError, explain
from keras_mothernets.clustering import Cluster, cluster
from keras_mothernets.mothernet import same_architecture


def _indices(clusters: list[Cluster]) -> list[tuple[int, ...]]:
    return [found.indices for found in clusters]


def test_one_cluster_by_default() -> None:
    [found] = cluster([mlp(8), mlp(16)])
    assert found.indices == (0, 1)
    assert found.mothernet is found.mothernet, "it is built once"
    assert found.shared[0] == 1.0
    assert found.shared[1] == explain(found.mothernet, mlp(16)).inherited < 1.0


def test_as_many_clusters_as_members() -> None:
    members = [mlp(8), mlp(8), mlp(16)]
    clusters = cluster(members, 3)
    assert _indices(clusters) == [(0,), (1,), (2,)]
    assert all(found.shared == (1.0,) for found in clusters)
    assert same_architecture(clusters[2].mothernet, members[2])


def test_balance_is_kept_where_asked_for() -> None:
    members = [mlp(8, 8), mlp(8, 8), mlp(8, 8), mlp(64, 60)]
    assert _indices(cluster(members, 2)) == [(0, 1, 2), (3,)]
    sizes = sorted(map(len, _indices(cluster(members, 2, balanced=True))))
    assert sizes == [2, 2]


def test_the_distance_in_parameters_sees_how_much_layers_differ() -> None:
    # One layer differs in each pair that shares another layer: edits cannot tell.
    members = [mlp(200, 8), mlp(201, 8), mlp(200, 9), mlp(8, 8)]
    found = cluster(members, 2, distance="parameters")
    assert _indices(found) == [(0, 1, 2), (3,)]
    left = [
        member.count_params() * (1 - explain(group.mothernet, member).inherited)
        for group in found
        for member in (members[number] for number in group.indices)
    ]
    assert sum(left) == pytest.approx(8 + 1 + 4 + 200 + 1 + 3)


@pytest.mark.slow
@pytest.mark.parametrize("min_shared", [0.2, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("balanced", [False, True])
def test_every_member_inherits_what_it_must(min_shared: float, balanced: bool) -> None:
    members = random_mlps(3, 5)
    clusters = cluster(members, min_shared=min_shared, balanced=balanced)
    for found in clusters:
        for number, share in zip(found.indices, found.shared, strict=True):
            assert share >= min_shared
            assert share == explain(found.mothernet, members[number]).inherited
    if len(clusters) > 1:
        fewer = cluster(members, len(clusters) - 1, balanced=balanced)
        assert min(share for found in fewer for share in found.shared) < min_shared


def test_members_that_share_no_mother_part_by_themselves() -> None:
    members = [
        mlp(8, inputs=4),
        mlp(8, inputs=5),
        mlp(16, inputs=4),
        mlp(9, inputs=5),
        mlp(8, inputs=4),
    ]
    assert _indices(cluster(members, 2)) == [(0, 2, 4), (1, 3)]
    assert _indices(cluster(members, min_shared=0.01)) == [(0, 2, 4), (1, 3)]
    # Many members are searched in another way.
    assert _indices(cluster(members * 2, 2)) == [(0, 2, 4, 5, 7, 9), (1, 3, 6, 8)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"n_clusters": 4}, {"n_clusters": 4, "distance": "parameters"}, {"min_shared": 0.01}],
    ids=["edit", "parameters", "min_shared"],
)
def test_families_part_by_themselves(options: dict[str, Any]) -> None:
    members = families()
    clusters = cluster(members, **options)
    assert _indices(clusters) == [(0, 4), (1, 5), (2, 6), (3, 7)]
    for found in clusters:
        assert len(found.apart) == 3, "it parts from every other cluster"
    # Many members are searched in another way.
    many = cluster(members * 2, **options)
    assert _indices(many) == [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]


def test_a_cluster_says_why_it_is_apart() -> None:
    plain, residual = families()[:2]
    first, second = cluster([plain, residual], 2)
    (reason,) = first.apart
    assert reason.startswith("`plain0` cannot share a mother with `residual0`: `stage2_unit1_add`")
    assert str(first).splitlines()[1] == f"  apart because {reason}"
    assert second.apart[0].startswith("`residual0` cannot share a mother with `plain0`")
    # These two could share a mother; that they do not is the user's choice.
    assert [found.apart for found in cluster([mlp(8), mlp(16)], 2)] == [(), ()]


def test_mobile_networks_of_two_activations_part() -> None:
    members = [
        mobile(1, "relu", 2, "relu_small"),
        mobile(1, "hard_silu", 2, "silu_small"),
        mobile(2, "relu", 3, "relu_large"),
        mobile(2, "hard_silu", 3, "silu_large"),
    ]
    first, second = cluster(members, 2)
    assert _indices([first, second]) == [(0, 2), (1, 3)]
    assert "`relu_small` cannot share a mother with `silu_small`" in str(first)
    with pytest.raises(SurgeryError, match="1 cluster is too few") as caught:
        cluster(members)
    sentence, header, *rows = str(caught.value).splitlines()
    assert sentence.endswith("make the members agree there.")
    assert header.split() == ["`relu_small`", "`silu_small`"]
    assert [row for row in rows if row.endswith("<- they part here")] == [rows[1]]


def test_layer_vectors_do_not_hide_what_cannot_be_inserted() -> None:
    # Their vectors nest, but a sigmoid can in no way be an identity.
    shallow = dense_chain("sigmoid", 8, name="shallow")
    deep = dense_chain("sigmoid", 8, 8, name="deep")
    also_deep = dense_chain("sigmoid", 9, 8, name="also_deep")
    assert _indices(cluster([shallow, deep, also_deep], 2)) == [(0,), (1, 2)]
    with pytest.raises(SurgeryError, match="`shallow` and `deep` cannot share"):
        cluster([shallow, deep, also_deep])


def test_too_few_clusters_for_members_that_part() -> None:
    members = [mlp(8, name="a"), mlp(8, inputs=5, name="b"), mlp(8, inputs=6, name="c")]
    with pytest.raises(SurgeryError, match="2 clusters are too few") as caught:
        cluster(members, 2)
    named = [name for name in ("`a`", "`b`", "`c`") if name in str(caught.value)]
    assert len(named) == 2, str(caught.value)


def test_names_and_text() -> None:
    [found] = cluster([Member(mlp(8), name="small"), Member(mlp(16), name="large")])
    assert str(found).startswith("Cluster of 2, with what each inherits: small (100.0%), large (5")
    assert [member.label for member in found.members] == ["small", "large"]


def test_the_seed_is_that_of_the_mother() -> None:
    def weights(seed: int) -> Any:
        [found] = cluster([mlp(8), mlp(16)], seed=seed)
        return keras.ops.convert_to_numpy(found.mothernet.weights[0])

    assert (weights(1) == weights(1)).all()
    assert (weights(1) != weights(2)).any()


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (0, {}, "at least one member"),
        (2, {"n_clusters": 0}, "`n_clusters` is not a possible number.*1 to.*2.*Received: 0"),
        (2, {"n_clusters": 3}, "`n_clusters` is not a possible number.*Received: 3"),
        (2, {"n_clusters": 1.5}, "`n_clusters` is not a possible number.*Received: 1.5"),
        (2, {"n_clusters": True}, "`n_clusters` is not a possible number.*Received: True"),
        (2, {"n_clusters": 1, "min_shared": 0.5}, "both say how many clusters"),
        (2, {"min_shared": 0.0}, "`min_shared` is not a fraction.*Received: 0.0"),
        (2, {"min_shared": 1.1}, "`min_shared` is not a fraction.*Received: 1.1"),
        (2, {"min_shared": float("nan")}, "`min_shared` is not a fraction.*Received: nan"),
        (2, {"min_shared": "0.5"}, "`min_shared` is not a fraction.*Received: '0.5'"),
        (2, {"distance": "cosine"}, "`distance` is unknown.*'edit' or 'parameters'.*'cosine'"),
    ],
)
def test_errors(count: int, options: dict[str, Any], message: str) -> None:
    members = [mlp(8, name=f"mlp{number}") for number in range(count)]
    with pytest.raises(MotherNetsError, match=message):
        cluster(members, **options)


def test_an_unknown_layer_is_named_with_its_member() -> None:
    class Unknown(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    odd = keras.Sequential([keras.Input((4,)), Unknown(name="odd_one"), keras.layers.Dense(3)])
    with pytest.raises(MotherNetsError, match="`strange`.*odd_one"):
        cluster([mlp(8), Member(odd, name="strange")])
