"""The parts of the tools that would be found broken only after hours of training."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import benchmark_statistics  # noqa: E402
import compare_cifar10  # noqa: E402
import compare_report  # noqa: E402
import coverage_parts  # noqa: E402
import kill_campaign  # noqa: E402
import killed_runs  # noqa: E402
import simulate_scale  # noqa: E402

from keras_mothernets import EnsembleStatistics  # noqa: E402
from keras_mothernets.comparison import Results  # noqa: E402
from keras_mothernets.errors import MotherNetsError  # noqa: E402

SETTINGS = compare_cifar10.Settings(0.125, 100, 50, 32, 0.1, 5e-4, "")


def _cell(method: str, budget: str, seed: int, error: float) -> compare_report.Cell:
    return compare_report.Cell(
        method, budget, seed, "a:1", 60.0, 120.0, 10.0, error, error + 0.1, error, 1.5, 0.2
    )


@pytest.mark.parametrize(
    ("text", "method", "epochs", "clusters"),
    [
        ("fulldata:20", "FullData", [20], 1),
        ("mothernets:20+10", "MotherNets", [20, 10], 1),
        ("mothernets-g2:20+10", "MotherNets, 2 clusters", [20, 10], 2),
    ],
)
def test_budgets(text: str, method: str, epochs: list[int], clusters: int) -> None:
    budget = compare_cifar10.Budget(text)
    assert (budget.method, budget.epochs, budget.clusters) == (method, epochs, clusters)


@pytest.mark.parametrize(
    "text", ["fulldata", "fulldata:2+1", "mothernets:20", "bagging:3", "mothernets-gx:1+1", ""]
)
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        compare_cifar10.Budget(text)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    cells = [_cell("FullData", "20", 0, 0.4), _cell("MotherNets", "20+10", 1, 0.35)]
    for cell in cells:
        compare_cifar10.append(tmp_path / "results.csv", cell)
    assert compare_report.read_cells(tmp_path / "results.csv") == cells
    (tmp_path / "results.csv").write_text("method,budget\nFullData,20\n")
    with pytest.raises(MotherNetsError, match="is not as this version writes it"):
        compare_report.read_cells(tmp_path / "results.csv")


def test_two_comparisons_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    compare_cifar10.keep_settings(path, SETTINGS)
    compare_cifar10.keep_settings(path, SETTINGS)
    other = compare_cifar10.Settings(0.25, 100, 50, 32, 0.1, 5e-4, "")
    with pytest.raises(MotherNetsError, match="holds a comparison with other settings"):
        compare_cifar10.keep_settings(path, other)


def test_the_table_has_mean_and_spread_over_seeds() -> None:
    cells = [_cell("FullData", "20", seed, error) for seed, error in ((0, 0.40), (1, 0.42))]
    line = compare_report.table(cells).splitlines()[2]
    assert line.startswith("| FullData | 20 | 10 | 2.0 ± 0.0 | 41.0 ± 1.4 | 51.0 ± 1.4 |")
    assert line.endswith("| 2 |")


def test_a_coverage_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    section = coverage_parts.Section("things", ("name", "read"), "Text.")
    rows = {name: section.row(name, "yes") for name in ("one", "two")}
    path = tmp_path / "table.md"
    for _ in range(2):
        section.write(path, rows)
        assert section.read(path) == rows
    assert path.read_text().count("---") == 2


def test_of_a_network_that_is_killed_on_the_way_the_table_has_what_was_known() -> None:
    section = coverage_parts.Section("things", ("name", "read", "widened", "deepened"), "Text.")
    row = section.unfinished("one", 'noise\n{"read": "yes"}\n', "no memory left")
    assert row == {"name": "one", "read": "yes", "widened": "no memory left", "deepened": "-"}
    assert section.unfinished("two", None, "killed") == section.row("two", "killed")


def _measured() -> simulate_scale.Measured:
    """From the results that are kept; the numbers of parameters are made up."""
    names = (simulate_scale.MOTHER, "V13", "V16", "V16A", "V16B", "V19")
    parameters = {name: 1000 * number for number, name in enumerate(names, start=1)}
    results = Results.read(simulate_scale.KEPT / "results.csv")
    return simulate_scale.read_measured(results, parameters)


def test_simulated_seconds_are_those_that_were_measured_and_not_those_predicted_from() -> None:
    measured = _measured()
    assert measured.members == ["V13", "V16", "V16A", "V16B", "V19"]
    assert 36.78 < 10 * measured.seconds["V13"][0] < 36.79  # FullData, 10 epochs
    assert [row.wall_seconds for row in measured.earlier][0] == 20.53058  # FullData, 5 epochs
    assert not any(abs(5 * time - 20.53058) < 1e-6 for time in measured.seconds["V13"])
    plan = simulate_scale.full_data_plan(50, measured, seed=0)
    seconds = simulate_scale.draw_seconds(plan, measured, seed=0)
    for job in plan:
        each = seconds[job.name] / job.epochs
        assert any(each == pytest.approx(time) for time in measured.seconds[job.network])


def test_simulated_clusters_have_a_mother_each() -> None:
    plan = simulate_scale.mothernets_plan(45, 20, _measured(), seed=0)
    children = [len(plan.children(job.name)) for job in plan if job.role == "mother"]
    assert children == [20, 20, 5]
    assert len(plan.members) == 45
    assert len({job.network for job in plan.members}) == 5


def test_the_page_of_scale_has_a_line_for_every_plan_and_number_of_workers() -> None:
    measured = _measured()
    arguments = argparse.Namespace(members=[40], workers=[1, 7], cluster_size=20, seed=0)
    found = list(simulate_scale.scales(arguments, measured))
    assert all(scale.is_good for scale in found)
    page = simulate_scale.page(found, measured, arguments)
    assert page.count("| MotherNets | 40 | 42 |") == page.count("| FullData | 40 | 40 |") == 2
    assert page.count("| MotherNets | 40 | 7 | 10 |") == 1
    slow = replace(found[0], overhead=5.1)
    late = replace(found[0], run=replace(found[0].run, makespan=2.1 * found[0].bound))
    assert not slow.is_good and not late.is_good


END = killed_runs.Life(0, "end", "", "", "", 5.0, 0, 9, is_same=True)
BY_TIMER = replace(END, run=1, how="timer", phase="member", job="a", seconds=2.0, epochs=4)
AT_POINT = replace(BY_TIMER, how="point", phase="state.json", point="before the rename")
SECOND = replace(END, run=1, finished=2, epochs=6)


def test_the_page_of_kills_is_written_from_what_is_kept(tmp_path: Path) -> None:
    lives = [END, BY_TIMER, AT_POINT, SECOND]
    table, page = tmp_path / "kept" / "kills.csv", tmp_path / "kills.md"
    kill_campaign.write(table, lives, command="tools/kill_campaign.py --kills 2")
    assert kill_campaign.read(table) == (lives, "tools/kill_campaign.py --kills 2")
    assert kill_campaign.main(["--draw", "--csv", str(table), "--page", str(page)]) == 1
    text = page.read_text()
    assert "\n    tools/kill_campaign.py --kills 2\n" in text
    assert "**2 kills in 1 runs: all of the runs" in text
    assert "| member | 1 | 0 | 1 | 0 | 2.0 |" in text
    assert "| state.json | before the rename | 1 | yes |" in text


@pytest.mark.parametrize(
    ("lives", "is_good"),
    [
        ([END, BY_TIMER, replace(SECOND, epochs=6)], True),
        ([END, BY_TIMER, replace(SECOND, epochs=7)], False),
        ([END, BY_TIMER, replace(SECOND, epochs=5, trained_again=1)], False),
        ([END, BY_TIMER, replace(SECOND, epochs=5, is_same=False)], False),
        ([END, BY_TIMER, replace(SECOND, epochs=5, how="missed")], False),
    ],
    ids=["one epoch lost", "two epochs lost", "trained again", "another result", "not passed"],
)
def test_a_campaign_is_good_if_nothing_is_lost(
    lives: list[killed_runs.Life], is_good: bool
) -> None:
    assert kill_campaign.is_good(lives) is is_good


def test_a_finished_job_that_is_written_again_is_another_one(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "jobs" / "a"
    folder.mkdir(parents=True)
    for name in ("model.keras", "history.csv"):
        (folder / name).write_text(name)
    assert killed_runs._finished(tmp_path) == {}
    (folder / "state.json").write_text("{}")
    before = killed_runs._finished(tmp_path)
    assert before == killed_runs._finished(tmp_path)
    (folder / "new").write_text("model.keras")
    os.replace(folder / "new", folder / "model.keras")
    assert list(killed_runs._finished(tmp_path)) == ["a"]
    assert killed_runs._finished(tmp_path) != before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are forked as on Linux")
def test_kills_at_random_instants(tmp_path: Path) -> None:
    table, page = tmp_path / "kills.csv", tmp_path / "kills.md"
    tool = [sys.executable, kill_campaign.__file__, "--csv", str(table), "--page", str(page)]
    done = subprocess.run([*tool, "--kills", "2", "--no-points", "--epochs", "2"], check=False)
    lives, _ = kill_campaign.read(table)
    assert (done.returncode, kill_campaign.is_good(lives)) == (0, True)
    assert sum(life.how == "timer" for life in lives) >= 2
    assert page.read_text() == kill_campaign.page(*kill_campaign.read(table))


def test_statistics_from_sums_and_from_predictions_are_compared_on_the_same_answers() -> None:
    predictions = benchmark_statistics.made_up(6, 300)
    asked = benchmark_statistics.questions(6, 300, 10)
    answers: list[list[benchmark_statistics.Answer]] = [[], []]
    statistics = EnsembleStatistics(predictions, chunk=16)
    benchmark_statistics.answer(benchmark_statistics.from_sums, statistics, asked, answers[0])
    benchmark_statistics.answer(
        benchmark_statistics.from_predictions, predictions, asked, answers[1]
    )
    assert benchmark_statistics.largest_difference(*answers) < 1e-12
    others: list[benchmark_statistics.Answer] = []
    predictions = benchmark_statistics.made_up(6, 300, seed=1)
    benchmark_statistics.answer(benchmark_statistics.from_predictions, predictions, asked, others)
    assert benchmark_statistics.largest_difference(answers[0], others) > 1e-3


@pytest.mark.parametrize(("members", "examples", "chunk"), [(3, 100, 32), (40, 333, 16), (1, 5, 8)])
def test_the_formula_of_the_page_of_statistics_is_exact(
    members: int, examples: int, chunk: int
) -> None:
    statistics = EnsembleStatistics(benchmark_statistics.made_up(members, examples), chunk=chunk)
    statistics.error_products()
    label = int(statistics.predictions.labels[0])
    statistics.of_class(label).error_products()
    classes = benchmark_statistics.CLASSES
    predicted = benchmark_statistics.predicted_bytes(members, examples, classes, chunk)
    assert statistics.nbytes == predicted
