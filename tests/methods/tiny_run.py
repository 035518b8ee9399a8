"""The smallest run that has all there is: a mother, hatched members, checkpoints."""

import keras
import numpy as np
import pytest

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"
RNG = np.random.default_rng(7)
Y = RNG.integers(0, 3, 20)
X = (RNG.normal(size=(20, 2)) + np.eye(3, 2)[Y] * 2).astype("float32")


class Crash(keras.callbacks.Callback):
    """Stands for the power cut. Its settings are the class's, so that the plan is the same."""

    at = (None, None)
    hook = None  # what happens when a job begins

    def on_train_begin(self, logs=None):
        if self.hook is not None:
            self.hook()

    def on_epoch_begin(self, epoch, logs=None):
        if (self.model.name, epoch) == self.at:
            raise KeyboardInterrupt


def members():
    """The narrowest is the mother of the others."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return [
        keras.Sequential(
            [keras.Input((2,)), layers.Dense(width, "relu"), layers.Dense(3, "softmax")], name=name
        )
        for name, width in zip("abc", (2, 3, 4), strict=True)
    ]


def fit(run_dir, crash=(None, None), hook=None):
    """One process' life."""
    Crash.at, Crash.hook = crash, hook and staticmethod(hook)
    method = km.MotherNets(members(), member_epochs=2)
    method.compile("sgd", SPARSE, run_eagerly=True)
    history = method.fit(
        X, Y, epochs=2, batch_size=10, verbose=0, run_dir=run_dir, callbacks=[Crash()]
    )
    return [member.get_weights() for member in method.members], history


def fit_another_plan(run_dir):
    method = km.FullData(members())
    method.compile("sgd", SPARSE, run_eagerly=True)
    method.fit(X, Y, epochs=2, batch_size=10, verbose=0, run_dir=run_dir)


def crash(run_dir, place):
    with pytest.raises(KeyboardInterrupt):
        fit(run_dir, place)


def assert_same(results, expected):
    (weights, history), (their_weights, their_history) = results, expected
    np.testing.assert_equal(weights, their_weights)
    assert history.history == their_history.history
    for row, twin in zip(history.ledger, their_history.ledger, strict=True):
        assert (row.job, row.epochs, row.metrics) == (twin.job, twin.epochs, twin.metrics)


def content(run_dir):
    """All that is there, apart from who wrote last."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in run_dir.rglob("*")
        if path.name != "run.lock"
    }
