"""Properties of mothers and hatching over random series-parallel graphs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
from graphs import Act, Branches, Drop, Gate, Graph, Items, Norm, Pool, Weights
from networks import (
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    examples,
    outputs,
    randomise,
    weights,
)
from random_graphs import grow_graph, random_graph

from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import can_hatch, explain, hatch, max_deviation

QUICK, SLOW = range(6), range(6, 30)
SEEDS = [*QUICK, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_graph_hatches_exactly(seed: int) -> None:
    small = random_graph(seed, units=1 if seed in QUICK else 3)
    check_hatch(small, grow_graph(small, seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW)
def test_two_growths_of_one_graph_have_a_mother(seed: int) -> None:
    small = random_graph(seed)
    check_mother(small, grow_graph(small, seed), grow_graph(small, seed + 1000), seed)


def check_hatch(small: Graph, large: Graph, seed: int = 0) -> None:
    """The large graph is hatched from the small one, and obeys all laws of hatching."""
    mother, member = small.build("mother", seed=seed), large.build("member", seed=seed + 100)
    before = [value.tobytes() for model in (mother, member) for value in weights(model)]
    assert can_hatch(mother, member)
    with _CountedAssignments() as counts:
        hatched = hatch(mother, member, seed=seed)
    assert [counts[id(variable)] for variable in hatched.weights] == [1] * len(member.weights)
    assert max_deviation(mother, hatched, seed=seed) <= 1e-10
    assert same_architecture(hatched, member)
    planned = [v for layer in explain(mother, member).layers for v in layer.variables]
    assert len(planned) == len(member.weights)
    again = hatch(mother, mother)
    assert all(np.array_equal(a, b) for a, b in zip(mother.weights, again.weights, strict=True))
    x = examples(mother)
    assert np.array_equal(outputs(mother, x), outputs(again, x))
    assert [v.tobytes() for model in (mother, member) for v in weights(model)] == before


def check_mother(small: Graph, one: Graph, two: Graph, seed: int = 0) -> keras.Model:
    """Two growths of a small graph have a mother that is exact for both, and at least as large."""
    members = [one.build("one", seed=seed), two.build("two", seed=seed + 100)]
    before = [value.tobytes() for model in members for value in weights(model)]
    mother = randomise(mothernet(members), 9)
    for member in members:
        assert can_hatch(mother, member)
        assert max_deviation(mother, hatch(mother, member, seed=seed)) <= 1e-10
    assert mother.count_params() <= min(member.count_params() for member in members)
    assert mother.count_params() >= small.build("small").count_params()
    assert [v.tobytes() for model in members for v in weights(model)] == before
    return mother


class _CountedAssignments:
    """Counts how often each variable is assigned in a block."""

    def __enter__(self) -> Counter[int]:
        counts: Counter[int] = Counter()
        self._original = keras.Variable.assign

        def assign(variable: Any, value: Any) -> Any:
            counts[id(variable)] += 1
            return self._original(variable, value)

        keras.Variable.assign = assign
        return counts

    def __exit__(self, *error: object) -> None:
        keras.Variable.assign = self._original


def test_the_generator_draws_everything() -> None:
    """The generator itself: every kind of item, and growth that grows."""
    pairs = [(random_graph(seed), grow_graph(random_graph(seed), seed)) for seed in range(60)]
    assert sum(small != large for small, large in pairs) >= 0.95 * len(pairs)
    assert sum(_count(s.items) < _count(g.items) for s, g in pairs) >= 0.5 * len(pairs)
    found = {name for small, _ in pairs for name in _names(small.items)}
    wanted = {"Drop", "Gate", "Pool", "add", "concat", "average", "maximum", "minimum", "subtract"}
    wanted |= {"batch", "layer", "rms", "group", "instance", "unit", "depthwise", "separable"}
    assert wanted <= found
    assert len([name for name in found if name.startswith("act ")]) >= 20


def _count(items: Items) -> int:
    inner = [chain for item in items if isinstance(item, Branches) for chain in item.chains]
    return len(items) + sum(_count(chain) for chain in inner)


def _names(items: Items) -> set[str]:
    found: set[str] = set()
    for item in items:
        if isinstance(item, Branches):
            found |= {item.merge}.union(*map(_names, item.chains))
        elif isinstance(item, Act):
            found.add(f"act {item.name}")
        elif isinstance(item, (Norm, Weights)):
            found.add(item.kind)
        elif isinstance(item, (Drop, Gate, Pool)):
            found.add(type(item).__name__)
    return found


IMAGE = (6, 6, 3)


def test_instance_normalisation_of_another_width() -> None:
    """Keras writes the number of channels into the config, where one group per channel was asked.

    Found by seed 16.
    """
    items = (Weights("full", (1,), 3), Norm("instance"), Act("tanh"))
    small = Graph(IMAGE, items, (3, 4))
    check_hatch(small, Graph(IMAGE, items, (3, 7)))
    check_mother(small, Graph(IMAGE, items, (3, 7)), Graph(IMAGE, items, (3, 5)))


def test_a_layer_that_is_matched_with_a_wider_inserted_one() -> None:
    """The layer before a sum met a wider one, so that both sides of the sum disagreed.

    Found by seed 17.
    """
    body = (Weights("full", (2,)), Act("silu"), Weights("full", (1,)))
    small = Graph((5,), (Weights("full", (1,)), Branches("add", ((), body))), (5, 2, 4))
    wide = (Weights("full", (3,)), Weights("full", (4,)), Weights("full", (1,)))
    one = Graph((5,), (*wide, *small.items[1:]), (5, 2, 4, 9, 7))
    check_mother(small, one, Graph((5,), small.items, (5, 6, 4)))


def test_a_width_that_groups_do_not_divide_is_passed_over() -> None:
    """What is inserted limits the width to five, of which two groups cannot be made."""
    items = (Weights("full", (1,), 3), Norm("group"), Act("relu"))
    small = Graph(IMAGE, items, (3, 2))
    narrow = (*items, Weights("full", (2,)), Act("relu"))
    check_mother(small, Graph(IMAGE, items, (3, 6)), Graph(IMAGE, narrow, (3, 6, 5)))


def test_a_normalisation_behind_an_inserted_layer_lowers_the_width() -> None:
    """The wide layer meets the normalised one, so the narrow one is an identity under the norm.

    Found by seed 20.
    """
    small = Graph((5,), (Weights("full", (1,)), Norm("layer"), Act("tanh")), (5, 2))
    one = Graph((5,), small.items, (5, 4))
    wide = (Weights("full", (2,)), *small.items)
    mother = check_mother(small, one, Graph((5,), wide, (5, 6, 8)))
    assert mother.layers[1].units == 2
