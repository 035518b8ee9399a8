"""Every public name says what it takes, gives and refuses, and shows it in an example."""

from __future__ import annotations

import re

import pytest
from docstring_parts import Public, public

PUBLIC = public()
# Functions and classes; the others are methods and properties of these.
WHOLE = {name: each for name, each in PUBLIC.items() if "." not in name}
WHOLE |= {name: each for name, each in PUBLIC.items() if re.match(r"(zoo|datasets)\.\w+$", name)}

# Examples that cannot run where tests do, and why.
CANNOT_RUN = {
    "measure_device": "takes a minute",
    "AdaptiveMotherNets": "needs a measured device",
    "TensorBoard": "needs an extra",
}
REFUSES_NOTHING = {"measure_device"}
# What comes from no paper: plumbing, data, drawing, and what Keras has too.
OURS_ALONE = {
    "Cluster",
    "DataError",
    "GraphError",
    "Local",
    "Member",
    "MotherNetsError",
    "Predictions",
    "Processes",
    "Ray",
    "Rule",
    "RunError",
    "SurgeryError",
    "TensorBoard",
    "can_hatch",
    "datasets.Dataset",
    "datasets.class_names",
    "datasets.load",
    "max_deviation",
    "plot_architecture",
    "plot_hatching",
    "register_rule",
    "report",
    "zoo.mlp",
}


def of(parts: dict[str, Public]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(parts))


def test_all_that_is_public_is_looked_at() -> None:
    assert {"MotherNets", "Method.fit", "Rule.flow", "zoo.v5", "datasets.load"} <= set(PUBLIC)
    assert {"Measures.diversity", "Cluster.mothernet", "Predictions.of"} <= set(PUBLIC)
    assert len(WHOLE) > 50 and len(PUBLIC) > 120


@of(PUBLIC)
def test_it_begins_with_a_sentence(name: str) -> None:
    assert re.search(r"[.:?]$", PUBLIC[name].section("summary").strip().split("\n\n")[0])


@of(PUBLIC)
def test_it_explains_its_arguments(name: str) -> None:
    if not PUBLIC[name].is_property:
        assert PUBLIC[name].told("Args") == PUBLIC[name].arguments


@of(PUBLIC)
def test_it_says_what_it_gives(name: str) -> None:
    each = PUBLIC[name]
    if not each.is_class and not each.is_property and each.gives_something:
        assert each.section("Returns").strip()


@of(PUBLIC)
def test_it_says_what_it_raises(name: str) -> None:
    assert PUBLIC[name].raised <= {*PUBLIC[name].told("Raises")}


@of({name: each for name, each in WHOLE.items() if not each.is_class})
def test_a_function_says_what_it_refuses(name: str) -> None:
    assert bool(PUBLIC[name].told("Raises")) is (name not in REFUSES_NOTHING)


@of(WHOLE)
def test_it_has_an_example_that_runs(name: str) -> None:
    """That it gives what it says is another test: doctests are collected from all modules."""
    lines = re.findall(r">>> (?:.*(?:\n\s*\.\.\. .*)*)", WHOLE[name].section("Example"))
    assert lines
    assert all("doctest: +SKIP" in line for line in lines) is (name in CANNOT_RUN)


@of(WHOLE)
def test_it_tells_where_it_comes_from(name: str) -> None:
    assert bool(WHOLE[name].section("Source").strip()) is (name not in OURS_ALONE)
