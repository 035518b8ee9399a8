"""Where a small kernel stands in a large one: the formula against real convolutions.

A small random kernel is put at every place of a large one, all places at once as
filters of one convolution, and each result is compared with the small convolution's.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.rules.kernels import kernel_offset, kernel_offsets, transposed_kernel_offset

SIZES = (4, 5, 6, 7, 8, 9, 13)
GENERATOR = np.random.default_rng(0)


def _placements(small: np.ndarray, taps: int) -> np.ndarray:
    """The kernel at each place among `taps`, as filters: shape (taps, 1, places)."""
    places = taps - len(small) + 1
    kernel = np.zeros((taps, 1, places), "float32")
    for place in range(places):
        kernel[place : place + len(small), 0, place] = small
    return kernel


def _exact_places(
    small: int, large: int, size: int, stride: int, dilation: int, padding: str
) -> set[int]:
    x = GENERATOR.normal(size=(2, size, 1)).astype("float32")
    kernel = GENERATOR.uniform(0.5, 1.5, small).astype("float32")
    if padding == "causal":
        run = _causal
    else:
        run = keras.ops.conv
    options: dict[str, Any] = {"strides": stride, "dilation_rate": dilation}
    if padding != "causal":
        options["padding"] = padding
    wanted = keras.ops.convert_to_numpy(run(x, kernel[:, None, None], **options))
    found = keras.ops.convert_to_numpy(run(x, _placements(kernel, large), **options))
    if wanted.shape[1] != found.shape[1]:
        return set()
    errors = np.abs(found - wanted).max(axis=(0, 1))
    return {place for place, error in enumerate(errors) if error < 1e-4}


def _causal(x: np.ndarray, kernel: np.ndarray, *, strides: int, dilation_rate: int) -> np.ndarray:
    before = (len(kernel) - 1) * dilation_rate
    padded = np.pad(x, ((0, 0), (before, 0), (0, 0)))
    return keras.ops.conv(padded, kernel, strides, "valid", dilation_rate=dilation_rate)


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize(
    ("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 3)], ids=str
)
def test_offsets_agree_with_convolutions(stride: int, dilation: int, padding: str) -> None:
    placed = refused = 0
    for size in SIZES:
        for small in range(1, 5):
            for large in range(small + 1, 8):
                settings = {"size": size, "stride": stride, "dilation": dilation}
                offset = kernel_offset(small, large, padding=padding, **settings)
                exact = _exact_places(small, large, size, stride, dilation, padding)
                if offset is None:
                    refused += 1
                    assert not exact, f"{small} in {large}, {settings}: {exact} would do"
                else:
                    placed += 1
                    assert offset in exact, f"{small} in {large}, {settings}: {offset}"
    assert placed > 20
    assert bool(refused) == (dilation > 1 and padding == "same")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("small", "large"), [(1, 2), (1, 3), (2, 3), (3, 5), (2, 5), (3, 6)])
def test_an_offset_for_unknown_sizes_holds_for_every_size(
    small: int, large: int, stride: int
) -> None:
    options = {"stride": stride, "dilation": 1, "padding": "same"}
    general = kernel_offset(small, large, size=None, **options)  # type: ignore[arg-type]
    each = {kernel_offset(small, large, size=size, **options) for size in range(1, 60)}  # type: ignore[arg-type]
    assert general == (each.pop() if len(each) == 1 else None)


def test_valid_padding_has_no_place_for_a_larger_kernel() -> None:
    for small, large in [(1, 2), (1, 3), (3, 5)]:
        assert kernel_offset(small, large, size=9, stride=1, dilation=1, padding="valid") is None
        assert not _exact_places(small, large, 9, 1, 1, "valid")
    assert kernel_offset(3, 3, size=None, stride=2, dilation=1, padding="valid") == 0
    assert kernel_offset(5, 3, size=9, stride=1, dilation=1, padding="same") is None


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_transposed_offsets_agree_with_convolutions(stride: int, padding: str) -> None:
    placed = 0
    for small in range(1, 5):
        for large in range(small + 1, 8):
            offset = transposed_kernel_offset(small, large, stride=stride, padding=padding)
            exact = _exact_transposed_places(small, large, stride, padding)
            assert (offset in exact) if offset is not None else not exact, (small, large, exact)
            placed += offset is not None
    assert placed > 0 or (padding, stride) == ("valid", 1)


def _exact_transposed_places(small: int, large: int, stride: int, padding: str) -> set[int]:
    x = GENERATOR.normal(size=(2, 5, 1)).astype("float32")
    kernel = GENERATOR.uniform(0.5, 1.5, small).astype("float32")
    wanted = keras.ops.conv_transpose(x, kernel[:, None, None], stride, padding)
    # Transposed kernels have their output channels before their input channels.
    placed = np.swapaxes(_placements(kernel, large), 1, 2)
    found = keras.ops.conv_transpose(x, placed, stride, padding)
    if wanted.shape[1] != found.shape[1]:
        return set()
    errors = np.abs(keras.ops.convert_to_numpy(found) - keras.ops.convert_to_numpy(wanted))
    return {n for n, error in enumerate(errors.max(axis=(0, 1))) if error < 1e-4}


def test_axes_are_independent() -> None:
    found = kernel_offsets((1, 3), (3, 3), (8, 9), (2, 2), (1, 1), "same")
    assert found == (0, 0)
    assert kernel_offsets((1, 1), (3, 3), (8, 9), (2, 2), (1, 1), "same") == (0, 1)
    assert kernel_offsets((3, 1), (5, 2), (8, 8), (1, 1), (1, 2), "same") is None
