"""Jobs that fail: the run stops, or goes on without them, or they are tried again."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.training import save_epochs
from keras_mothernets.training.last_good import BadLoss

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 5)).astype("float32")
y = (x[:, 0] > 0).astype(int)


def network(name, width):
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(width, activation="relu")(inputs)
    hidden = keras.layers.BatchNormalization()(hidden)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden), name=name)


class Spoil(keras.callbacks.Callback):
    """Makes weights NaN when an epoch begins, if the learning rate is high enough, while it may."""

    may = True

    def __init__(self, epoch, least_rate=0.0, variable=-2):
        super().__init__()
        self.epoch, self.least_rate, self.variable = epoch, least_rate, variable

    def on_epoch_begin(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        if self.may and epoch == self.epoch and rate > self.least_rate:
            variable = self.model.trainable_variables[self.variable]
            variable.assign(variable * float("nan"))


class Fail(Spoil):
    """Fails as code of the user's may."""

    def on_epoch_begin(self, epoch, logs=None):
        if self.may:
            raise KeyError("lost")


class Watch(keras.callbacks.Callback):
    """Keeps the weights after every epoch."""

    def __init__(self, into):
        super().__init__()
        self.into = into

    def on_epoch_end(self, epoch, logs=None):
        self.into.append(self.model.get_weights())


def members():
    keras.utils.set_random_seed(0)
    return [network("a", 4), network("b", 6), network("c", 8)]


def fit(method, spoil=None, optimizer=None, **settings):
    """Fit with a callback for some jobs, by name."""
    spoil = spoil or {}
    method.compile(optimizer or keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    settings.setdefault("callbacks", lambda job: [spoil[job.name]] if job.name in spoil else [])
    return method.fit(x, y, epochs=4, batch_size=16, verbose=0, **settings)


def assert_equal(mine, theirs):
    for here, there in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(here, there)


def test_by_default_the_run_stops_and_keeps_what_is_finished(tmp_path, monkeypatch):
    method = km.FullData(members())
    with pytest.raises(BadLoss, match="Job `b`: the loss became nan in epoch 3"):
        fit(method, {"b": Spoil(2)}, run_dir=tmp_path)
    assert (tmp_path / "jobs/a/state.json").exists()
    with pytest.raises(km.MotherNetsError, match="no trained members yet"):
        method.members  # noqa: B018
    assert [member.name for member in method.finished_members()] == ["a"]
    assert km.combine(method.finished_members()).predict(x, verbose=0).shape == (64, 2)
    monkeypatch.setattr(Spoil, "may", False)
    assert fit(km.FullData(members()), {"b": Spoil(2)}, run_dir=tmp_path).failed == {}


def test_what_is_finished_can_be_had_without_a_run_directory_too():
    method = km.FullData(members())
    assert method.finished_members() == []
    with pytest.raises(BadLoss):
        fit(method, {"c": Spoil(0)})
    a, b = method.finished_members()
    assert (a.name, b.name) == ("a", "b")
    expected = km.FullData(members())
    fit(expected)
    assert_equal(b.model.get_weights(), expected.members[1].get_weights())


def test_a_run_directory_that_is_refused_costs_nothing_that_is_trained(tmp_path):
    fit(km.FullData(members()), run_dir=tmp_path)
    method = km.FullData(members()[:2])
    assert method.finished_members() == []
    with pytest.raises(km.RunError, match="holds the run of another plan"):
        fit(method, run_dir=tmp_path)
    assert method.finished_members() == []
    fit(method)
    with pytest.raises(km.RunError, match="holds the run of another plan"):
        fit(method, run_dir=tmp_path)
    assert [model.name for model in method.members] == ["a", "b"]
    assert [member.name for member in method.finished_members()] == ["a", "b"]


def test_weights_that_are_no_numbers_are_found_where_a_relu_hides_them():
    method = km.FullData(members())
    with pytest.raises(BadLoss, match="Job `b`: the weights became NaN or infinite, at `dense"):
        fit(method, {"b": Spoil(2, variable=0)})
    with pytest.warns(UserWarning, match="weights became NaN.*it ends as it was before"):
        assert fit(method, {"b": Spoil(2, variable=0)}, on_failure="skip").ledger["b"].epochs == 2


@pytest.mark.parametrize("on_disk", [False, True])
def test_with_skip_a_job_ends_with_its_last_good_epoch(on_disk, tmp_path):
    seen = []
    fit(km.FullData(members()), {"b": Watch(seen)})
    method = km.FullData(members())
    run_dir = tmp_path if on_disk else None
    with pytest.warns(UserWarning, match="Job `b`: the loss became nan in epoch 3; it ends"):
        history = fit(method, {"b": Spoil(2)}, on_failure="skip", run_dir=run_dir)
    assert history.failed == {}
    assert_equal(method.members[1].get_weights(), seen[1])
    assert [len(history.jobs[name]["loss"]) for name in "abc"] == [4, 2, 4]
    assert history.ledger["b"].epochs == 2
    assert np.isfinite(method.ensemble().predict(x, verbose=0)).all()


def test_with_a_validation_it_ends_with_its_best_epoch(tmp_path):
    seen = []
    settings = {"validation_data": (x, 1 - y)}  # so that the first epoch is the best
    fit(km.FullData(members()), {"b": Watch(seen)}, **settings)
    method = km.FullData(members())
    with pytest.warns(UserWarning, match="it ends as it was before"):
        fit(method, {"b": Spoil(3)}, on_failure="skip", **settings)
    assert_equal(method.members[1].get_weights(), seen[0])


def test_one_that_goes_on_ends_with_the_epoch_that_it_went_on_from(tmp_path, monkeypatch):
    seen = []
    fit(km.FullData(members()), {"b": Watch(seen)})
    monkeypatch.setattr(save_epochs, "SHARE", 1e9)  # every epoch is kept
    with pytest.raises(BadLoss):
        fit(km.FullData(members()), {"b": Spoil(2)}, run_dir=tmp_path)
    method = km.FullData(members())
    with pytest.warns(UserWarning, match="it ends as it was before"):
        fit(method, {"b": Spoil(2)}, run_dir=tmp_path, on_failure="skip")
    assert_equal(method.members[1].get_weights(), seen[1])


@pytest.mark.parametrize("callback", [Spoil(0), Fail(0)], ids=["no good epoch", "own code"])
def test_with_skip_the_others_go_on_without_one_that_has_nothing_to_give(
    callback, tmp_path, monkeypatch
):
    method = km.FullData(members())
    history = fit(method, {"b": callback}, on_failure="skip", run_dir=tmp_path)
    assert list(history.failed) == ["b"]
    assert history.failed["b"].startswith("Job `b` is left out: Job `b`")
    assert list(history.jobs) == method.finished_names == ["a", "c"]
    assert [model.name for model in method.members] == ["a", "c"]
    ensemble = method.ensemble().predict(x, verbose=0)
    mean = np.mean([model.predict(x, verbose=0) for model in method.members], axis=0)
    np.testing.assert_allclose(ensemble, mean, atol=1e-6)
    monkeypatch.setattr(Spoil, "may", False)
    again = km.FullData(members())  # which trains what is missing
    assert fit(again, {"b": callback}, run_dir=tmp_path).failed == {}
    assert_equal(again.members[0].get_weights(), method.members[0].get_weights())


def test_who_waits_for_a_job_that_is_left_out_is_left_out_too():
    with pytest.raises(km.RunError, match="No member is finished") as error:
        fit(km.MotherNets(members()), {"a": Spoil(0)}, on_failure="skip")
    assert "Job `c` is left out: it waits for `a`" in str(error.value)


def test_with_retry_a_job_begins_again_with_a_lower_rate(tmp_path):
    expected = km.FullData(members())
    fit(expected, optimizer=keras.optimizers.SGD(0.025))
    method = km.FullData(members())
    spoil = {"b": Spoil(2, least_rate=0.03)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(method, spoil, on_failure="retry", run_dir=tmp_path)
    said = [str(each.message) for each in caught if "begins again" in str(each.message)]
    assert [text.split("; ")[1] for text in said] == [
        "it begins again with 0.5 of its learning rate",
        "it begins again with 0.25 of its learning rate",
    ]
    assert history.failed == {}
    assert len(history.jobs["b"]["loss"]) == 4
    assert_equal(method.members[1].get_weights(), expected.members[1].get_weights())
    again = km.FullData(members())
    state = (tmp_path / "jobs/b/state.json").read_bytes()
    fit(again, spoil, on_failure="retry", run_dir=tmp_path)  # finished: trains nothing
    assert (tmp_path / "jobs/b/state.json").read_bytes() == state


def test_with_retry_one_that_fails_each_time_ends_with_its_last_good_epoch():
    method = km.FullData(members())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(method, {"b": Spoil(1)}, on_failure="retry")
    said = [str(each.message) for each in caught]
    assert sum("begins again" in text for text in said) == 3
    assert sum("ends as it was before" in text for text in said) == 1
    assert history.ledger["b"].epochs == 1


def test_a_job_that_explodes_ends_with_its_last_good_epoch_and_goes_on_by_default():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    line = keras.Model(inputs, keras.layers.Dense(1)(inputs), name="line")
    method = km.FullData([line])
    method.compile(keras.optimizers.SGD(2.0), "mse")
    settings = {"epochs": 5, "batch_size": 16, "verbose": 0}
    losses = method.fit(x, 1.0 * y, **settings).jobs["line"]["loss"]
    assert len(losses) == 5
    with pytest.warns(UserWarning, match="Job `line`: the loss grew from .* to .* by epoch"):
        kept = method.fit(x, 1.0 * y, on_failure="skip", **settings).jobs["line"]["loss"]
    good = next(number for number, loss in enumerate(losses) if loss > 1000 * losses[0])
    np.testing.assert_allclose(kept, losses[:good])


def test_a_mistaken_choice_is_named():
    with pytest.raises(km.MotherNetsError, match='"stop", "skip" or "retry".*\'go on\''):
        fit(km.FullData(members()), on_failure="go on")
