"""`keras-mothernets status`: what is told of a run while it goes on."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mothernets.cli import main
from keras_mothernets.training import Hatch, Job, JobRecord, LedgerRow, Plan, RunDirectory
from keras_mothernets.training.checkpoint import Checkpoint
from keras_mothernets.training.versions import versions_here

MOTHER = Job("mother", "mother", "m", epochs=20)
A, B, C = (Job(name, "member", name, start=Hatch("mother"), epochs=4) for name in "abc")
TREE = Job("second", "mother", "n", epochs=8)
D = Job("d", "member", "d", start=Hatch("second"), epochs=4)
PLAN = Plan("MotherNets(seed=0)", (MOTHER, A, B, C, TREE, D))


def finish(run: RunDirectory, job: Job, epochs: int, seconds: float, loss: float) -> None:
    row = LedgerRow(job.name, job.role, job.network, epochs=epochs, wall_seconds=seconds)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    row.metrics.update(loss=loss)
    run.save(JobRecord(job, {"loss": [loss] * epochs}, row), model)


def keep(run: RunDirectory, job: Job, losses: list[float], seconds: float) -> None:
    logs = [{"loss": np.float32(loss)} for loss in losses]
    costs = {"deviation": None, "hatch_seconds": 0.0, "wall_seconds": seconds, "cpu_seconds": 0.0}
    run.checkpoint(job).write(Checkpoint("", logs, False, [np.zeros(3)], [], [], **costs))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """The mother stopped early, `a` is done, `b` under way, `c` damaged, `second` not begun."""
    run = RunDirectory(tmp_path / "run")
    run.open(PLAN)
    finish(run, MOTHER, 15, 100.0, 0.5)
    for job in (A, C):
        finish(run, job, 4, 30.0, 0.25)
    (run.files.folder(C) / "state.json").write_text("{")
    keep(run, B, [0.75, 0.375], 11.0)
    return run


def test_a_line_for_each_job(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(run.path)]) == 0
    method, header, *lines, last = capsys.readouterr().out.splitlines()
    assert method == PLAN.method
    assert header.split() == ["job", "role", "state", "epochs", "time", "loss"]
    assert [re.split(r"  +", line.strip()) for line in lines] == [
        ["mother", "mother", "finished", "15/20", "1:40", "0.5"],
        ["a", "member", "finished", "4/4", "0:30", "0.25"],
        ["b", "member", "in progress", "2/4", "0:11", "0.375"],
        ["c", "member", "damaged, will be done again", "0/4", "0:00"],
        ["second", "mother", "not begun", "0/8", "0:00"],
        ["d", "member", "waiting for second", "0/4", "0:00"],
    ]
    this = f"process {os.getpid()} on `{socket.gethostname()}`, which is this one"
    assert last == f"2 of 6 jobs finished, 2:21 so far. Written by {this}."
    run.close()
    assert main(["status", str(run.path)]) == 0
    assert capsys.readouterr().out.endswith("2:21 so far. Nobody writes there now.\n")


def test_the_same_for_programs(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(run.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["method"], told["seconds"]) == (PLAN.method, 141.0)
    assert told["versions"] == versions_here()
    assert told["writer"] == {"process": os.getpid(), "host": socket.gethostname()}
    assert told["jobs"][2] == {
        "job": "b",
        "role": "member",
        "state": "in progress",
        "epochs_done": 2,
        "epochs": 4,
        "waits_for": [],
        "seconds": 11.0,
        "metrics": {"loss": 0.375},
    }
    assert told["jobs"][5]["waits_for"] == ["second"]
    run.close()
    assert main(["status", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["writer"] is None


def test_a_job_of_another_plan_is_not_believed(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.files.folder(A) / "state.json").replace(run.files.folder(C) / "state.json")
    (run.files.folder(A) / "model.keras").unlink()
    assert main(["status", str(run.path), "--json"]) == 0
    states = {job["job"]: job["state"] for job in json.loads(capsys.readouterr().out)["jobs"]}
    assert (states["a"], states["c"]) == ("not begun", "damaged")


def test_nothing_is_written(run: RunDirectory) -> None:
    def content() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in run.path.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = content()
    assert main(["status", str(run.path)]) == 0
    assert content() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "There is no run in `{path}/none`. Expected: a folder that was the `run_dir`"),
        ("empty", "There is no run in `{path}/empty`."),
        ("file", "There is no run in `{path}/file`."),
        ("broken", "The plan in run directory `{path}/broken` cannot be read."),
    ],
)
def test_what_is_no_run_is_one_sentence(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "plan.json").write_text("{")
    assert main(["status", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("keras-mothernets status: ") and said.count("\n") == 1
    assert message.replace("{path}", str(tmp_path)) in said
    assert list((tmp_path / "empty").iterdir()) == []
