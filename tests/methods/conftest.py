"""Small networks and data for whole runs."""

import gc

import keras
import numpy as np
import pytest

import keras_mothernets as km


@pytest.fixture(scope="session", autouse=True)
def _quick_garbage_collection():
    """Each job collects garbage; that goes faster without the million objects of the imports."""
    assert km.MotherNets  # imported now
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def mlp(name="mlp", hidden=(6,), units=3, activation="softmax", features=4, dropout=0.0):
    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    if dropout:
        layers.append(keras.layers.Dropout(dropout))
    layers.append(keras.layers.Dense(units, activation=activation))
    return keras.Sequential([keras.Input((features,)), *layers], name=name)


@pytest.fixture(name="mlp")
def _mlp():
    """Builds a small perceptron."""
    return mlp


@pytest.fixture
def data():
    """40 examples of three classes that can be learned."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 3, 40)
    x = rng.normal(size=(40, 4)) + np.eye(3, 4)[y] * 2
    return x.astype("float32"), y


@pytest.fixture
def count_fits(monkeypatch):
    """Names of the networks on which `fit` of Keras was called, in order."""
    calls = []
    original = keras.Model.fit

    def fit(self, *args, **kwargs):
        calls.append(self.name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", fit)
    return calls


class StopAt(keras.callbacks.Callback):
    """Stands for a kill at the beginning of an epoch. The place is the class's, so that the plan
    stays the same."""

    at = None  # network and epoch

    def on_epoch_begin(self, epoch, logs=None):
        if (self.model.name, epoch) == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def undisturbed_and_killed(tmp_path):
    """What a run gives undisturbed, and what it gives when it was killed and goes on.

    Takes `run(callback, run_dir)` and the place of the kill, a network's name and an epoch.
    """

    def both(run, *place):
        StopAt.at = None
        expected = run(StopAt(), None)
        StopAt.at = place
        with pytest.raises(KeyboardInterrupt):
            run(StopAt(), tmp_path)
        StopAt.at = None
        return expected, run(StopAt(), tmp_path)

    return both


@pytest.fixture
def wide_and_tall(mlp):
    """Two members that are wide and two that are tall; no mother is equal to a member."""
    return [
        mlp("wide", hidden=(12, 8)),
        mlp("wider", hidden=(13, 7)),
        mlp("tall", hidden=(6, 6, 4)),
        mlp("taller", hidden=(6, 5, 6)),
    ]
