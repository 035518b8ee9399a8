"""The run directory: a run that survives a crash.

    plan.json                  what the run is, and the versions it began with; another plan
                               is refused
    run.lock                   held by the process that writes here; a second one is refused
    ledger.csv                 costs and results of the finished jobs, from their `state.json`; of
                               hundreds, the last hundredth may be missing until the run ends or
                               is opened again
    jobs/<job>/model.keras     the trained network, uncompiled
    jobs/<job>/history.csv     one line per epoch
    jobs/<job>/state.json      written last: the job is done when this says so and the
                               checksums of network, history and of itself agree
    jobs/<job>/checkpoint/     while the job is trained: its state after the last epoch, in
                               one file (`checkpoint.py`)

Every file is written under another name, synced, and renamed. Nothing is a pickle. A kill at
any instant loses the epoch under way, and what is trained again gives the same numbers, bit for
bit, as without the kill. Where epochs are so short that checkpoints would take more than a
tenth of the time, it loses as many epochs as ten writes of a checkpoint last
(`save_epochs.py`). What is not in the process' hands is not kept: a `tf.data.Dataset` that
shuffles itself begins again with the order of its first pass, and a callback that knows
something else than plain values makes its job begin again (`callback_states.py`).

What is damaged is done again, with a warning, or refused; it is never believed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import urllib.parse
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import RunError, naming
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.checkpoint import CheckpointFile
from keras_mothernets.training.files import (
    UNFINISHED,
    replace_atomically,
    sha256_of,
    write_atomically,
)
from keras_mothernets.training.history_csv import history_text, read_history
from keras_mothernets.training.job import Job
from keras_mothernets.training.ledger_file import LedgerFile
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.lock import Lock, Writer
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.store import empty_like
from keras_mothernets.training.versions import rounding_changes, versions_here

# Rows of version 1 have no `flops` and `peak_memory`; before version 3 there was no checksum.
STATE_VERSION = 3
CHECKED_SINCE = {"plan.json": 2, "state.json": 3}
CHECKED = ("model.keras", "history.csv")  # files whose checksums are in `state.json`
CHECKPOINT = "checkpoint/state.npz"


class RunDirectory:
    """Keeps finished jobs, and what is done of the others, in a folder.

    Args:
        path: The folder; made if it is not there. Nothing is read or written before `open`.

    Raises:
        RunError: It is no path.
    """

    keeps_networks_in_memory = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise RunError("`run_dir` must be the path of a folder", received=repr(path))
        self.path = Path(path)
        self._plan: Plan | None = None
        self._ledger: LedgerFile | None = None
        self._lock = Lock(self.path / "run.lock")

    def open(self, plan: Plan) -> None:
        """Begin or take up the run of a plan; nobody else can until `close`.

        Jobs stay finished, or go on, if only the initial weights differ, since a script that
        sets no seed has others each time; a warning names them.

        Args:
            plan: The plan that is to be run.

        Raises:
            RunError: The folder cannot be made or written, or another process writes there,
                or it holds the run of another plan, or one of a newer version, or a plan that
                cannot be read.
        """
        self._take()
        try:
            self._take_up(plan)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes write here. What is there can still be read."""
        self._lock.give_back()

    def writer(self) -> Writer | None:
        """Who writes here now; `None` if nobody does."""
        return self._lock.writer()

    def stored_plan(self) -> Plan | None:
        """The plan of the run in this folder, `None` if there is no run.

        Raises:
            RunError: There is one that cannot be read.
        """
        values = self._stored()
        if values is None:
            return None
        with naming(f"Run directory `{self.path}`"):
            return Plan.from_json(values)

    def stored_versions(self) -> dict[str, str]:
        """The versions with which the run in this folder began; empty if that is not known.

        Raises:
            RunError: Its plan cannot be read.
        """
        return dict((self._stored() or {}).get("versions", {}))

    def record(self, job: Job) -> JobRecord | None:
        """The record of a job if it is finished and its network's checksum agrees.

        A damaged job counts as not finished, with a warning, and is done again. Of a whole one
        the checkpoint is removed, if the process was killed before it could.
        """
        folder = self.folder(job)
        if not (folder / "state.json").exists():
            self._warn_of_lost_state(job)
            return None
        try:
            state = read_checked_json(folder / "state.json", CHECKED_SINCE["state.json"])
            if state["version"] > STATE_VERSION:
                raise RunError(
                    f"Job `{job.name}` was stored by a newer keras_mothernets",
                    expected=f"version {STATE_VERSION} or older",
                    received=f"version {state['version']}",
                )
            if "plan" not in state:
                raise ValueError("state.json does not say of which plan it is")
            for name in CHECKED:
                if sha256_of(folder / name) != state[_checksum_key(name)]:
                    raise ValueError(f"the checksum of {name} does not agree")
            history = read_history((folder / "history.csv").read_text())
            record = JobRecord(job, history, LedgerRow(**state["row"]))
            self.checkpoint(job).remove()
            return record
        except RunError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(
                f"Job `{job.name}` in `{self.path}` is damaged and will be done again: {error}",
                stacklevel=2,
            )
            return None

    def state(self, job: Job) -> dict[str, Any] | None:
        """What is written of a finished job; `None` if that cannot be read."""
        path = self.folder(job) / "state.json"
        try:
            return read_checked_json(path, CHECKED_SINCE["state.json"])
        except (OSError, ValueError):
            return None

    def row(self, job: Job) -> LedgerRow | None:
        """The row of a finished job in the ledger; `None` if it is not finished, or damaged."""
        try:
            return LedgerRow(**(self.state(job) or {})["row"])
        except (KeyError, TypeError):
            return None

    def save(self, record: JobRecord, model: keras.Model) -> None:
        """Keep a finished job: network, history, then the state that makes it count.

        Raises:
            RunError: It cannot be written.
        """
        folder = self.folder(record.job)
        with self._storing(f"Job `{record.job.name}`"):
            folder.mkdir(parents=True, exist_ok=True)
            replace_atomically(folder / "model.keras", lambda path: _save_uncompiled(model, path))
            write_atomically(folder / "history.csv", history_text(record.history).encode())
            state = {
                "version": STATE_VERSION,
                "status": "finished",
                "plan": self._opened.fingerprint_of(record.job),
                "initial_weights": record.job.initial_weights,
                **{_checksum_key(name): sha256_of(folder / name) for name in CHECKED},
                "row": asdict(record.row),
            }
            write_atomically(folder / "state.json", checked_json(state))
            assert self._ledger is not None, "`open` comes first"
            self._ledger.add(record.row)
            self.checkpoint(record.job).remove()

    def checkpoint(self, job: Job) -> CheckpointFile:
        """Where the job's state is kept after each epoch."""
        path = self.folder(job) / CHECKPOINT
        return CheckpointFile(path, job, self._opened.fingerprint_of(job))

    def load(self, job: Job, network: keras.Model) -> keras.Model:
        """The trained network, built from the one given here.

        Only weights are read: layers of the user's own need not be registered with Keras.
        """
        model = empty_like(network, job.name)
        model.load_weights(self.folder(job) / "model.keras")
        return model

    def folder(self, job: Job) -> Path:
        """The folder of a job; characters that a file name cannot have are escaped."""
        return self.path / "jobs" / urllib.parse.quote(job.name, safe=" ()[]+,=@")

    @property
    def _opened(self) -> Plan:
        assert self._plan is not None, "`open` comes first"
        return self._plan

    def _take(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            self._lock.take()
            for folder in ("", "jobs/*/", "jobs/*/checkpoint/"):
                for left in self.path.glob(folder + UNFINISHED):
                    left.unlink()  # by a process that was killed while it wrote
        except OSError as error:
            self.close()
            raise RunError(
                f"Run directory `{self.path}` cannot be written",
                received=_reason(error),
                fix="Choose another `run_dir`",
            ) from error

    def _take_up(self, plan: Plan) -> None:
        stored = self.stored_plan()
        if stored is not None:
            self._check_same(stored, plan)
        self._plan = plan
        self._check_jobs(plan)
        self._check_versions(plan)
        rows = {job.name: self.row(job) for job in plan}
        finished = {name: row for name, row in rows.items() if row is not None}
        self._ledger = LedgerFile(self.path / "ledger.csv", plan, finished)
        with self._storing("Plan and ledger"):
            if stored is None:
                self._warn_of_lost_plan(plan)
                values = {**plan.to_json(), "versions": versions_here()}
                write_atomically(self.path / "plan.json", checked_json(values))
            self._ledger.write()

    def _warn_of_lost_plan(self, plan: Plan) -> None:
        if any(self.state(job) is not None for job in plan):
            warnings.warn(
                f"The plan.json of `{self.path}` is missing and is written again; the finished jobs"
                " there are of this plan",
                stacklevel=5,
            )

    def _stored(self) -> dict[str, Any] | None:
        path = self.path / "plan.json"
        if not path.exists():
            return None
        try:
            return read_checked_json(path, CHECKED_SINCE["plan.json"])
        except (ValueError, OSError) as error:
            raise RunError(
                f"The plan in run directory `{self.path}` cannot be read",
                received=str(error),
                fix=f"Remove `{path}` and call `fit` again: the jobs there know whose they are",
            ) from error

    @contextlib.contextmanager
    def _storing(self, what: str) -> Iterator[None]:
        """Say what could not be written, and that nothing is lost by that."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{what} cannot be stored in `{self.path}`",
                received=_reason(error),
                fix="Make room or remove what is in the way, and call `fit` again: it goes on",
            ) from error

    def _warn_of_lost_state(self, job: Job) -> None:
        """A job without its state; a kill leaves a network without it, but a checkpoint too."""
        if (self.folder(job) / "model.keras").exists() and not self.checkpoint(job).path.exists():
            warnings.warn(
                f"Job `{job.name}` in `{self.path}` has a network, but its state.json is missing;"
                " it will be done again",
                stacklevel=3,
            )

    def _check_same(self, stored: Plan, plan: Plan) -> None:
        differences = plan.differences(stored)
        if differences:
            shown = "; ".join(differences[:5])
            more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
            raise RunError(
                f"Run directory `{self.path}` holds the run of another plan",
                expected="the same plan as there",
                received=shown + more,
                fix="Choose another `run_dir`, or delete this one",
            )

    def _check_versions(self, plan: Plan) -> None:
        changes = rounding_changes(self.stored_versions(), versions_here())
        if changes and any(self.state(job) is None for job in plan):
            warnings.warn(
                f"The run in `{self.path}` began with {', '.join(changes)}; what is trained now"
                " may differ in the last digits",
                stacklevel=5,
            )

    def _check_jobs(self, plan: Plan) -> None:
        """What lies in the jobs' folders must be of this plan, whatever `plan.json` says."""
        others = []
        for job in plan:
            self._check_folder(job)
            state = self.state(job)
            if state is None or "plan" not in state:  # not finished, or damaged
                began_with = self.checkpoint(job).initial_weights()
            elif state["plan"] == plan.fingerprint_of(job):
                began_with = state.get("initial_weights")
            else:
                raise RunError(
                    f"Run directory `{self.path}` holds job `{job.name}` of another plan",
                    expected="a job of the same network, data, settings and epochs",
                    fix="Choose another `run_dir`, or delete this one",
                )
            if began_with not in (None, job.initial_weights):
                others.append(f"`{job.name}`")
        if others:
            warnings.warn(
                f"The initial weights differ from those that the jobs {', '.join(others)} "
                f"in `{self.path}` began with; what was trained from the others is kept",
                stacklevel=5,
            )

    def _check_folder(self, job: Job) -> None:
        folder = self.folder(job)
        in_the_way = [
            path
            for path in (folder.parent, folder, (folder / CHECKPOINT).parent)
            if path.exists() and not path.is_dir()
        ]
        in_the_way += [
            folder / name
            for name in (*CHECKED, "state.json", CHECKPOINT)
            if (folder / name).is_dir()
        ]
        if in_the_way:
            raise RunError(
                f"Job `{job.name}` cannot be stored: `{in_the_way[0]}` is in the way",
                fix="Remove it, or choose another `run_dir`",
            )


def _checksum_key(name: str) -> str:
    return f"{Path(name).stem}_sha256"


def _save_uncompiled(model: keras.Model, path: Path) -> None:
    """Save architecture and weights; losses and optimizers of the user's need not be storable."""
    compiled, model.compiled = model.compiled, False
    try:
        model.save(path)
    finally:
        model.compiled = compiled


def _reason(error: OSError) -> str:
    place = error.filename2 or error.filename
    where = f", at `{place}`" if place else ""
    return f"{type(error).__name__}: {error.strerror or error}{where}"
