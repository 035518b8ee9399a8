"""A Ray cluster gives what one process gives, and survives the death of its workers."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import keras_mothernets as km

ray = pytest.importorskip("ray")
script = pytest.importorskip("ray_script")  # workers find it where it is found here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """A cluster of this machine that says it has two cores."""
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        logging_level=logging.WARNING, object_store_memory=128 * 2**20,
    )  # fmt: skip
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, script.__file__, str(folder / "out.npz"), *words]
    return subprocess.Popen(command, env={**os.environ, **environment})


def results(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """What the script has written, by kind."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, value in np.load(folder / "out.npz").items():
        kind, _, name = key.partition("/")
        found.setdefault(kind, {})[name] = value
    return found


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], name)


@pytest.fixture(scope="module")
def compared(address, tmp_path_factory):
    """Where the script has trained a mother and six members in all ways."""
    folder = tmp_path_factory.mktemp("compared")
    assert start(folder, "compare", address).wait() == 0
    return folder


def test_all_is_equal_bit_for_bit(compared):
    found = results(compared)
    jobs = {name.split("/")[0] for name in found["here"] if "loss" in name}
    assert len(jobs) == 7
    assert_same(found["here"], found["kept"])
    assert_same(found["small here"], found["small own"])


def test_and_where_workers_do_not_see_the_run_directory(compared):
    found = results(compared)
    assert_same(found["here"], found["sent"])
    assert_same(found["small here"], found["small sent"])
    kept = sorted(path.name for path in compared.glob("kept/jobs/*/*"))
    assert sorted(path.name for path in compared.glob("sent/jobs/*/*")) == kept
    assert len(kept) == 7 * 3
    assert not list(compared.rglob(".unfinished*"))


def test_a_lost_worker_is_replaced_and_goes_on_after_its_last_epoch(compared, tmp_path, capsys):
    jobs = sorted(path.name for path in compared.glob("kept/jobs/*"))
    [mother] = [name for name in jobs if not name.startswith("net")]
    for name in (mother, "net3"):
        (tmp_path / f"{name}-1").touch()

    def callbacks(job):
        return [script.Notes(job.name, tmp_path), script.Dies(job.name, tmp_path)]

    result = script.train(km.Ray(), callbacks=callbacks, run_dir=tmp_path / "run", verbose=2)
    assert not list(tmp_path.glob("*-1"))  # they did die
    for name in jobs:
        died = name in (mother, "net3")
        assert (tmp_path / f"{name}.txt").read_text().split() == ["0", "1", "1"][: 2 + died]
    assert capsys.readouterr().out.count("goes on after epoch 1/2") == 2
    assert_same(results(compared)["here"], result)
    assert ray.is_initialized()  # it is not ours to end


def test_a_job_that_always_loses_its_worker_is_named(address, tmp_path):
    for number in range(9):
        (tmp_path / f"net0-{number}").touch()
    with pytest.raises(km.RunError, match="Job `net0` cannot go on.* died 2 times.*WorkerCrashed"):
        script.train(
            km.Ray(tries=2), script.WIDTHS[:1], km.FullData,
            callbacks=lambda job: [script.Dies(job.name, tmp_path)],
        )  # fmt: skip
    assert len(list(tmp_path.glob("net0-*"))) == 7


def test_what_fails_in_a_job_names_it_and_the_place(address):
    with pytest.raises(km.RunError, match="Job `net0`: the loss became nan in epoch 1") as caught:
        script.train(
            km.Ray(), script.WIDTHS[:1], km.FullData, callbacks=lambda job: [script.Spoil()]
        )
    assert "in a worker process" in str(caught.value.__cause__)


def test_jobs_end_at_once_with_the_run(address, tmp_path):
    begun, started = tmp_path / "begun", time.monotonic()

    def interrupt():
        while not begun.exists() or not begun.read_text():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        script.train(
            km.Ray(), script.WIDTHS[:1], km.FullData, run_dir=tmp_path / "run",
            callbacks=lambda job: [script.Sleeps(begun)],
        )  # fmt: skip
    pid = int(begun.read_text())
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
        time.sleep(0.1)
        assert time.monotonic() - started < 50
    assert not list(tmp_path.glob("run/.unfinished*"))
    assert ray.is_initialized()


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"gpus": 1}, "CPU 1, GPU 1"),
        ({"cpus": 3}, "CPU 3"),
        ({"resources": {"oven": 2}}, "CPU 1, oven 2"),
    ],
)
def test_what_no_node_has_is_refused_at_once(address, settings, asked):
    begin = time.monotonic()
    with pytest.raises(km.RunError, match=f"Expected: a node with {asked}. Received: 1 node with"):
        script.train(km.Ray(**settings), script.WIDTHS[:1], km.FullData)
    assert time.monotonic() - begin < 2


def test_two_runs_in_one_cluster_do_not_disturb_each_other(address, tmp_path):
    factors = ("0.5", "3")
    scripts = [start(tmp_path / factor, "one", address, FACTOR=factor) for factor in factors]
    assert [each.wait() for each in scripts] == [0, 0]
    first, second = (results(tmp_path / factor) for factor in factors)
    assert_same(first["here"], first["there"])
    assert_same(second["here"], second["there"])
    assert first["here"]["net0/loss"][0] != second["here"]["net0/loss"][0]
