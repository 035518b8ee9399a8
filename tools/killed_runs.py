"""Runs whose processes are killed, seen from outside: what each process did, and what it left.

Starting Python and TensorFlow anew for each process would take most of the time, so processes are
forked from one that has imported everything and computed nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import signal
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
from killed_training import OPENING, Board, Marks, Stop, watch

PAUSE = 0.002  # seconds between two looks at a process
NEVER = math.inf
KEPT = ("state.json", "model.keras", "history.csv")
TIMER, POINT, MISSED, END = "timer", "point", "missed", "end"


@dataclass(frozen=True)
class Life:
    """One process, from its fork to its end.

    Args:
        run: Number of the run that it is part of.
        how: How it ended: "timer", "point" (both killed), "end" (by itself), or "missed": by
            itself, and it was to be killed at a point.
        phase: In which phase of the run it was killed.
        point: At which point of it, if that was chosen.
        job: The job that was under way.
        seconds: Processor seconds that it took.
        finished: Jobs that were finished when it began.
        epochs: Epochs that it began.
        trained_again: Jobs that were finished before and were trained, or written, again.
        is_same: Whether the run ended with the weights of the undisturbed one.
    """

    run: int
    how: str
    phase: str
    point: str
    job: str
    seconds: float
    finished: int
    epochs: int
    trained_again: int = 0
    is_same: bool = False

    @property
    def was_killed(self) -> bool:
        """Whether it was killed."""
        return self.how in (TIMER, POINT)


@dataclass(frozen=True)
class Kill:
    """When a process is to be killed.

    Args:
        stop: The point where it does it itself.
        seconds: Or after how many processor seconds it is done; so a busy machine kills it no
            earlier.
    """

    stop: Stop | None = None
    seconds: float = NEVER


class Failed(Exception):
    """A process ended by itself with an error, or found something damaged; what it said."""


def lives_of(
    run: int, folder: Path, train: Callable[[Path], None], kills: Iterator[Kill], expected: Any
) -> list[Life]:
    """One run: processes that are killed one after the other, until one comes to the end.

    Args:
        run: Its number.
        folder: Where it is kept; nothing is there yet.
        train: The training.
        kills: When each process is killed; when there are no more, the next one is left alone.
        expected: What `outcome` gives for the undisturbed run; `None` for that one itself.
    """
    folder.mkdir()
    lives: list[Life] = []
    before: dict[str, Any] = {}
    while not lives or lives[-1].was_killed:
        life, trained = live(folder, train, next(kills, Kill()))
        changed = {job for job, was in before.items() if _finished(folder).get(job) != was}
        again = changed | (before.keys() & set(trained))
        lives.append(replace(life, run=run, finished=len(before), trained_again=len(again)))
        before = _finished(folder)
    is_same = expected is None or outcome(folder) == expected
    return [replace(life, is_same=is_same and _rows_agree(folder)) for life in lives]


def live(folder: Path, train: Callable[[Path], None], kill: Kill) -> tuple[Life, list[str]]:
    """One process.

    Args:
        folder: Of the run; its files are in "run" there.
        train: The training.
        kill: When it is killed.

    Returns:
        What became of it, and the jobs that it trained.

    Raises:
        Failed: It ended with an error, or found something damaged.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("Only a process of one thread can be forked here")
    board, log = Board(), folder / "log"
    board.write(OPENING, "")
    log.write_bytes(b"")
    process = os.fork()
    if process == 0:
        _train_and_exit(folder / "run", log, train, Marks(board, kill.stop))
    was_killed, seconds = _wait(process, kill.seconds, log)
    how = (POINT if kill.stop else TIMER) if was_killed else (MISSED if kill.stop else END)
    phase, job = board.read() if was_killed else ("", "")
    told = [line.split() for line in log.read_text().splitlines()]
    if any("UserWarning:" in words for words in told):
        raise Failed(log.read_text())
    jobs = [words[1] for words in told if words[:1] == ["job"]]
    epochs = sum(words[:1] == ["epoch"] for words in told)
    point = kill.stop.point if kill.stop else ""
    return Life(0, how, phase, point, job, seconds, 0, epochs), jobs


def outcome(folder: Path) -> dict[str, tuple[str, str]]:
    """What a finished run gave: for each job a digest of its weights, and its history."""
    return {
        path.parent.name: (_weights(path), (path.parent / "history.csv").read_text())
        for path in sorted((folder / "run" / "jobs").glob("*/model.keras"))
    }


def _train_and_exit(folder: Path, log: Path, train: Callable[[Path], None], marks: Marks) -> None:
    """What the forked process does; it does not return."""
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        watch(marks)
        train(folder)
        status = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _wait(process: int, most: float, log: Path) -> tuple[bool, float]:
    """Wait for the end of a process, and kill it when it is time: whether it was, its seconds."""
    clock = (~process << 3) | 2  # of its processor time, as Linux numbers them
    while time.clock_gettime(clock) < most:
        time.sleep(PAUSE)
        is_over, status, used = os.wait4(process, os.WNOHANG)
        if is_over:
            break
    else:
        os.kill(process, signal.SIGKILL)
        _, status, used = os.wait4(process, 0)
    seconds = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True, seconds
    if status:
        raise Failed(log.read_text())
    return False, seconds


def _finished(folder: Path) -> dict[str, Any]:
    """Of each finished job, which files are there and what is in them."""
    states = (folder / "run" / "jobs").glob("*/state.json")
    return {
        state.parent.name: [_identity(state.parent / name) for name in KEPT] for state in states
    }


def _identity(path: Path) -> tuple[int, int, str] | None:
    """A file that was written again has another, even if its content is the same."""
    if not path.exists():
        return None
    told = path.stat()
    return told.st_ino, told.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()


def _rows_agree(folder: Path) -> bool:
    """Whether the ledger has one row for each job, and the seconds that its state tells."""
    lines = (folder / "run" / "ledger.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    told = {row["job"]: float(row["wall_seconds"]) for row in rows}
    kept = {}
    for state in (folder / "run" / "jobs").glob("*/state.json"):
        row = json.loads(state.read_bytes())["row"]
        kept[row["job"]] = row["wall_seconds"]
    return len(rows) == len(told) and told == kept


def _weights(path: Path) -> str:
    """A digest of all weights in a `.keras` file, with their names; no Keras is needed."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))

    def take(name: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset):
            digest.update(name.encode() + entry[()].tobytes())

    with h5py.File(content) as weights:
        weights.visititems(take)
    return digest.hexdigest()
