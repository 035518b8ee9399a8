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
