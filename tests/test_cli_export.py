"""`keras-mothernets export`: from a run directory, or a folder, to files that answer."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mothernets.cli import main
from keras_mothernets.cli.kept_command import kept_arguments
from keras_mothernets.ensembles.export import FORMATS
from keras_mothernets.training import Job, JobRecord, LedgerRow, Plan, RunDirectory

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
A, B, C = (Job(name, "member", name, epochs=1) for name in "abc")
MOTHER = Job("mother", "mother", "m", epochs=1)
PLAN = Plan("MotherNets(seed=0)", (MOTHER, A, B, C))


def network(name: str, end: str | None = "softmax") -> keras.Model:
    layers = [keras.Input((4,)), keras.layers.Dense(3, activation=end)]
    return keras.Sequential(layers, name=name)


def finish(run: RunDirectory, job: Job, model: keras.Model) -> keras.Model:
    row = LedgerRow(job.name, job.role, job.network, epochs=1, wall_seconds=1.0)
    row.metrics.update(loss=0.5, val_accuracy=0.75)
    run.save(JobRecord(job, {"loss": [0.5]}, row), model)
    return model


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, list[keras.Model]]:
    """A run of a script; `c` is not finished."""
    directory = RunDirectory(tmp_path / "run")
    directory.open(PLAN)
    models = [finish(directory, job, network(job.name)) for job in (A, B)]
    directory.close()
    return tmp_path / "run", models


def test_the_members_of_a_run(
    run: tuple[Path, list[keras.Model]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, models = run
    out = tmp_path / "served"
    assert main(["export", str(folder), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "not finished" in said and "Received: `c`" in said and "--members a b" in said
    assert not out.exists()
    arguments = ["export", str(folder), "--out", str(out), "--members", "b", "a"]
    assert main([*arguments, "--class-names", "x", "y", "z", "--license", "MIT"]) == 0
    said = capsys.readouterr().out
    assert "MIT" in said and "| b: val_accuracy | 0.75 |" in said and "MotherNets(seed=0)" in said
    found = FORMATS["tf_saved_model"].load(out)({"input": X})
    for position, model in enumerate(reversed(models)):
        np.testing.assert_allclose(found["member_probabilities"][:, position], model(X), atol=1e-6)
    assert json.loads((out / "model_card.json").read_text())["class_names"] == ["x", "y", "z"]
    assert main([*arguments, "--max-members", "1"]) == 2
    assert "There is an export" in capsys.readouterr().err
    assert main([*arguments, "--max-members", "1", "--overwrite"]) == 0
    members = json.loads((out / "model_card.json").read_text())["members"]
    assert [member["name"] for member in members] == ["b"]


def test_a_folder_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    model = network("a", end=None)
    model.save(tmp_path / "models/first.keras")
    arguments = ["export", str(tmp_path / "models"), "--out", str(tmp_path / "served")]
    assert main(arguments) == 2
    assert "not known what member `first` gives" in capsys.readouterr().err
    assert main([*arguments, "--logits", "yes", "--endpoints", "probabilities"]) == 0
    found = FORMATS["tf_saved_model"].load(tmp_path / "served")({"input": X})
    assert list(found) == ["probabilities"]
    np.testing.assert_allclose(found["probabilities"], keras.ops.softmax(model(X)), atol=1e-6)


def test_what_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "no"), "--out", str(tmp_path / "served")]) == 2
    assert "There is no folder" in capsys.readouterr().err


MODELS = """
from keras_mothernets import zoo

def make(input_shape, num_classes):
    return [
        zoo.mlp(input_shape, num_classes, (8,), scale=1 / 255, name=name) for name in ("one", "two")
    ]
"""


@pytest.mark.slow
def test_a_run_of_train_knows_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    train = ["train", "models.py:make", "digits", "--method", "fulldata", "--epochs", "1"]
    assert main([*train, "--run-dir", "run"]) == 0
    assert main(["export", "run", "--out", "served"]) == 0
    card = json.loads(Path("served/model_card.json").read_text())
    assert card["class_names"] == [str(digit) for digit in range(10)]
    assert card["task"] == "classification" and card["given"]["data"] == "Data set `digits`"
    assert [member["name"] for member in card["members"]] == ["one", "two"]
    assert "one: val_accuracy" in card["given"]["measures"]


def test_the_data_folder_of_a_run_is_meant_from_where_it_was_called(tmp_path):
    values = {"arguments": ["train", "demo", "digits", "--data-dir", "data"], "folder": "/there"}
    (tmp_path / "command.json").write_text(json.dumps(values))
    assert kept_arguments(tmp_path).data_dir == Path("/there/data")
    values["arguments"][-1] = "/mine"
    (tmp_path / "command.json").write_text(json.dumps(values))
    assert kept_arguments(tmp_path).data_dir == Path("/mine")
