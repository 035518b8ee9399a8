"""Exports of some of the members: by name, by a ranking, by the time that an answer takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from exported import FORMAT_TESTS, row_network, rows

from keras_mothernets import FullData, MotherNetsError, combine, export
from keras_mothernets.ensembles import exporter
from keras_mothernets.ensembles.export import FORMATS
from keras_mothernets.ensembles.latency import Latency, measure_latency


def three() -> list[keras.Model]:
    return [row_network(name, hidden) for name, hidden in (("a", 3), ("b", 5), ("c", 4))]


def names(card: Any) -> list[str]:
    return [member.name for member in card.members]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"members": ["c", "a"]}, ["c", "a"]),
        ({"members": [2, np.int64(0)]}, ["c", "a"]),
        ({"max_members": 2}, ["a", "b"]),
        ({"members": ["b", "c", "a"], "max_members": 2}, ["b", "c"]),
        ({"members": ["b", "c", "a"], "max_members": 9}, ["b", "c", "a"]),
    ],
    ids=str,
)
def test_some_of_the_members(settings: Any, expected: list[str], tmp_path: Path) -> None:
    models = three()
    card = export(models, tmp_path / "served", weights=[1, 2, 3], **settings)
    assert names(card) == expected
    weights = {"a": 1, "b": 2, "c": 3}
    shares = np.array([weights[name] for name in expected]) / sum(weights[n] for n in expected)
    np.testing.assert_allclose([member.weight for member in card.members], shares)
    by_name = {model.name: model(rows()["input"]) for model in models}
    found = FORMATS["tf_saved_model"].load(tmp_path / "served")(rows())
    for position, name in enumerate(expected):
        np.testing.assert_allclose(
            found["member_probabilities"][:, position], by_name[name], atol=1e-6
        )
    chosen = [model for name in expected for model in models if model.name == name]
    ensemble = combine(chosen, "weighted", weights=shares)(rows()["input"])
    np.testing.assert_allclose(found["probabilities"], ensemble, atol=1e-6)


def taking(milliseconds: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let an answer of so many members take so long; tells which batches were measured."""
    measured: list[int] = []

    def latency(self: exporter.Exporter, positions: Any, batch_size: int) -> Latency:
        measured.append(len(positions))
        return Latency(milliseconds[len(positions)], 99.0, 5, batch_size, "a test")

    monkeypatch.setattr(exporter.Exporter, "latency", latency)
    return measured


def test_members_are_added_while_the_answer_comes_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = taking({1: 1.0, 2: 2.0, 3: 3.5}, monkeypatch)
    ranking = ["b", "c", "a"]
    card = export(three(), tmp_path / "served", members=ranking, max_latency_ms=3.0, batch_size=4)
    assert names(card) == ["b", "c"] and measured == [1, 2, 3]
    assert card.latency is not None and card.latency.median_ms == 2.0
    assert "An answer took 2 ms for 4 example(s)" in (tmp_path / "served/MODEL_CARD.md").read_text()


def test_the_first_member_must_be_fast_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking({1: 7.0}, monkeypatch)
    with pytest.raises(MotherNetsError, match="first member alone is slower.*7 ms for 1 example"):
        export(three(), tmp_path / "served", max_latency_ms=3.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_latency_is_that_of_the_files(kind: str, tmp_path: Path) -> None:
    card = export(three()[:2], tmp_path / "served", kind, max_latency_ms=10_000.0, batch_size=3)
    assert names(card) == ["a", "b"] and card.latency is not None
    assert 0 < card.latency.median_ms <= card.latency.slowest_ms < 10_000
    assert (card.latency.batch_size, card.latency.answers) == (3, 30)


def test_the_median_counts_and_the_first_answers_do_not() -> None:
    waits = iter([0.2, 0.2, 0.2] + [0.0] * 29 + [0.05])
    latency = measure_latency(lambda: time.sleep(next(waits)), 1)
    assert latency.median_ms < 10 and 50 <= latency.slowest_ms < 150
    assert latency.answers == 30


@pytest.mark.slow
def test_a_method_that_was_fit(tmp_path: Path) -> None:
    method = FullData(three())
    with pytest.raises(MotherNetsError, match="no trained members yet"):
        export(method, tmp_path / "served")
    method.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    method.fit(rows()["input"], np.arange(7) % 3, epochs=1, verbose=0)
    card = export(method, tmp_path / "served")
    assert names(card) == ["a", "b", "c"] and card.task == "classification"
    found = FORMATS["tf_saved_model"].load(tmp_path / "served")(rows())
    expected = method.ensemble()(rows()["input"])
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
