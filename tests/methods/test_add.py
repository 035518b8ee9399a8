"""An ensemble that grows: a new member is hatched from the mother there is, and trained alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import keras_mothernets as km
from keras_mothernets.training import executor

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 5)).astype("float32")
y = (x[:, 0] > 0).astype(int)


def network(name, *widths, seed=3):
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(width, "relu") for width in widths]
    return keras.Sequential([keras.Input((5,)), *hidden, layers.Dense(2, "softmax")], name=name)


def members():
    return [network("a", 4, 6), network("b", 6, 4), network("c", 20, 20)]


def fit(method, run_dir=None, **settings):
    method.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    settings = {"epochs": 4, "batch_size": 16, **settings}
    return method.fit(x, y, run_dir=run_dir, verbose=0, **settings)


@pytest.fixture
def trained(monkeypatch):
    """Names of the jobs that are trained from now on."""
    names = []
    original = executor.train_or_fail

    def train(job, *others):
        names.append(job.name)
        return original(job, *others)

    monkeypatch.setattr(executor, "train_or_fail", train)
    return names


def weights(method):
    return [weight for model in method.members for weight in model.get_weights()]


def assert_equal(mine, theirs):
    for here, there in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("kept", ["in memory", "on disk", "by another process"])
@pytest.mark.parametrize("n_clusters", [1, 2])
def test_only_the_new_member_is_trained(kept, n_clusters, tmp_path, trained):
    run_dir = None if kept == "in memory" else tmp_path / "run"
    method = km.MotherNets(members(), n_clusters=n_clusters)
    fit(method, run_dir)
    before = weights(method)
    if kept == "by another process":
        method = km.MotherNets(members(), n_clusters=n_clusters)
    method.add(km.Member(network("net", 24, 22), name="new"))
    trained.clear()
    history = fit(method, run_dir)
    assert trained == ["new"]
    assert method.member_names == ["a", "b", "c", "new"]
    assert_equal(weights(method)[: len(before)], before)
    mother = "c" if n_clusters == 2 else "mothernet"  # in two clusters c is alone, and closest
    assert history.ledger["new"].waits_for == mother
    assert history.ledger["new"].deviation < 1e-6
    assert method.ensemble().predict(x, verbose=0).shape == (64, 2)
    trained.clear()
    fit(method, run_dir)  # once more: all is there
    assert trained == []


def test_it_is_what_it_would_have_been_from_the_beginning():
    """Where it changes nothing of the mother, and so of the others."""
    method = km.MotherNets(members())
    fit(method)
    method.add(network("new", 9, 9))
    fit(method)
    whole = km.MotherNets([*members(), network("new", 9, 9)])
    fit(whole)
    assert_equal(weights(method), weights(whole))


def test_before_the_next_fit_the_members_are_those_that_are_trained():
    method = km.MotherNets(members())
    fit(method)
    method.add(network("new", 9, 9))
    assert [model.name for model in method.members] == ["a", "b", "c"]
    assert method.ensemble().predict(x, verbose=0).shape == (64, 2)


def test_names_stay_distinct_and_several_can_be_added(trained):
    method = km.MotherNets(members())
    fit(method)
    trained.clear()
    for _ in range(2):
        method.add(network("a", 9, 9))
    fit(method)
    assert trained == ["a_2", "a_3"]


def test_one_that_no_mother_can_become_is_refused_and_nothing_is_lost():
    method = km.MotherNets(members())
    fit(method)
    before = weights(method)
    with pytest.raises(km.SurgeryError, match="Member `tiny` cannot be hatched from any mother"):
        method.add(network("tiny", 2))
    with pytest.raises(km.MotherNetsError, match="other"):
        other = keras.Sequential([keras.Input((7,)), layers.Dense(2, "softmax")], name="other")
        method.add(other)
    assert method.member_names == ["a", "b", "c"]
    assert_equal(weights(method), before)


def test_other_arguments_are_refused_and_nothing_is_lost(tmp_path):
    method = km.MotherNets(members())
    fit(method)
    method.add(network("new", 9, 9))
    with pytest.raises(km.RunError, match="would train all members again.*epochs: here 5, there 4"):
        fit(method, epochs=5)
    assert fit(method).ledger["new"].epochs == 1

    method = km.MotherNets(members())
    fit(method, tmp_path)
    method.add(network("new", 9, 9))
    with pytest.raises(km.RunError, match="holds the run of another plan.*epochs: here 5, there 4"):
        fit(method, tmp_path, epochs=5)


def test_a_run_directory_that_is_forgotten_is_named(tmp_path):
    method = km.MotherNets(members())
    fit(method, tmp_path)
    method.add(network("new", 9, 9))
    with pytest.raises(km.RunError, match=f"members so far are in the run directory `{tmp_path}`"):
        fit(method)
    assert [model.name for model in method.members] == ["a", "b", "c"]


def test_a_run_directory_takes_new_members_only_where_they_were_added(tmp_path):
    fit(km.MotherNets(members()), tmp_path)
    with pytest.raises(km.RunError, match="job `new` is only here"):
        fit(km.MotherNets([*members(), network("new", 9, 9)]), tmp_path)


def test_members_of_elsewhere_can_be_combined_with_them():
    method = km.MotherNets(members())
    fit(method)
    other = network("elsewhere", 3)
    ensemble = km.combine([*method.members, other])
    mean = np.mean([m.predict(x, verbose=0) for m in (*method.members, other)], axis=0)
    np.testing.assert_allclose(ensemble.predict(x, verbose=0), mean, atol=1e-6)
