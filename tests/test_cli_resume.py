"""`keras-mothernets resume`: a run goes on from its directory alone."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from keras_mothernets.cli import main
from keras_mothernets.training import interrupt

MODELS = """
from keras_mothernets import zoo

def make(input_shape, num_classes):
    return [
        zoo.mlp(input_shape, num_classes, hidden, scale=1 / 255, name=name)
        for name, hidden in {"narrow": (8, 8), "wide": (16, 12)}.items()
    ]
"""
TRAIN = ["train", "models.py:make", "digits", "--method", "fulldata", "--epochs", "2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of models, where the command is called."""
    (tmp_path / "models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def losses(run: Path) -> dict[str, str]:
    with (run / "ledger.csv").open() as file:
        return {row["job"]: row["loss"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_a_run_that_was_stopped_and_moved_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, "--run-dir", "whole"]) == 0
    steps = []

    def stop(callback: interrupt.StopWhenAsked, batch: int, logs: object = None) -> None:
        steps.append(batch)
        if len(steps) == 30:  # in the second job
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(interrupt.StopWhenAsked, "on_train_batch_end", stop)
        assert main([*TRAIN, "--run-dir", "run"]) == 130
    assert len(losses(Path("run"))) == 1
    shutil.move("run", "moved")
    capsys.readouterr()
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    assert main(["resume", "../moved"]) == 0
    said = capsys.readouterr().out
    assert "keras-mothernets train models.py:make digits --method fulldata" in said
    assert "narrow: is finished already" in said
    assert os.getcwd().endswith("elsewhere")
    os.chdir(folder)
    assert losses(Path("moved")) == losses(Path("whole"))
    assert not Path("run").exists()


def test_a_run_of_a_script_is_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run").mkdir()
    assert main(["resume", "run"]) == 2
    assert "There is no run of `keras-mothernets train`" in capsys.readouterr().err
    (folder / "run/plan.json").write_text("{}")
    assert main(["resume", "run"]) == 2
    said = capsys.readouterr().err
    assert "a run that a script has begun" in said and "Call the script again" in said


@pytest.mark.parametrize("text", ["", "[]", '{"arguments": 3}', "\0"])
def test_a_damaged_command_is_told(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run").mkdir()
    (folder / "run/command.json").write_text(text)
    assert main(["resume", "run"]) == 2
    assert "command.json` cannot be read" in capsys.readouterr().err


def test_a_refused_run_keeps_no_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run").mkdir()
    (folder / "run/plan.json").write_text(json.dumps({"version": 99}))  # somebody else's
    assert main([*TRAIN, "--run-dir", "run"]) == 2
    assert not (folder / "run/command.json").exists()
