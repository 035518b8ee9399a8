"""AdaptiveMotherNets: rounds, decisions with reasons, and what is kept."""

import re

import keras
import numpy as np
import pytest

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture
def members(wide_and_tall):
    return wide_and_tall


def fitted(members, data, *, budget="1h", losses=None, monkeypatch=None, **settings):
    fit = {name: settings.pop(name) for name in ("run_dir", "epochs") if name in settings}
    method = km.AdaptiveMotherNets(members, budget=budget, **settings)
    method.compile(keras.optimizers.Adam(0.01), SPARSE, metrics=["accuracy"])
    if losses is not None:
        told = iter(losses)
        monkeypatch.setattr(method, "_loss", lambda data: next(told))
    fit = {"epochs": 4, "batch_size": 20, "verbose": 0, "validation_split": 0.2, **fit}
    return method, method.fit(*data, **fit)


def test_it_splits_while_the_loss_falls_and_keeps_the_old_members_when_not(
    members, data, monkeypatch
):
    method, history = fitted(members, data, losses=[1.0, 0.9, 0.95], monkeypatch=monkeypatch)
    first, second = method.histories[:2]
    assert len(method.histories) == 3
    assert "Round 1" in method.decisions[0]
    assert "Splits" in method.decisions[1] and "parameters do not come" in method.decisions[1]
    assert "falls, 1.0000 to 0.9000" in method.decisions[2]
    assert "does not fall, 0.9000 to 0.9500" in method.decisions[-1]
    assert method.finished_names == method.member_names
    # The members of the third round are not those that are kept.
    rounds = [method._chosen[name] for name in method.member_names]
    assert len({id(one) for one in rounds}) <= 2
    third = {row.job for row in method.histories[2].ledger if row.role == "member"}
    assert third and all(f"round_3/{name}" in history.jobs for name in third)
    kept = [method._chosen[name].members for name in third]
    assert kept and first is not second


def test_the_cluster_with_most_parameters_of_its_own_is_split(members, data, monkeypatch):
    method, _ = fitted(members, data, losses=[1.0, 0.9, 0.8, 0.7], monkeypatch=monkeypatch)
    splits = [text for text in method.decisions if text.startswith("Splits")]
    assert len(splits) == 3  # four members, one more cluster each time
    assert all(name in splits[0] for name in method.member_names)
    assert "4 clusters" in method.decisions[-1]


def test_the_budget_ends_it(members, data):
    method, history = fitted(members, data, budget=0.001)
    assert len(method.histories) == 1
    assert "would take" in method.decisions[-1] and "0:00 are left" in method.decisions[-1]
    assert history.jobs.keys() == method.histories[0].jobs.keys()


def test_max_clusters_ends_it(members, data, monkeypatch):
    method, _ = fitted(members, data, max_clusters=2, losses=[1.0, 0.9], monkeypatch=monkeypatch)
    assert len(method.histories) == 2 and "There are 2 clusters" in method.decisions[-1]


def test_no_more_clusters_than_members_are_asked_for(members, data, monkeypatch):
    losses = [1.0, 0.9, 0.8, 0.7]
    method, _ = fitted(members, data, max_clusters=9, losses=losses, monkeypatch=monkeypatch)
    assert "There are 4 clusters" in method.decisions[-1]


def test_who_asks_for_its_run_is_told_of_the_rounds(members, data):
    method, _ = fitted(members, data, budget=0.001)
    with pytest.raises(km.MotherNetsError, match="a run for each round.*round_1"):
        method.last_run()


def test_a_split_begins_with_the_function_of_its_mother(members, data, monkeypatch):
    method, _ = fitted(members, data, losses=[1.0, 0.9], max_clusters=2, monkeypatch=monkeypatch)
    first, second = (
        method._first,
        next(one for one in method._chosen.values() if one is not method._first),
    )
    mother = first.trained_mother("wide")
    x = np.asarray(data[0][:16])
    for name, model in second._shared.items():
        begun = second._run[1].networks.get(name, model)
        np.testing.assert_allclose(begun(x), mother(x), rtol=1e-4, atol=1e-5)


def test_the_ensemble_is_of_the_members_that_are_kept(members, data):
    method, _ = fitted(members, data, budget=0.001)
    ensemble = method.ensemble()
    x = np.asarray(data[0][:8])
    mean = np.mean([member(x) for member in method.members], axis=0)
    np.testing.assert_allclose(ensemble(x), mean, rtol=1e-5, atol=1e-6)


def test_a_stopped_run_goes_on_and_decides_the_same(members, data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    whole, _ = fitted(members, data, run_dir=run, losses=[1.0, 0.9, 0.95], monkeypatch=monkeypatch)
    begun = {path.name for path in run.iterdir()}
    assert {"round_1", "round_2", "round_3", "log.txt"} <= begun
    for text in whole.decisions:
        assert text in (run / "log.txt").read_text()

    def never(*arguments, **more):
        raise AssertionError("trains again")

    monkeypatch.setattr(keras.Model, "fit", never)
    again, history = fitted(
        members, data, run_dir=run, losses=[1.0, 0.9, 0.95], monkeypatch=monkeypatch
    )
    assert again.decisions == whole.decisions
    for one, other in zip(whole.members, again.members, strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_alone_it_ends_no_worse_than_its_first_round(members, data):
    method, _ = fitted(members, data, epochs=6)
    told = re.findall(r"(?:validation loss|does not fall,|falls,) ([0-9.]+)(?: to ([0-9.]+))?",
                      " ".join(method.decisions))  # fmt: skip
    first, *steps = told
    assert len(method.histories) == len(told) >= 2
    losses = [float(first[0])]
    for before, after in steps:
        assert float(before) == min(losses)  # the best so far is what stays
        losses.append(float(after))
    assert losses[-1] == min(losses) or "does not fall" in method.decisions[-1]


def test_without_validation_it_is_refused_before_training(members, data):
    method = km.AdaptiveMotherNets(members, budget="1m")
    method.compile("adam", SPARSE)
    with pytest.raises(km.DataError, match="seen on validation data"):
        method.fit(*data, epochs=2, verbose=0)
    assert method.histories == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": "soon"}, "is no time"),
        ({"budget": "1m", "tree": True}, "`tree` says nothing here"),
        ({"budget": "1m", "chain": 1}, "`chain` says nothing here"),
        ({"budget": "1m", "max_clusters": 0}, "`max_clusters`"),
        ({"budget": "1m", "n_clusters": 9}, "`n_clusters`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(members, settings, words):
    with pytest.raises(km.MotherNetsError, match=words):
        km.AdaptiveMotherNets(members, **settings)


def test_fit_needs_compile(members, data):
    with pytest.raises(km.MotherNetsError, match="`compile` comes before `fit`"):
        km.AdaptiveMotherNets(members, budget="1m").fit(*data, epochs=1, validation_split=0.2)
