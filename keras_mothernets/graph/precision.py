"""Lets every Keras backend compute in float64 for the length of a proof.

TensorFlow does whenever it is asked to. Elsewhere Keras 3.15 cuts the results of
many operations to 32 bits, whatever goes in, and JAX does so once more by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
from keras.src.backend.common import dtypes

_CUT: dict[str, str] = getattr(dtypes, "BIT64_TO_BIT32_DTYPE", {})


@contextmanager
def wide_floats() -> Iterator[None]:
    """Within this block float64 stays float64 under every backend.

    What is made inside keeps its type afterwards. Not for several threads at once.

    Example:
        >>> with wide_floats():
        ...     x = keras.ops.convert_to_tensor([1.0], dtype="float64")
        ...     print(keras.backend.standardize_dtype(keras.ops.matmul(x, x).dtype))
        float64
    """
    before = _CUT.get("float64")
    with _of_jax():
        if before is not None:
            _CUT["float64"] = "float64"
        try:
            yield
        finally:
            if before is not None:
                _CUT["float64"] = before


def _of_jax() -> Any:
    """JAX's own switch; Keras has imported JAX if that is its backend."""
    if keras.backend.backend() != "jax":
        return nullcontext()
    return sys.modules["jax"].enable_x64(True)
