"""Perceptrons."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_mothernets import zoo
from keras_mothernets.errors import MotherNetsError


def test_layers_and_parameters() -> None:
    model = zoo.mlp((8, 8, 1), 10, hidden=(32, 16))
    assert model.count_params() == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    assert model.output_shape == (None, 10)


def test_width_and_no_hidden_layers() -> None:
    assert zoo.mlp((4,), 2, hidden=(10,), width=0.25).count_params() == 4 * 3 + 3 + 3 * 2 + 2
    assert zoo.mlp((4,), 2, hidden=()).count_params() == 4 * 2 + 2


def test_scale_divides_the_inputs() -> None:
    keras.utils.set_random_seed(0)
    plain, scaled = zoo.mlp((4,), 2), zoo.mlp((4,), 2, scale=0.5)
    scaled.set_weights(plain.get_weights())
    x = np.arange(8, dtype="float32").reshape(2, 4)
    np.testing.assert_allclose(scaled(x), plain(x / 2), rtol=1e-6)
    assert not np.allclose(scaled(x), plain(x))


@pytest.mark.parametrize("hidden", [(0,), (3, 2.5)])
def test_sizes_must_be_whole_and_positive(hidden: tuple) -> None:
    with pytest.raises(MotherNetsError, match="must be a whole number of at least 1"):
        zoo.mlp((4,), 2, hidden=hidden)


def test_hidden_layers_must_be_a_list() -> None:
    with pytest.raises(MotherNetsError, match="`hidden` must be a list.*5"):
        zoo.mlp((4,), 2, hidden=5)  # type: ignore[arg-type]
