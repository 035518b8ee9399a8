"""The table of results: kept, read again, and what is chosen from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_results import rows

from keras_mothernets.comparison import Results, Row, draw_all, seconds_to, table
from keras_mothernets.errors import MotherNetsError


@pytest.fixture
def results() -> Results:
    made: list[Row] = []
    for seed in (0, 1):
        for budget in (5, 10):
            shift = 0.01 * seed
            made += rows("FullData", budget, seed, error=1 / budget + shift, seconds=60 * budget)
            made += rows(
                "MotherNets", budget, seed, error=0.8 / budget + shift, seconds=50 * budget,
                held_out=0.9,
            )  # fmt: skip
            made += rows(
                "MotherNets", budget, seed, error=0.7 / budget + shift, seconds=50 * budget,
                settings="tree=True", held_out=0.95,
            )  # fmt: skip
    return Results(made)


def test_the_table_is_read_as_it_was_written(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.csv")
    again = Results.read(tmp_path / "results.csv")
    assert [(row.cell, row.part, row.name, row.measure) for row in again.rows] == [
        (row.cell, row.part, row.name, row.measure) for row in results.rows
    ]
    np.testing.assert_allclose(
        [row.value for row in again.rows], [row.value for row in results.rows], rtol=1e-6
    )
    assert Results.read(tmp_path / "none.csv").rows == []


@pytest.mark.parametrize("content", ["method,budget\nFullData,5\n", "a\nb\n"])
def test_another_table_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(content)
    with pytest.raises(MotherNetsError, match="is not as this version writes it"):
        Results.read(tmp_path / "results.csv")


def test_the_best_variant_is_chosen_on_held_out_examples(results: Results) -> None:
    best = results.best("MotherNets", 5)  # the other one is better on test examples
    assert [(cell.settings, cell.seed) for cell in best] == [("", 0), ("", 1)]
    assert len(results.variants("MotherNets", 5)) == 2
    assert results.best("Bagging", 5) == []


def test_a_variant_with_fewer_seeds_is_not_chosen(results: Results) -> None:
    results.rows += rows(
        "FullData", 5, 0, error=0.1, seconds=9.0, settings="learning_rate=0.2", held_out=0.1
    )
    assert {cell.settings for cell in results.best("FullData", 5)} == {""}


def test_the_time_to_an_error_is_read_off_between_budgets(results: Results) -> None:
    # Means over seeds are 0.205 at 300 s and 0.105 at 600 s.
    half_way = seconds_to(results, "FullData", 0.155)
    assert half_way == pytest.approx(np.sqrt(300 * 600))
    assert seconds_to(results, "FullData", 0.1051, "cpu") == pytest.approx(1200, rel=1e-3)
    assert seconds_to(results, "FullData", 0.3) == pytest.approx(300)
    assert seconds_to(results, "FullData", 0.1) is None


def test_the_table_in_words(results: Results) -> None:
    lines = table(results).splitlines()
    assert len(lines) == 7
    assert lines[1].split()[:5] == ["5", "FullData*", "learning_rate=0.1", "5.0", "±"]
    assert [line for line in lines if "MotherNets*" in line][0].split()[2] == "learning_rate=0.1"
    assert len(table(results, variants=False).splitlines()) == 5


def test_all_pictures_are_drawn_and_say_what_they_show(results: Results, tmp_path: Path) -> None:
    paths = draw_all(results, tmp_path, title="V5 on made-up data", suffix=".svg")
    words = {
        "error_against_time": ["FullData", "best of all at each time", "V5 on made-up data"],
        "time_per_network": ["mother", "MotherNets", "wall clock time of training"],
        "growth": ["members averaged", "test error of the ensemble"],
        "cost": ["US cents at 0.90 and 3.06 USD per hour", "What 10.5 % test error costs"],
        "diversity": ["disagreement of two members", "FullData: ensemble 10.5 %"],
    }
    assert [path.stem for path in paths] == list(words)
    for path in paths:
        text = path.read_text()
        for wanted in words[path.stem]:
            assert wanted in text, f"{path.stem}: {wanted}"


def test_methods_that_do_not_get_there_are_said_not_to(results: Results, tmp_path: Path) -> None:
    for seed in (0, 1):
        results.rows += rows("Bagging", 10, seed, error=0.5, seconds=100.0)
    draw_all(results, tmp_path, title="V5", suffix=".svg")
    assert "not reached with these budgets" in (tmp_path / "cost.svg").read_text()
