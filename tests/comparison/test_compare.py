"""Whole comparisons, small, and what is left of them when they are stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest

import keras_mothernets as km
from keras_mothernets.cli import main
from keras_mothernets.comparison import METHODS, Entry, Grid, Results, Task, compare

SETTINGS = {"ensemble": "three", "width": 1.0}


def _grid(*texts: str, seeds: tuple[int, ...] = (0,), budgets: tuple[int, ...] = (2,)) -> Grid:
    return Grid([Entry.parse(text) for text in texts], budgets, [0.003], seeds)


def _quiet(line: str) -> None:
    pass


@pytest.mark.slow
def test_all_methods_are_trained_and_measured(task: Task, tmp_path: Path) -> None:
    lines: list[str] = []
    results = compare(_grid(*METHODS, budgets=(6,)), task, tmp_path, SETTINGS, lines.append)
    assert len(results.methods) == len(METHODS) == 7
    for cell in results.cells:
        errors = results.values(cell, "test_error", "member")
        assert len(errors) == 3
        assert results.value(cell, "mean_member_error") == pytest.approx(sum(errors.values()) / 3)
        assert results.value(cell, "test_error", "size", "3") == results.value(cell, "test_error")
        assert results.value(cell, "oracle_error") <= min(errors.values())
        jobs = results.values(cell, "wall_seconds", "job")
        assert sum(jobs.values()) == pytest.approx(results.value(cell, "wall_seconds"), rel=1e-4)
    flops = [results.value(cell, "flops") for cell in results.cells]
    assert max(flops) < 1.25 * min(flops)  # equal budgets, as far as whole epochs go
    assert lines[0] == "[1/7] MotherNets, learning rate 0.003, budget 6, seed 0"


def test_what_is_named_twice_is_trained_once() -> None:
    grid = _grid("fulldata", "bagging", "fulldata", budgets=(2, 2))
    assert [(str(entry), cell.budget) for entry, cell in grid] == [("fulldata", 2), ("bagging", 2)]
    assert len(grid) == 2


@pytest.mark.slow
def test_finished_ensembles_are_not_trained_again(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[str] = []
    fit = keras.Model.fit

    def counted(self: keras.Model, *args: object, **kwargs: object) -> object:
        fits.append(self.name)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", counted)
    first = compare(_grid("fulldata"), task, tmp_path, SETTINGS, _quiet)
    assert fits == ["narrow", "wide", "deep"]
    both = compare(_grid("fulldata", "mothernets"), task, tmp_path, SETTINGS, _quiet)
    assert fits[3:] == ["narrow", "wide", "deep"]  # the first is the mother of all three
    assert both.cells[:1] == first.cells and len(both.cells) == 2
    assert Results.read(tmp_path / "results.csv").cells == both.cells


def test_a_folder_of_another_comparison_is_refused(task: Task, tmp_path: Path) -> None:
    compare(_grid(), task, tmp_path, SETTINGS, _quiet)
    with pytest.raises(km.MotherNetsError, match="holds a comparison with other settings"):
        compare(_grid(), task, tmp_path, {**SETTINGS, "width": 0.5}, _quiet)


def test_what_is_refused_is_refused_before_anything_trains(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.Model, "fit", None)
    grid = _grid("fulldata", "mothernets(n_clusters=7)")
    with pytest.raises(km.MotherNetsError, match="`n_clusters` is larger than the number"):
        compare(grid, task, tmp_path, SETTINGS, _quiet)


@pytest.mark.slow
def test_all_seeds_and_methods_begin_with_their_own_and_the_same_weights(
    task: Task, tmp_path: Path
) -> None:
    results = compare(
        _grid("fulldata", "fulldata(learning_rate=1e-9)", seeds=(0, 1)), task, tmp_path, SETTINGS,
        _quiet,
    )  # fmt: skip
    still = {cell.seed: cell for cell in results.cells if cell.settings}
    errors = [results.values(still[seed], "test_error", "member") for seed in (0, 1)]
    assert errors[0] != errors[1]
    assert len({results.value(cell, "test_nll") for cell in results.cells}) == 4


COMMAND = (
    "compare demo digits --optimizer adam --learning-rates 0.002 --budgets 1 --train-size 256 "
    "--test-size 100 --methods fulldata mothernets"
).split()


@pytest.mark.slow
def test_the_command_draws_and_draws_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "digits: 256 training, 28 validation and 100 test images" in said
    assert said.count("Picture: ") == 5
    assert re.search(r"^1 +MotherNets\* +learning_rate=0.002", said, re.MULTILINE)
    picture = tmp_path / "growth.png"
    picture.unlink()
    assert main(["compare", "demo", "digits", "--draw", "--out", str(tmp_path)]) == 0
    assert picture.exists()


BAD = {
    "no results": (["--draw"], "There are no results in"),
    "no method": (["--methods", "boosting"], "There is no method `boosting`"),
    "nothing held out": (["--validation", "0"], "--validation must be above 0"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_arguments_that_cannot_be_used(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "demo", "digits", "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_comparison_goes_on_without_repeating_a_finished_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "keras_mothernets", *COMMAND, "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(km.__file__).parents[1])}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    ledgers: list[Path] = []
    end = time.monotonic() + 120
    # Killed as soon as a few jobs of the second ensemble are finished.
    while time.monotonic() < end and len(ledgers) < 2:
        ledgers = sorted(tmp_path.glob("runs/MotherNets*/jobs/*/state.json"))
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(ledgers) >= 2, "the second ensemble was never begun"
    finished = {
        path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/jobs/*/model.keras")
    }
    lines = (tmp_path / "results.csv").read_text().splitlines()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "[1/2]" not in done.stdout and "[2/2] MotherNets" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert (tmp_path / "results.csv").read_text().splitlines()[: len(lines)] == lines
    assert len(Results.read(tmp_path / "results.csv").cells) == 2
