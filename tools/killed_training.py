"""A training that tells, past its own end, what it was doing, and can kill itself where one wants.

The package knows nothing of this: what it calls is watched in the process that is to be killed.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import mmap
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_mothernets import MotherNets, surgery
from keras_mothernets.training import checkpoint, executor, files, job_files
from keras_mothernets.training.checkpoint import CheckpointFile

# Functions have the names of these modules.
save_epochs_module, start_job_module, train_job_module = (
    importlib.import_module(f"keras_mothernets.training.{name}")
    for name in ("save_epochs", "start_job", "train_job")
)
OPENING, MOTHER, HATCH, MEMBER = "opening", "mother", "hatch", "member"
CLEARING, BETWEEN = "clearing", "between jobs"
FILES = {
    "plan.json": "plan.json",
    "ledger.csv": "ledger.csv",
    "state.npz": "checkpoint",
    "model.keras": "model.keras",
    "history.csv": "history.csv",
    "state.json": "state.json",
}
PHASES = (OPENING, MOTHER, HATCH, MEMBER, *FILES.values(), CLEARING, BETWEEN)
BEGUN, HALF, BEFORE, AFTER = "begun", "half done", "before the rename", "after the rename"
BATCH, DONE = "after a batch", "done"


class Stop(NamedTuple):
    """A point at which a process is to kill itself.

    Args:
        phase: One of `PHASES`.
        point: One of the points above.
        time: At the how-manieth time, from 1.
    """

    phase: str
    point: str
    time: int = 1


# In the order of a run's life: each is passed by the process that goes on after the one before.
STOPS = (
    Stop(OPENING, BEGUN),
    *(Stop(file, point) for file in ("plan.json", "ledger.csv") for point in (BEFORE, AFTER)),
    Stop(MOTHER, BATCH, 3),
    Stop("checkpoint", HALF, 3),
    Stop("checkpoint", BEFORE),
    Stop("checkpoint", AFTER, 2),
    Stop("checkpoint", BEFORE),
    Stop("model.keras", HALF, 3),
    *(Stop(f, p) for f in ("model.keras", "history.csv", "state.json") for p in (BEFORE, AFTER)),
    Stop(CLEARING, BEGUN),
    Stop(CLEARING, HALF),
    Stop(HATCH, BEGUN),
    Stop(HATCH, DONE),
    Stop(MEMBER, BATCH, 2),
    Stop("checkpoint", AFTER),
    Stop("ledger.csv", BEFORE),
    Stop(MEMBER, BATCH, 7),
    Stop(BETWEEN, BEGUN),
    Stop("model.keras", AFTER),
    Stop("state.json", BEFORE),
)


class Board:
    """A few bytes that a process shares with the one it was forked from; they outlive it."""

    SIZE = 128

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, self.SIZE)

    def write(self, *words: str) -> None:
        """Put words there."""
        self._bytes[:] = "|".join(words).encode().ljust(self.SIZE, b"\0")

    def read(self) -> list[str]:
        """The words that are there."""
        return self._bytes[:].rstrip(b"\0").decode().split("|")


@dataclass
class Marks:
    """Where a process is now.

    Args:
        board: Where that is written.
        stop: Where it kills itself, if anywhere.
    """

    board: Board
    stop: Stop | None = None
    phase: str = OPENING
    job: str = ""
    passed: int = 0

    @contextlib.contextmanager
    def within(self, phase: str, job: str | None = None) -> Iterator[None]:
        """A block that is a phase of the run."""
        before = (self.phase, self.job)
        self.now(phase, self.job if job is None else job)
        try:
            yield
        finally:
            self.now(*before)

    def reach(self, point: str) -> None:
        """A point of the phase: here the process may end."""
        if self.stop is None or (self.phase, point) != self.stop[:2]:
            return
        self.passed += 1
        if self.passed == self.stop.time:
            os.kill(os.getpid(), signal.SIGKILL)

    def now(self, phase: str, job: str) -> None:
        """What begins now."""
        self.phase, self.job = phase, job
        self.board.write(phase, job)


@dataclass(frozen=True)
class Training:
    """What is trained: a mother, three members hatched from it, with all that is random.

    Args:
        epochs: Of the mother; the members have one less.
        examples: Number of them.
    """

    epochs: int = 3
    examples: int = 40

    def __call__(self, folder: Path) -> None:
        """Run it, or go on with it."""
        keras.utils.set_random_seed(1)
        rng = np.random.default_rng(7)
        x = rng.normal(size=(self.examples, 6, 6, 2)).astype("float32")
        y = rng.integers(0, 3, self.examples)
        method = MotherNets(_members(), member_epochs=self.epochs - 1)
        method.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        held_out = (x[:10] + 0.1, y[:10])
        method.fit(
            x, y, epochs=self.epochs, batch_size=10, validation_data=held_out, run_dir=folder,
            verbose=0,
        )  # fmt: skip


def _members() -> list[keras.Model]:
    widths = {"a": (3, 6), "b": (4, 5), "c": (5, 5, 5)}
    return [_network(name, *numbers) for name, numbers in widths.items()]


def _network(name: str, filters: int, *units: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.RandomFlip(),
            layers.Conv2D(filters, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.3),
            *(layers.Dense(number, "relu") for number in units),
            layers.Dense(3, "softmax"),
        ],
        name=name,
    )


def watch(marks: Marks) -> None:
    """Let what the package calls in this process tell where it is, and keep every epoch.

    Checkpoints of epochs of milliseconds would else be passed over.
    """
    _put(save_epochs_module, "SHARE", math.inf)
    _watch_jobs(marks)
    _watch_files(marks)
    _watch_clearing(marks)
    marks.reach(BEGUN)


def _watch_jobs(marks: Marks) -> None:
    train_job, hatch, check = (
        executor.train_or_fail,
        surgery.hatch,
        start_job_module.check_deviation,
    )
    order, report = train_job_module.EpochOrder, train_job_module.ReportSteps
    begin_epoch, end_batch = order.on_epoch_begin, report.on_train_batch_end

    def train(job: Any, *arguments: Any) -> Any:
        _tell("job", job.name)
        with marks.within(MOTHER if job.role == "mother" else MEMBER, job.name):
            trained = train_job(job, *arguments)
        marks.now(BETWEEN, "")
        marks.reach(BEGUN)
        return trained

    def hatched(*arguments: Any, **settings: Any) -> Any:
        with marks.within(HATCH):
            marks.reach(BEGUN)
            model = hatch(*arguments, **settings)
            marks.reach(DONE)
            return model

    def checked(*arguments: Any) -> Any:
        with marks.within(HATCH):
            return check(*arguments)

    def epoch_begun(callback: Any, epoch: int, logs: Any = None) -> None:
        _tell("epoch", marks.job, str(epoch))
        begin_epoch(callback, epoch, logs)

    def batch_ended(callback: Any, batch: int, logs: Any = None) -> None:
        end_batch(callback, batch, logs)
        marks.reach(BATCH)

    _put(executor, "train_or_fail", train)
    _put(surgery, "hatch", hatched)
    _put(start_job_module, "check_deviation", checked)
    _put(order, "on_epoch_begin", epoch_begun)
    _put(report, "on_train_batch_end", batch_ended)


def _watch_files(marks: Marks) -> None:
    replace_atomically, replace, open_in_zip = (
        files.replace_atomically, os.replace, zipfile.ZipFile.open,
    )  # fmt: skip

    def written(path: Path, write: Callable[[Path], object]) -> None:
        with marks.within(FILES[path.name], _job_of(path)):
            replace_atomically(path, write)

    def renamed(*arguments: Any, **settings: Any) -> None:
        marks.reach(BEFORE)
        replace(*arguments, **settings)
        marks.reach(AFTER)

    def opened(archive: zipfile.ZipFile, *arguments: Any, **settings: Any) -> Any:
        marks.reach(HALF)
        return open_in_zip(archive, *arguments, **settings)

    for module in (files, checkpoint, job_files):
        _put(module, "replace_atomically", written)
    _put(os, "replace", renamed)
    _put(zipfile.ZipFile, "open", opened)


def _watch_clearing(marks: Marks) -> None:
    remove, remove_folder = CheckpointFile.remove, os.rmdir

    def removed(file: CheckpointFile) -> None:
        if not file.path.parent.exists():
            return remove(file)
        with marks.within(CLEARING, file.job.name):
            marks.reach(BEGUN)
            remove(file)

    def folder_removed(*arguments: Any, **settings: Any) -> None:
        marks.reach(HALF)
        remove_folder(*arguments, **settings)

    _put(CheckpointFile, "remove", removed)
    _put(os, "rmdir", folder_removed)


def _job_of(path: Path) -> str:
    """The job whose file it is; none for those of the whole run."""
    folders = path.parts[:-1]
    return folders[folders.index("jobs") + 1] if "jobs" in folders else ""


def _put(owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner} has no `{name}` any more"
    setattr(owner, name, value)


def _tell(*words: str) -> None:
    """Write a line that is there at once, whatever happens to the process."""
    os.write(1, (" ".join(words) + "\n").encode())
