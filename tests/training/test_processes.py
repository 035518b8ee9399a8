"""Several processes give what one gives, and survive the death of any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import psutil
import pytest

import keras_mothernets as km
from keras_mothernets.training.processes import Pool, environment

SCRIPT = Path(__file__).with_name("process_script.py")


def call(command: str, folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Run the script; its results, and what it says on its way if it fails."""
    out = folder / "out.npz"
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(out), command],
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(np.load(out)) if ended.returncode == 0 else {}, ended.stderr


def assert_same_by_kind(results: dict[str, np.ndarray]) -> None:
    here = {key: value for key, value in results.items() if "Local/" in key}
    assert len(here) > 20
    assert len(results) == 2 * len(here)
    for key, value in here.items():
        np.testing.assert_array_equal(value, results[key.replace("Local/", "Processes/")], key)


@pytest.mark.slow
def test_all_is_equal_bit_for_bit_with_layers_and_functions_of_a_script(tmp_path):
    results, said = call("compare", tmp_path)
    assert results, said
    assert_same_by_kind(results)


@pytest.mark.slow
def test_lost_workers_are_replaced_and_go_on_after_their_last_epoch(tmp_path):
    results, said = call("lose_workers", tmp_path)
    assert results, said
    assert_same_by_kind(results)
    assert not list(tmp_path.glob("*-?"))  # each one did die


@pytest.mark.slow
def test_a_job_that_always_loses_its_worker_is_named(tmp_path):
    results, said = call("always_die", tmp_path)
    assert not results
    assert "RunError: Job `deep` cannot go on: its worker process died 2 times" in said
    assert "by signal 9 (Killed)" in said
    assert (tmp_path / "run/jobs/small/state.json").exists()  # what was finished is kept


@pytest.mark.slow
def test_what_fails_in_a_worker_is_raised_with_its_place(tmp_path):
    results, said = call("diverge", tmp_path)
    assert not results
    assert "BadLoss: Job `deep`: the loss became nan in epoch 2" in said
    assert "in a worker process" in said


@pytest.mark.slow
def test_the_others_go_on_without_those_that_fail(tmp_path):
    results, said = call("leave_out", tmp_path)
    assert results, said
    assert {name.split("/")[0] for name in results} == {"small", "failed"}
    deep, wide = sorted(results["failed"])
    assert deep.startswith("deep: Job `deep` is left out: Job `deep` cannot go on: its worker")
    assert wide.startswith("wide: Job `wide` is left out: Job `wide`: the loss became nan")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them_and_the_run_goes_on(number, tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out.npz"), "go_on"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started = time.monotonic()
    while not list(tmp_path.glob("run/jobs/*/checkpoint/state.npz")):
        assert process.poll() is None
        assert time.monotonic() - started < 60
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    os.kill(process.pid, number)
    said = process.communicate()[1].decode()
    assert process.returncode == -number
    assert ("KeyboardInterrupt: Stopped. Call `fit` again" in said) == (number == signal.SIGINT)
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/jobs/*/state.json")}
    results, said = call("go_on", tmp_path)
    assert results, said
    assert len(list(tmp_path.glob("run/jobs/*/state.json"))) == 3
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"workers": 0}, "workers"), ({"threads": 1.5}, "threads"), ({"tries": True}, "tries")],
)
def test_numbers_are_checked(settings, named):
    with pytest.raises(km.MotherNetsError, match=f"`{named}` must be a whole number"):
        km.Processes(**settings)


def test_gpus_are_dealt_out_and_modules_are_found():
    assert [environment(n, 2)["CUDA_VISIBLE_DEVICES"] for n in range(3)] == ["0", "1", "0"]
    assert "CUDA_VISIBLE_DEVICES" not in {k: v for k, v in environment(0, 0).items() if v == "0"}
    assert str(Path(km.__file__).parents[1]) in environment(0, 0)["PYTHONPATH"].split(os.pathsep)


class Stillborn:
    """A worker that is dead when it is first heard."""

    def __init__(self, number, start):
        self.number, self.job = number, None
        self.connection, theirs = Pipe()
        theirs.close()

    def hear(self):
        return None

    def end(self):
        return "with exit code 1"


def test_workers_that_cannot_be_started_are_told_of():
    pool = Pool(2, ("", "", 1), make=Stillborn)
    with pytest.raises(km.RunError, match="No worker process can be started.*exit code 1"):
        list(pool.wait())
