"""Disks that are full, or cannot be written."""

import contextlib
import functools
import math
import os
import subprocess

import pytest
from marks import quick_ones
from tiny_run import assert_same, content, crash, fit

import keras_mothernets as km
from keras_mothernets.training import save_epochs
from keras_mothernets.training.run_status import read_status

ROOM = 256  # KiB


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    monkeypatch.setattr(save_epochs, "SHARE", math.inf)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(save_epochs, "SHARE", math.inf)
        return fit(tmp_path_factory.mktemp("undisturbed") / "run")


def mount(*arguments):
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    return False


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, which takes the right to mount one."""
    if not mount("-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", str(tmp_path)):
        pytest.skip("a small disk cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk, free=0):
    """Leave so many bytes, in whole pages."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    os.truncate(disk / "filler", (disk / "filler").stat().st_size // 4096 * 4096 - free)


def room(disk):
    (disk / "filler").unlink()


def test_a_disk_that_is_full_from_the_start(small_disk, expected):
    run_dir = small_disk / "run"
    fill(small_disk)
    with pytest.raises(km.RunError, match="Plan and ledger cannot be stored.*No space left"):
        fit(run_dir)
    assert content(run_dir) == {}
    room(small_disk)
    assert_same(fit(run_dir), expected)


# Pages that are left for the checkpoint of `b`, its network, history and state, and `c`.
@pytest.mark.parametrize("pages", quick_ones([0, 1, 2, 4, 6, 8], [1]))
@pytest.mark.filterwarnings("ignore:The epochs of job `.` cannot be kept.*No space left")
def test_a_disk_that_becomes_full_on_the_way(pages, small_disk, expected):
    run_dir = small_disk / "run"
    crash(run_dir, ("b", 1))
    before = finished(run_dir, "a")
    with pytest.raises(km.RunError, match="Job `[bc]` cannot be stored.*No space left.*Make room"):
        fit(run_dir, hook=lambda: fill(small_disk, 4096 * pages))
    assert finished(run_dir, "a") == before
    assert read_status(run_dir).writer is None
    room(small_disk)
    assert_same(fit(run_dir), expected)


def finished(run_dir, job):
    return content(run_dir / "jobs" / job)


@pytest.mark.filterwarnings("ignore:The epochs of job `.` cannot be kept.*File too large")
def test_a_file_that_becomes_too_large(tmp_path, expected):
    """For systems where nobody may mount: the system refuses to write any more into a file."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    run_dir = tmp_path / "run"
    crash(run_dir, ("b", 1))
    before = finished(run_dir, "a")
    lower = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(
            km.RunError, match="Job `b` cannot be stored.*File too large.*Make room"
        ):
            fit(run_dir, hook=lower)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert finished(run_dir, "a") == before
    assert_same(fit(run_dir), expected)


def test_a_disk_that_can_only_be_read(small_disk, expected):
    run_dir = small_disk / "run"
    crash(run_dir, ("b", 1))
    before = content(run_dir)
    assert mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(km.RunError, match="cannot be written.*Read-only file system"):
        fit(run_dir)
    assert [job.state for job in read_status(run_dir).jobs] == [
        "finished",
        "in progress",
        "not begun",
    ]
    assert content(run_dir) == before
    assert mount("-o", "remount,rw", str(small_disk))
    assert_same(fit(run_dir), expected)
