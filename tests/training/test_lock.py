"""One writer at a time, and no lock of the dead."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import runpy
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from keras_mothernets import RunError
from keras_mothernets.training import lock as lock_module
from keras_mothernets.training.lock import Lock, Writer

# The file alone: its package would import TensorFlow first.
HOLD = """
import runpy, sys, time
from pathlib import Path
lock = runpy.run_path(sys.argv[2], run_name="lock")["Lock"](Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""
ME = Writer(os.getpid(), socket.gethostname())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


def hold(path):
    """Another process that has the lock."""
    environment = {**os.environ, "PYTHONPATH": str(Path(lock_module.__file__).parents[2])}
    command = [sys.executable, "-c", HOLD, str(path), lock_module.__file__]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "taken\n"
    return process


def test_another_process_is_refused_at_once_until_the_first_is_killed(path):
    with hold(path) as process:
        try:
            begin = time.monotonic()
            with pytest.raises(RunError) as caught:
                Lock(path).take()
            assert time.monotonic() - begin < 5
            assert str(caught.value) == (
                f"Run directory `{path.parent}` is being written by another `fit`. Expected: one at"
                f" a time. Received: process {process.pid} on `{ME.host}`. Wait until it ends, or"
                " end it, or choose another `run_dir`."
            )
            assert Lock(path).writer() == Writer(process.pid, ME.host)
        finally:
            process.kill()
    assert path.read_text() != ""  # nobody was left to empty it
    assert Lock(path).writer() is None
    mine = Lock(path)
    mine.take()
    assert Lock(path).writer() == ME


def test_this_process_is_refused_too_and_told_so(path):
    mine = Lock(path)
    mine.take()
    mine.take()  # the same object has it already
    with pytest.raises(RunError, match=f"process {ME.process} on .*, which is this one"):
        Lock(path).take()
    mine.give_back()
    mine.give_back()
    assert path.read_text() == ""
    Lock(path).take()


def test_who_reads_hinders_nobody(path):
    reader = os.open(path, os.O_RDONLY | os.O_CREAT)
    lock_module._lock(reader, shared=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: lock_module._unlock(reader))
        mine = Lock(path)
        mine.take()
    assert Lock(path).writer() == ME
    os.close(reader)


def test_looking_writes_nothing(path):
    assert Lock(path).writer() is None
    assert not path.exists()


def test_a_lock_that_is_dropped_is_given_back(path):
    first = Lock(path)
    first.take()
    del first
    assert Lock(path).writer() is None


def test_copies_hold_nothing(path):
    mine = Lock(path)
    mine.take()
    copy = pickle.loads(pickle.dumps(mine))
    copy.give_back()
    assert Lock(path).writer() == ME


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_share_the_lock(path):
    """Workers that load data outlive a killed parent, and would hold its lock."""
    mine = Lock(path)
    mine.take()
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    forked = context.Process(target=lambda: begun.set() or time.sleep(60))
    forked.start()
    try:
        assert begun.wait(60)
        assert Lock(path).writer() == ME
        # As the system does when this process is killed: it closes the file, and no more.
        os.close(mine._release.detach()[2][0])
        assert Lock(path).writer() is None
    finally:
        forked.kill()
        forked.join()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": null, "host": "x"}'])
def test_a_writer_that_is_not_known(path, content):
    mine = Lock(path)
    mine.take()
    path.write_text(content)
    with pytest.raises(RunError, match="Received: a process that is not known"):
        Lock(path).take()


def test_without_locks_there_is_a_warning(path, monkeypatch):
    def fail(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock_module, "_lock", fail)
    with pytest.warns(UserWarning, match="cannot be locked .Operation not supported"):
        Lock(path).take()
    assert Lock(path).writer() is None


def test_the_branch_for_windows(path, monkeypatch):
    """Its one byte lies behind the text, which others can then read."""
    locked = {}

    def locking(descriptor, mode, count):
        place = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count)
        if mode == "unlock":
            assert locked.pop(place) == descriptor
        elif place in locked:
            raise PermissionError(13, "Permission denied")
        else:
            locked[place] = descriptor

    fake = types.SimpleNamespace(locking=locking, LK_NBLCK="lock", LK_UNLCK="unlock")
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    monkeypatch.setattr(sys, "platform", "win32")
    names = runpy.run_path(lock_module.__file__, run_name=lock_module.__name__)
    mine = names["Lock"](path)
    mine.take()
    [(_, place, count)] = locked
    assert place > path.stat().st_size and count == 1
    with pytest.raises(RunError, match=re.escape(f"process {os.getpid()} on")):
        names["Lock"](path).take()
    mine.give_back()
    assert locked == {}
    assert names["Lock"](path).writer() is None
