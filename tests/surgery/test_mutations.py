"""The battery can fail: faults are put into the code on purpose, and each is caught.

What catches them is the battery's own measure, the deviation from the mother, or an error.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)
from rule_cases import CASES

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import Activation
from keras_mothernets.rules import Copy, Keep, Map, Product, Split, Statistics
from keras_mothernets.rules.convolution import (
    ConvolutionRule,
    DepthwiseRule,
    TransposedConvolutionRule,
)
from keras_mothernets.rules.dense import DenseRule
from keras_mothernets.rules.normalization import BatchNormalizationRule
from keras_mothernets.surgery import hatch, max_deviation

arrays = importlib.import_module("keras_mothernets.surgery.arrays")
kernels = importlib.import_module("keras_mothernets.rules.kernels")
maps = importlib.import_module("keras_mothernets.rules.maps")

CAUGHT = 1e-6
Patch = Callable[[pytest.MonkeyPatch], None]
_split, _copy, _offset = arrays._split, arrays._copy, kernels.kernel_offset
_product, _rebase = maps._product, BatchNormalizationRule.rebase


def _no_split(patch: pytest.MonkeyPatch) -> None:
    def split(array: Any, position: int, made: int, channels: Any, generator: Any) -> Any:
        return array if channels is None else np.take(array, channels.index, axis=position)

    patch.setattr(arrays, "_split", split)


def _shares_of_the_wrong_sum(patch: pytest.MonkeyPatch) -> None:
    def share(rows: Any, groups: Any, made: int, generator: Any) -> None:
        counts = np.bincount(groups)[groups]
        rows *= (1.0 / (counts + 0.001)).reshape([-1] + [1] * (rows.ndim - 1))

    patch.setattr(arrays, "_share_out", share)


def _shares_for_zeros_only(patch: pytest.MonkeyPatch) -> None:
    """Zero padding instead of shares, for all copies but the second (Net2Net by zeros, botched)."""

    def share(rows: Any, groups: Any, made: int, generator: Any) -> None:
        _, first = np.unique(groups, return_index=True)
        rows[first] = 0

    patch.setattr(arrays, "_share_out", share)


def _signs_dropped_where_read(patch: pytest.MonkeyPatch) -> None:
    def split(array: Any, position: int, made: int, channels: Any, generator: Any) -> Any:
        if channels is not None and channels.sign is not None:
            channels = replace(channels, sign=np.ones_like(channels.sign))
        return _split(array, position, made, channels, generator)

    patch.setattr(arrays, "_split", split)


def _signs_dropped_where_made(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        arrays, "_copy", lambda array, at, channels, odd: _copy(array, at, channels, False)
    )


def _signs_dropped_in_biases(patch: pytest.MonkeyPatch) -> None:
    roles: Any = DenseRule.roles

    def even_bias(self: Any, *args: Any) -> Any:
        found = roles(self, *args)
        return {**found, "bias": (Copy(found["bias"][0].axis, odd=False),)}

    patch.setattr(DenseRule, "roles", even_bias)


def _wrong_constant_of_pairs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Activation, "pair_constant", lambda self: 1.001)


def _kernels_in_the_middle(patch: pytest.MonkeyPatch) -> None:
    def middle(small: int, large: int, **settings: Any) -> Any:
        found = _offset(small, large, **settings)
        return found if found is None else (large - small) // 2

    patch.setattr(kernels, "kernel_offset", middle)


def _kernels_at_the_start(patch: pytest.MonkeyPatch) -> None:
    def start(small: int, large: int, **settings: Any) -> Any:
        found = _offset(small, large, **settings)
        return found if found is None else 0

    patch.setattr(kernels, "kernel_offset", start)


def _axes_of_transposed_kernels_swapped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TransposedConvolutionRule, "roles", ConvolutionRule.roles)


def _other_maps_for_readers(patch: pytest.MonkeyPatch) -> None:
    """The reader of a space chooses copies of its own."""

    def split(array: Any, position: int, made: int, channels: Any, generator: Any) -> Any:
        if channels is not None and not channels.is_identity:
            channels = replace(channels, index=np.roll(channels.index, 1))
        return _split(array, position, made, channels, generator)

    patch.setattr(arrays, "_split", split)


def _products_the_other_way_round(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(maps, "_product", lambda maps: _product(maps[::-1]))


def _statistics_not_copied(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Any, mother: Any, member: Any, values: Any) -> Any:
        found = _rebase(self, mother, member, values)
        return {key: value for key, value in found.items() if not key.startswith("moving")}

    patch.setattr(BatchNormalizationRule, "rebase", forget)


def _scale_not_carried(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Any, mother: Any, member: Any, values: Any) -> Any:
        found = _rebase(self, mother, member, values)
        return {key: value for key, value in found.items() if key != "gamma"}

    patch.setattr(BatchNormalizationRule, "rebase", forget)


def _epsilon_not_rebased(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BatchNormalizationRule, "rebase", lambda self, mother, member, values: values)


def _variance_along_another_channel(patch: pytest.MonkeyPatch) -> None:
    roles = BatchNormalizationRule.roles

    def kept(self: Any, *args: Any) -> Any:
        return {**roles(self, *args), "moving_variance": (Keep(),)}

    patch.setattr(BatchNormalizationRule, "roles", kept)


def _inserted_norm_without_its_scale(patch: pytest.MonkeyPatch) -> None:
    values = BatchNormalizationRule.identity_values

    def unscaled(self: Any, node: Any, channels: int, statistics: Statistics | None) -> Any:
        found = values(self, node, channels, statistics)
        return {**found, "gamma": np.ones(channels)}

    patch.setattr(BatchNormalizationRule, "identity_values", unscaled)


def _multiplier_before_channels(patch: pytest.MonkeyPatch) -> None:
    roles: Any = DepthwiseRule.roles

    def swapped(self: Any, *args: Any) -> Any:
        found = roles(self, *args)
        bias = found["bias"][0]
        axis = Product(bias.axis.factors[::-1])
        return {**found, "bias": (Copy(axis, odd=True),)}

    patch.setattr(DepthwiseRule, "roles", swapped)


def _rows_copied_instead_of_split(patch: pytest.MonkeyPatch) -> None:
    roles = ConvolutionRule.roles

    def copied(self: Any, *args: Any) -> Any:
        found = roles(self, *args)
        kernel = tuple(Copy(r.axis) if isinstance(r, Split) else r for r in found["kernel"])
        return {**found, "kernel": kernel}

    patch.setattr(ConvolutionRule, "roles", copied)


def _identity_maps_with_zeros(patch: pytest.MonkeyPatch) -> None:
    """New channels copy the last one, although the map says otherwise to the reader."""

    def copy(array: Any, at: int, channels: Map | None, odd: bool) -> Any:
        if channels is not None and not channels.is_identity:
            channels = replace(
                channels, index=np.minimum(np.arange(len(channels.index)), channels.size - 1)
            )
        return _copy(array, at, channels, odd)

    patch.setattr(arrays, "_copy", copy)


FAULTS: list[tuple[Patch, str]] = [
    (_no_split, "dense_on_vectors"),
    (_no_split, "flatten_then_dense_then_dense"),
    (_shares_of_the_wrong_sum, "conv2d_same"),
    (_shares_for_zeros_only, "conv2d_same"),
    (_signs_dropped_where_read, "inserted_pair_gelu"),
    (_signs_dropped_where_made, "inserted_pair_with_norm"),
    (_signs_dropped_in_biases, "inserted_pair_silu"),
    (_wrong_constant_of_pairs, "inserted_pair_softplus"),
    (_kernels_in_the_middle, "conv2d_1_to_3_stride_2"),
    (_kernels_in_the_middle, "conv1d_causal"),
    (_kernels_at_the_start, "conv2d_same"),
    (_kernels_at_the_start, "separable2d"),
    (_axes_of_transposed_kernels_swapped, "transposed2d"),
    (_other_maps_for_readers, "dense_on_vectors"),
    (_products_the_other_way_round, "flatten_then_dense_then_dense"),
    (_products_the_other_way_round, "separable2d_strided"),
    (_statistics_not_copied, "norm_scale_center"),
    (_scale_not_carried, "norm_scale_center"),
    (_epsilon_not_rebased, "norm_other_epsilon"),
    (_variance_along_another_channel, "norm_scale_center"),
    (_inserted_norm_without_its_scale, "inserted_norm"),
    (_multiplier_before_channels, "depthwise1d"),
    (_rows_copied_instead_of_split, "conv2d_same"),
    (_identity_maps_with_zeros, "embedding"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "name"), FAULTS, ids=[f"{fault.__name__[1:]}-{name}" for fault, name in FAULTS]
)
def test_a_fault_is_caught(fault: Patch, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mother, member = CASES[name].mother(), CASES[name].member()
    assert max_deviation(mother, hatch(mother, member)) <= CASES[name].stored
    fault(monkeypatch)
    try:
        hatched = hatch(mother, member)
    except (MotherNetsError, ValueError, IndexError):
        return  # shapes do not even fit
    assert not max_deviation(mother, hatched) <= CAUGHT
