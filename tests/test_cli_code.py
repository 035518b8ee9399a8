"""Files of networks that bring Python code: it runs only if the user says so."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from keras_mothernets import zoo
from keras_mothernets.cli import main

layers = keras.layers
FROM_SCRATCH = ["--method", "fulldata", "--epochs", "1"]


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """The file that the code in the files of networks makes when it runs."""
    return tmp_path / "it_ran"


@pytest.fixture(params=["sequential", "functional"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, proof: Path) -> str:
    """A folder with a harmless network and one with a `Lambda` in it."""
    code = eval(f"lambda x: (open({str(proof)!r}, 'w').close(), x)[1]")
    inputs = keras.Input((8, 8, 1))
    parts = [layers.Flatten(), layers.Lambda(code, name="evil"), layers.Dense(10, "softmax")]
    model = keras.Sequential([inputs, *parts])
    if request.param == "functional":
        model = keras.Model(model.inputs, model.outputs)
    there = tmp_path / "models"
    there.mkdir()
    zoo.mlp((8, 8, 1), 10, (4,)).save(there / "good.keras")
    model.save(there / "bad.keras")
    proof.unlink()  # it ran while the network was made
    return str(there)


@pytest.mark.parametrize("command", [["inspect"], ["train", "digits", *FROM_SCRATCH]])
def test_code_in_a_file_is_refused_and_does_not_run(
    command: list[str], folder: str, proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command[0], folder, *command[1:]]) == 2
    said = capsys.readouterr().err
    assert f"`{folder}/bad.keras` holds Python code that would run when it is loaded" in said
    assert "in layer `evil`" in said and "--allow-code" in said
    assert not proof.exists()


def test_code_runs_if_it_is_allowed(
    folder: str, proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", folder, "digits", *FROM_SCRATCH, "--allow-code"]) == 0
    assert "FullData" in capsys.readouterr().out
    assert proof.exists()


def test_what_is_loaded_may_still_have_no_rule(
    folder: str, proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", folder, "--allow-code"]) == 2
    assert "Layer `evil`: there is no rule for the layer class `Lambda`" in capsys.readouterr().err
    assert proof.exists()


@pytest.mark.slow
def test_other_processes_may_run_it_too(folder: str, proof: Path) -> None:
    options = ["--workers", "2", "--allow-code"]
    assert main(["train", folder, "digits", *FROM_SCRATCH, *options]) == 0
    assert proof.exists()


@pytest.mark.slow
def test_who_goes_on_with_a_run_must_allow_it_too(
    folder: str, proof: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    options = ["--allow-code", "--run-dir", run]
    assert main(["train", folder, "digits", *FROM_SCRATCH, *options]) == 0
    keras.utils.clear_session()  # as another process would begin
    proof.unlink()
    assert main(["resume", run]) == 2
    assert "--allow-code" in capsys.readouterr().err
    assert not proof.exists()
    assert main(["resume", run, "--allow-code"]) == 0
    assert proof.exists()
