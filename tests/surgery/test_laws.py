"""The battery: laws that hatching must obey, for every row of the table in `rule_cases`.

Truth comes from the mother's forward pass, in two ways: `max_deviation` in
float64, and a plain call of both models in their own float type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from networks import (
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    distance,
    examples,
    floats,
    outputs,
    weights,
)
from rule_cases import CASES, Case

from keras_mothernets.graph import layer_variables, live_layers
from keras_mothernets.rules import Copy, Split
from keras_mothernets.surgery import HatchPlan, can_hatch, explain, hatch, max_deviation
from keras_mothernets.surgery.plan import LayerPlan, VariablePlan

EXACT_64 = 1e-10
EXACT_32 = 1e-5
# What a network that was not hatched is apart at least: far above any rounding.
DIFFERENT = 1e-3


class Pair:
    """A mother, a member and the hatched member, with what the two were like before."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.mother, self.member = case.mother(), case.member()
        self.x = examples(self.mother)
        self.before = [_snapshot(self.mother), _snapshot(self.member)]
        self.apart = distance(outputs(self.mother, self.x), outputs(self.member, self.x))
        with _counted_assignments() as self.assigned:
            self.hatched = hatch(self.mother, self.member)
        self.plan: HatchPlan = explain(self.mother, self.member)


def _snapshot(model: keras.Model) -> tuple[Any, ...]:
    """All that hatching could change in a model: weights, config, calls of its layers."""
    calls = [len(layer._inbound_nodes) for layer in live_layers(model).values()]
    values = [value.tobytes() for value in weights(model)]
    return values, str(model.get_config()), calls, model.name, model.compiled


class _counted_assignments:
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


def _every_other_is_slow(cases: dict[str, Case]) -> list[Any]:
    """The quick tests see every other case; neighbours are much alike."""
    marks = ([], [pytest.mark.slow])
    return [pytest.param(c, id=n, marks=marks[i % 2]) for i, (n, c) in enumerate(cases.items())]


@pytest.fixture(scope="module", params=_every_other_is_slow(CASES))
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    yield Pair(request.param)


def test_member_differs_before_and_agrees_after(pair: Pair) -> None:
    assert pair.apart > DIFFERENT
    assert distance(outputs(pair.mother, pair.x), outputs(pair.hatched, pair.x)) <= EXACT_32
    if pair.case.double:
        assert max_deviation(pair.mother, pair.hatched, seed=11) <= pair.case.stored
    else:
        assert max_deviation(pair.mother, pair.hatched, dtype="float32") <= EXACT_32


def test_growth_by_fresh_channels_is_exact_too(pair: Pair) -> None:
    fresh = hatch(pair.mother, pair.member, seed=3, new_channels="fresh")
    if pair.case.double:
        assert max_deviation(pair.mother, fresh, seed=11) <= pair.case.stored
    else:
        assert max_deviation(pair.mother, fresh, dtype="float32") <= EXACT_32


def test_mother_and_member_stay_as_they_were(pair: Pair) -> None:
    assert [_snapshot(pair.mother), _snapshot(pair.member)] == pair.before
    ours = {id(variable) for variable in pair.hatched.variables}
    theirs = {id(variable) for variable in [*pair.mother.variables, *pair.member.variables]}
    assert not ours & theirs


def test_every_variable_is_assigned_exactly_once(pair: Pair) -> None:
    counts = [pair.assigned[id(variable)] for variable in pair.hatched.weights]
    assert counts == [1] * len(pair.hatched.weights)
    touched = {id(variable) for variable in [*pair.mother.variables, *pair.member.variables]}
    assert not touched & set(pair.assigned)
    planned = Counter((layer.name, v.name) for layer in pair.plan.layers for v in layer.variables)
    wanted = Counter(
        ("/".join(path), name)
        for path, layer in live_layers(pair.member).items()
        for name in layer_variables(layer)
    )
    assert planned == wanted


def test_result_is_the_members_architecture(pair: Pair) -> None:
    hatched, member = pair.hatched, pair.member
    assert type(hatched) is type(member)
    assert hatched.built and not hatched.compiled
    assert hatched.name == member.name
    assert _config(hatched) == _config(member)
    assert [(v.name, v.dtype, v.shape) for v in hatched.weights] == [
        (v.name, v.dtype, v.shape) for v in member.weights
    ]
    assert bool(pair.plan.inserted) == pair.case.inserts
    assert 0.0 <= pair.plan.inherited <= 1.0
    assert all(layer.name in str(pair.plan) for layer in pair.plan.layers)


def _config(model: keras.Model) -> Any:
    """A model's config, without the batch size with which an adapted layer was built."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key != "build_config"}
        return [strip(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return strip(model.get_config())


def test_growth_is_exact_in_training_mode(pair: Pair) -> None:
    """Copies have equal batch statistics. Without BatchNormalization training is inference."""
    kinds = {type(layer) for layer in live_layers(pair.hatched).values()}
    if keras.layers.BatchNormalization not in kinds or pair.case.inserts or pair.case.random:
        return
    found = max_deviation(pair.mother, pair.hatched, training=True)
    # What makes up for another epsilon holds for the moving variance, not for that of a batch.
    assert found <= (0.2 if pair.case.name == "norm_other_epsilon" else 1e-9)


def test_hatching_a_model_from_itself_is_the_identity(pair: Pair) -> None:
    again = hatch(pair.mother, pair.mother)
    for ours, theirs in zip(pair.mother.weights, again.weights, strict=True):
        assert np.array_equal(ours.value, theirs.value)
    results = outputs(pair.mother, pair.x), outputs(again, pair.x)
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second)
    plan = explain(pair.member, pair.member)
    assert plan.inherited == 1.0
    assert not plan.inserted


@pytest.mark.slow
def test_save_and_reload(pair: Pair, tmp_path: Path) -> None:
    pair.hatched.save(tmp_path / "hatched.keras")
    loaded = keras.models.load_model(tmp_path / "hatched.keras")
    assert distance(outputs(pair.hatched, pair.x), outputs(loaded, pair.x)) <= 1e-6


@pytest.mark.slow
def test_one_training_step_tells_copies_apart(pair: Pair) -> None:
    """Last of the module-wide tests: it trains the hatched model that all of them look at."""
    copies = list(_copies(pair.plan))
    assert bool(copies) == pair.case.copies
    before = [_columns(pair, *copy) for copy in copies]
    _train(pair.hatched)
    for copy, (first, second) in zip(copies, before, strict=True):
        assert np.abs(first - second).max() <= 1e-6
        first, second = _columns(pair, *copy)
        assert np.abs(first - second).max() > 1e-5, f"{copy} are still equal"


def _copies(plan: HatchPlan) -> Iterator[tuple[LayerPlan, VariablePlan, int, int, int]]:
    """Kernels with the axis and the two places along it that hold copies of one channel."""
    for layer in plan.layers:
        for variable in layer.variables:
            if len(variable.shape) < 2 or variable.name == "alpha":
                continue
            for axis, role in enumerate(variable.roles):
                channels = plan.maps[role.axis] if isinstance(role, Copy) else None
                if channels is None or channels.sign is not None:
                    continue
                for second, source in enumerate(channels.index):
                    first = int(np.flatnonzero(channels.index == source)[0])
                    if first != second:
                        yield layer, variable, axis, first, second


def _columns(
    pair: Pair, layer: LayerPlan, variable: VariablePlan, axis: int, first: int, second: int
) -> tuple[np.ndarray, np.ndarray]:
    """What two channels of a kernel compute: the shares of copied inputs added up again."""
    live = live_layers(pair.hatched)[layer.step.member.layer.path]
    value = np.array(keras.ops.convert_to_numpy(layer_variables(live)[variable.name].value))
    for position, role in enumerate(variable.roles):
        channels = pair.plan.maps[role.axis] if isinstance(role, Split) else None
        if channels is not None:
            rows = np.moveaxis(value, position, 0)
            summed = np.zeros((2 * channels.size, *rows.shape[1:]), value.dtype)
            negated = 0 if channels.sign is None else channels.size * (channels.sign < 0)
            np.add.at(summed, channels.index + negated, rows)
            value = np.moveaxis(summed, 0, position)
    return np.take(value, first, axis), np.take(value, second, axis)


def _train(model: keras.Model) -> None:
    x = examples(model, 16, seed=21)
    generator = np.random.default_rng(22)
    y = keras.tree.map_structure(
        lambda value: generator.normal(size=value.shape).astype("float32"), model(x)
    )
    model.compile(keras.optimizers.SGD(0.2), "mse", run_eagerly=True)
    before = weights(model)
    loss = model.train_on_batch(x, y)
    assert np.isfinite(loss)
    assert any(not np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True))


DOUBLE = [case for case in CASES.values() if case.double]


@pytest.mark.slow
@pytest.mark.parametrize("case", DOUBLE, ids=[case.name for case in DOUBLE])
def test_networks_of_float64_stay_so_and_agree(case: Case) -> None:
    with floats("float64"):
        mother, member = case.mother(), case.member()
        hatched = hatch(mother, member, seed=5)
        assert can_hatch(mother, member)
    assert {variable.dtype for variable in hatched.weights} <= {"float64", "int32", "int64"}
    x = examples(mother)
    assert distance(outputs(mother, x), outputs(member, x)) > DIFFERENT
    # TensorFlow holds the slope of leaky_relu as a float32, whatever it computes in.
    tolerance = 1e-8 if "leaky" in case.name else EXACT_64
    assert distance(outputs(mother, x), outputs(hatched, x)) <= tolerance
