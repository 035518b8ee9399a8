"""Layers that turn words and categories into numbers stand in front and stay as they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from grown import EXACT
from keras import layers
from networks import randomise

from keras_mothernets import SurgeryError, hatch


def network(front: Any, width: int, *, dtype: str = "int32", table: bool = True) -> keras.Model:
    x = keras.Input((4,), dtype=dtype)
    y = front(x)
    y = layers.Flatten()(layers.Embedding(9, width)(y)) if table else layers.Dense(width)(y)
    return keras.Model(x, layers.Dense(2)(y))


NUMBERS = np.array([[3, 5, 7, 1], [7, 7, 2, 0]], "int32")
WORDS = np.array([["a", "b", "a", "z"], ["c", "z", "b", "b"]], dtype=object)


@pytest.mark.parametrize(
    ("make", "table", "x"),
    [
        (lambda: layers.CategoryEncoding(8, output_mode="multi_hot"), False, NUMBERS),
        (lambda: layers.Hashing(6), True, NUMBERS),
        (lambda: layers.IntegerLookup(vocabulary=[3, 5, 7]), True, NUMBERS),
        (lambda: layers.StringLookup(vocabulary=["a", "b", "c"]), True, WORDS),
    ],
    ids=["categories", "hashing", "integers", "words"],
)
def test_growth_behind_them_is_exact(make: Any, table: bool, x: np.ndarray) -> None:
    import tensorflow as tf

    dtype = "string" if x is WORDS else "int32"
    mother = randomise(network(make(), 3, dtype=dtype, table=table), 1)
    hatched = hatch(mother, network(make(), 5, dtype=dtype, table=table))
    x = tf.constant(x)
    ours, theirs = np.asarray(mother(x)), np.asarray(hatched(x))
    assert np.abs(ours).max() > 0.1
    # The networks compute in float32.
    assert np.abs(ours - theirs).max() <= 1e-5 + EXACT


def test_a_vocabulary_that_was_learned_is_refused() -> None:
    def make(width: int) -> keras.Model:
        front = layers.IntegerLookup()
        front.adapt(np.array([[3], [5], [7]]))
        return network(front, width)

    with pytest.raises(SurgeryError, match="get_vocabulary"):
        hatch(make(3), make(5))
