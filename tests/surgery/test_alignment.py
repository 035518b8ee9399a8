"""Alignment of chains against an exhaustive search over all ways to match their calls."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.graph import Architecture, read
from keras_mothernets.surgery import align, can_hatch


def _chain(generator: np.random.Generator, name: str) -> keras.Model:
    """Dense layers with ReLU of one width, with bias or without; any can follow another."""
    stack = [keras.Input((4,))]
    for _ in range(generator.integers(1, 5)):
        bias = bool(generator.random() < 0.5)
        stack += [layers.Dense(4, use_bias=bias), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(4)], name=name)


def _parameters(architecture: Architecture) -> list[int]:
    """Parameters of each Dense layer of the chain."""
    return [node.layer.num_params for node in architecture.nodes if node.layer.num_params]


def _most_shared(first: list[int], second: list[int]) -> int:
    """The most parameters that two runs of layers can share, by trying all ways to match them."""
    if not first or not second:
        return 0
    ways = [_most_shared(first[1:], second)]
    for number, params in enumerate(second):
        rest = _most_shared(first[1:], second[number + 1 :])
        ways.append(min(first[0], params) + rest)
    return max(ways)


@pytest.mark.parametrize("seed", range(25))
def test_no_way_to_match_shares_more(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = (read(_chain(generator, name)) for name in ("first", "second"))
    alignment = align(first, second, grow_only=False)
    # The first layers match each other, for no ReLU may be inserted before any, where numbers
    # can be negative; and so do the heads, for nothing may follow behind them.
    our_first, *ours, our_head = _parameters(first)
    their_first, *theirs, their_head = _parameters(second)
    ends = min(our_first, their_first) + min(our_head, their_head)
    wanted = _most_shared(ours, theirs) + ends
    assert alignment.params == wanted


@pytest.mark.parametrize("seed", range(25))
def test_growth_is_found_exactly_where_it_exists(seed: int) -> None:
    """A chain grows into another if its layers are met in order by layers with at least as much."""
    generator = np.random.default_rng([seed, 1])
    small, large = (_chain(generator, name) for name in ("small", "large"))
    ours, theirs = _parameters(read(small)), _parameters(read(large))
    wanted = ours[0] <= theirs[0] and _is_below(ours[1:-1], theirs[1:-1])
    assert can_hatch(small, large) == wanted


def _is_below(small: list[int], large: list[int]) -> bool:
    if not small:
        return True
    return any(
        small[0] <= params and _is_below(small[1:], large[number + 1 :])
        for number, params in enumerate(large)
    )


def test_early_layers_are_matched_first() -> None:
    def net(count: int, name: str) -> keras.Model:
        stack = [layers.Dense(4, "relu", name=f"hidden{n}") for n in range(count)]
        return keras.Sequential([keras.Input((4,)), *stack, layers.Dense(2)], name=name)

    pairs = align(read(net(1, "small")), read(net(3, "large")), grow_only=True).pairs
    inserted = [pair.second.name for pair in pairs if pair.first is None and pair.second]
    assert inserted == ["hidden1", "hidden1:relu", "hidden2", "hidden2:relu"]
