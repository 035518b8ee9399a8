"""Runs that are taken up again."""

import functools

import keras
import numpy as np
import pytest
from marks import quick_ones

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"


class Crash(keras.callbacks.Callback):
    """Stands for the power cut: ends everything in the middle of a job."""

    at = None  # the job; on the class, so that the plan is the same with and without it

    def on_train_batch_end(self, batch, logs=None):
        if self.model.name == self.at and batch == 1:
            raise KeyboardInterrupt


def run(
    members,
    data,
    run_dir,
    *,
    crash_at=None,
    optimizer="sgd",
    loss=SPARSE,
    metrics=("accuracy",),
    seed=0,
    callbacks=(),
    **fit,
):
    method = km.FullData(members, seed=seed)
    method.compile(optimizer, loss, metrics=list(metrics), run_eagerly=True)
    Crash.at = crash_at
    arguments = {"epochs": 2, "batch_size": 20, "verbose": 0, **fit}
    history = method.fit(*data, run_dir=run_dir, callbacks=[Crash(), *callbacks], **arguments)
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


class Scaled(keras.losses.Loss):
    """A loss of the user's own, who wrote no `get_config`."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def crossentropy(y_true, y_pred, factor=1.0):
    return factor * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def sgd(rate):
    return lambda job: keras.optimizers.SGD(rate)


def own(mlp, **settings):
    return lambda: [km.Member(mlp("a"), **settings), mlp("b", hidden=(5,))]


def weights_of(policy):
    def build():
        dense = keras.layers.Dense(3, activation="softmax", dtype=policy)
        return [keras.Sequential([keras.Input((4,)), dense], name="a")]

    return build


SGD, EarlyStopping = keras.optimizers.SGD, keras.callbacks.EarlyStopping
X = np.random.default_rng(7).normal(size=(40, 4)).astype("float32")
Y = np.random.default_rng(8).integers(0, 3, 40)
VALIDATED = {"validation_data": (X, Y)}
# What differs, the first run's arguments, the second's, and what is said.
OTHERS = {
    "epochs": ({}, {"epochs": 3}, "job `a`, epochs: here 3, there 2"),
    "seed": ({}, {"seed": 1}, r"method: here `FullData\(seed=1\)`"),
    "data": ({}, {"data": (X + 1, Y)}, "data `x`"),
    "members": ({}, {"members": lambda mlp: lambda: [mlp("a")]}, "job `b` is only there"),
    "optimizer": ({}, {"optimizer": "adam"}, "compile `optimizer`: here adam, there sgd"),
    "rate": (
        {"optimizer": SGD(0.1)},
        {"optimizer": SGD(0.2)},
        r"here SGD\(learning_rate=0.2\), there SGD\(learning_rate=0.1\)",
    ),
    "rate of a function": (
        {"optimizer": sgd(0.1)},
        {"optimizer": sgd(0.2)},
        r"job `a`, optimizer: here SGD\(learning_rate=0.2\), there SGD\(learning_rate=0.1\)",
    ),
    "partial": (
        {"loss": functools.partial(crossentropy, factor=1.0)},
        {"loss": functools.partial(crossentropy, factor=2.0)},
        "compile `loss`: here partial.*factor=2.*there partial.*factor=1",
    ),
    "own loss": ({"loss": Scaled(2.0)}, {"loss": Scaled(5.0)}, "factor=5.*factor=2"),
    "code of a loss": (
        {"loss": lambda y_true, y_pred: crossentropy(y_true, y_pred, 2.0)},
        {"loss": lambda y_true, y_pred: crossentropy(y_true, y_pred, 3.0)},
        "compile `loss`: here .*lambda.*#",
    ),
    "member's optimizer": (
        {"members": lambda mlp: own(mlp, optimizer=SGD(0.1))},
        {"members": lambda mlp: own(mlp, optimizer=SGD(0.9))},
        r"job `a`, optimizer: here SGD\(learning_rate=0.9\)",
    ),
    "member's optimizer added": (
        {"members": lambda mlp: own(mlp)},
        {"members": lambda mlp: own(mlp, optimizer="adam")},
        r"job `a`, optimizer: here Adam\(.*\), there none",
    ),
    "member's epochs": (
        {"members": lambda mlp: own(mlp, epochs=1)},
        {"members": lambda mlp: own(mlp, epochs=0)},
        "job `a`, epochs: here 0, there 1",
    ),
    "member's callbacks": (
        {"members": lambda mlp: own(mlp, callbacks=[EarlyStopping("loss", patience=1)])},
        {"members": lambda mlp: own(mlp, callbacks=[EarlyStopping("loss", patience=5)])},
        "job `a`, callbacks: .*patience=5.*there.*patience=1",
    ),
    "callbacks": (
        VALIDATED,
        {**VALIDATED, "callbacks": [EarlyStopping(patience=1)]},
        "job `a`, callbacks: .*EarlyStopping.*; job `b`, callbacks",
    ),
    "monitor": (
        VALIDATED,
        {**VALIDATED, "monitor": "val_accuracy"},
        "job `a`, monitor: here val_accuracy, there val_loss",
    ),
    "validation_freq": (
        VALIDATED,
        {**VALIDATED, "validation_freq": 2},
        "`validation_freq`: here 2",
    ),
    "validation_steps": (
        VALIDATED,
        {**VALIDATED, "validation_steps": 1},
        "`validation_steps`: here 1, there none",
    ),
    "validation_batch_size": (
        VALIDATED,
        {**VALIDATED, "validation_batch_size": 3},
        "`validation_batch_size`: here 3, there none",
    ),
    "precision": (
        {"members": lambda mlp: weights_of("float32")},
        {"members": lambda mlp: weights_of("mixed_bfloat16")},
        "job `a`, architecture",
    ),
}


@pytest.mark.parametrize("row", quick_ones(OTHERS, ["callbacks", "own loss", "member's epochs"]))
@pytest.mark.filterwarnings("ignore:The initial weights differ")
def test_another_plan_is_refused_before_anything_trains(row, mlp, tmp_path, count_fits):
    first, second, culprit = OTHERS[row]
    two = {"members": lambda mlp: own(mlp), "data": (X, Y)}

    def start(members, data, **arguments):
        return run(members(mlp)(), data, tmp_path, **arguments)

    start(**{**two, **first})
    count_fits.clear()
    with pytest.raises(km.RunError, match=culprit) as caught:
        start(**{**two, **second})
    assert count_fits == []
    assert str(tmp_path) in str(caught.value)
    start(**{**two, **first})
    assert count_fits == []


def test_callbacks_that_only_watch_may_be_added(members, data, tmp_path, count_fits):
    run(members, data, tmp_path / "run")
    count_fits.clear()
    logger = [keras.callbacks.History()]
    run(members, data, tmp_path / "run", callbacks=logger)
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
    with pytest.warns(UserWarning, match="initial weights differ.*`a`, `b`, `c`"):
        again, _ = run(anew, data, tmp_path)
    assert count_fits == []
    np.testing.assert_equal(again.members[2].get_weights(), first.members[2].get_weights())


def test_jobs_that_are_not_finished_begin_with_the_weights_given_now(
    members, mlp, data, tmp_path, count_fits
):
    with pytest.raises(KeyboardInterrupt):
        run(members, data, tmp_path / "run", crash_at="b")
    anew = [members[0], mlp("b", hidden=(5,), dropout=0.3), members[2]]
    count_fits.clear()
    run(anew, data, tmp_path / "run")  # and nothing to warn of
    assert count_fits == ["b", "c"]


@pytest.mark.parametrize("arguments", [{"epochs": 3}, {"data": (X + 1, Y)}, {"optimizer": "adam"}])
def test_jobs_of_another_plan_are_refused_without_the_plans_file_too(
    members, data, tmp_path, count_fits, arguments
):
    run(members, data, tmp_path)
    (tmp_path / "plan.json").unlink()
    count_fits.clear()
    given = {"data": data, **arguments}
    with pytest.raises(km.RunError, match="holds job `a` of another plan"):
        run(members, given.pop("data"), tmp_path, **given)
    assert count_fits == []
    assert not (tmp_path / "plan.json").exists()
    with pytest.warns(UserWarning, match="plan.json .* is missing"):
        run(members, data, tmp_path)
    assert count_fits == []
    assert (tmp_path / "plan.json").exists()


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
        head = keras.layers.Dense(3, activation="softmax", kernel_initializer="ones")
        layers = [keras.Input((4,)), Twice(), head]
        return [keras.Sequential(layers, name="own")]

    first, _ = run(members(), data, tmp_path)
    count_fits.clear()
    again, _ = run(members(), data, tmp_path)
    assert count_fits == []
    np.testing.assert_equal(again.members[0].get_weights(), first.members[0].get_weights())
