"""V5 at full size, built once for all tests of clustering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import pytest

from keras_mothernets import zoo
from keras_mothernets.member import Member


@pytest.fixture(scope="session")
def v5() -> list[Member]:
    """V5 at the paper's size with a 10-way head after global pooling; all weights zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.HeNormal, "__call__", _zeros)
        patch.setattr(keras.initializers.GlorotUniform, "__call__", _zeros)
        return zoo.v5((32, 32, 3), 10, batch_norm=False)


def _zeros(self: object, shape: Sequence[int], dtype: str | None = None, **_: object) -> Any:
    return keras.ops.zeros(shape, dtype=dtype)
