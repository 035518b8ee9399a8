"""Runs that are taken up again."""

import keras
import numpy as np
import pytest

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"


class Crash(keras.callbacks.Callback):
    """Stands for the power cut: ends everything in the middle of a job."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if self.model.name == self.at and batch == 1:
            raise KeyboardInterrupt


def run(members, data, run_dir, *, crash_at=None, epochs=2, optimizer="sgd", loss=SPARSE, seed=0):
    method = km.FullData(members, seed=seed)
    method.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    history = method.fit(
        *data, epochs=epochs, batch_size=20, verbose=0, run_dir=run_dir, callbacks=[Crash(crash_at)]
    )
    return method, history


@pytest.fixture
def members(mlp):
    return [
        mlp(name, hidden=(width,), dropout=0.3)
        for name, width in zip("abc", (4, 5, 6), strict=True)
    ]


def test_finished_jobs_are_not_trained_again_and_the_result_is_the_same(
    members, data, tmp_path, count_fits
):
    expected, whole = run(members, data, tmp_path / "whole")
    count_fits.clear()
    with pytest.raises(KeyboardInterrupt):
        run(members, data, tmp_path / "run", crash_at="b")
    assert count_fits == ["a", "b"]
    count_fits.clear()
    method, history = run(members, data, tmp_path / "run")
    assert count_fits == ["b", "c"]
    assert history.history == whole.history
    for mine, theirs in zip(method.members, expected.members, strict=True):
        np.testing.assert_equal(mine.get_weights(), theirs.get_weights())
    assert [row.job for row in history.ledger] == ["a", "b", "c"]


def test_a_finished_run_gives_its_result_and_trains_nothing(members, data, tmp_path, count_fits):
    first, history = run(members, data, tmp_path)
    count_fits.clear()
    again, same_history = run(members, data, tmp_path)
    assert count_fits == []
    assert same_history.history == history.history
    assert same_history.ledger.rows == history.ledger.rows
    x = data[0]
    np.testing.assert_array_equal(first.ensemble()(x), again.ensemble()(x))


def test_a_damaged_network_is_trained_again(members, data, tmp_path, count_fits):
    first, _ = run(members, data, tmp_path)
    path = tmp_path / "jobs" / "b" / "model.keras"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    count_fits.clear()
    with pytest.warns(UserWarning, match="`b`.*damaged"):
        again, _ = run(members, data, tmp_path)
    assert count_fits == ["b"]
    np.testing.assert_equal(again.members[1].get_weights(), first.members[1].get_weights())


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (lambda data, members: {"epochs": 3}, "job `a`, epochs: here 3, there 2"),
        (lambda data, members: {"seed": 1}, r"method: here `FullData\(seed=1\)`"),
        (lambda data, members: {"data": (data[0] + 1, data[1])}, "data `x`"),
        (lambda data, members: {"members": members[:2]}, "job `c` is only there"),
        (lambda data, members: {"optimizer": "adam"}, "compile `optimizer`: here adam, there sgd"),
    ],
    ids=["epochs", "seed", "data", "members", "optimizer"],
)
def test_another_plan_is_refused_before_anything_trains(
    members, data, tmp_path, count_fits, change, culprit
):
    run(members, data, tmp_path)
    count_fits.clear()
    arguments = {"members": members, "data": data, **change(data, members)}
    with pytest.raises(km.RunError, match=culprit):
        run(arguments.pop("members"), arguments.pop("data"), tmp_path, **arguments)
    assert count_fits == []


def test_another_architecture_under_the_same_name_is_refused(members, mlp, data, tmp_path):
    run(members, data, tmp_path)
    others = [*members[:2], mlp("c", hidden=(6,), dropout=0.4)]
    with pytest.raises(km.RunError, match="job `c`, architecture"):
        run(others, data, tmp_path)


def test_networks_built_anew_take_up_the_run(members, mlp, data, tmp_path, count_fits):
    """Keras numbers its layers on; a second process, or cell, has other names and weights."""
    first, _ = run(members, data, tmp_path)
    count_fits.clear()
    anew = [
        mlp(name, hidden=(width,), dropout=0.3)
        for name, width in zip("abc", (4, 5, 6), strict=True)
    ]
    assert anew[0].layers[0].name != members[0].layers[0].name
    again, _ = run(anew, data, tmp_path)
    assert count_fits == []
    np.testing.assert_equal(again.members[2].get_weights(), first.members[2].get_weights())


def test_a_loss_that_cannot_be_stored_does_not_matter(members, data, tmp_path, count_fits):
    def loss(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    run(members, data, tmp_path, loss=loss)
    count_fits.clear()
    method, _ = run(members, data, tmp_path, loss=loss)
    assert count_fits == []
    assert method.ensemble().evaluate(*data, verbose=0)


def test_layers_of_the_users_own_need_not_be_registered(data, tmp_path, count_fits):
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    def members():
        layers = [keras.Input((4,)), Twice(), keras.layers.Dense(3, activation="softmax")]
        return [keras.Sequential(layers, name="own")]

    first, _ = run(members(), data, tmp_path)
    count_fits.clear()
    again, _ = run(members(), data, tmp_path)
    assert count_fits == []
    np.testing.assert_equal(again.members[0].get_weights(), first.members[0].get_weights())
