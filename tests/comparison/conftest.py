"""A small ensemble on some digits."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest
from small_ensemble import members

import keras_mothernets as km
from keras_mothernets.comparison import Task


@pytest.fixture
def task() -> Task:
    data = km.datasets.load("digits")
    parts = {
        name: getattr(data, name)[:count]
        for split, count in (("train", 200), ("val", 60), ("test", 80))
        for name in (f"x_{split}", f"y_{split}")
    }
    loss = keras.losses.SparseCategoricalCrossentropy()
    return Task(members, replace(data, **parts), 32, "adam", 0.0, loss)
