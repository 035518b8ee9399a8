"""The folders of the jobs of a run, as far as any process may read and write them.

`run_directory.py` tells what is in them, and takes care that one run at a time writes there; of a
run, each job is written by one process.
"""

from __future__ import annotations

import contextlib
import urllib.parse
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import RunError
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.checkpoint import CheckpointFile
from keras_mothernets.training.files import replace_atomically, sha256_of, write_atomically
from keras_mothernets.training.history_csv import history_text, read_history
from keras_mothernets.training.job import Job
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.store import empty_like

# Rows of version 1 have no `flops` and `peak_memory`; before version 3 there was no checksum.
STATE_VERSION = 3
CHECKED_SINCE = {"plan.json": 2, "state.json": 3}
CHECKED = ("model.keras", "history.csv")  # files whose checksums are in `state.json`
CHECKPOINT = "checkpoint/state.npz"


class JobFiles:
    """Finished jobs, and what is done of the others, in one folder for each.

    Args:
        path: The folder of the run.
        plan: The plan of the run.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan

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
        with storing(f"Job `{record.job.name}`", self.path):
            folder.mkdir(parents=True, exist_ok=True)
            replace_atomically(folder / "model.keras", lambda path: _save_uncompiled(model, path))
            write_atomically(folder / "history.csv", history_text(record.history).encode())
            state = {
                "version": STATE_VERSION,
                "status": "finished",
                "plan": self.plan.fingerprint_of(record.job),
                "initial_weights": record.job.initial_weights,
                **{_checksum_key(name): sha256_of(folder / name) for name in CHECKED},
                "row": asdict(record.row),
            }
            write_atomically(folder / "state.json", checked_json(state))

    def contents(self, job: Job) -> dict[str, bytes]:
        """The files of a finished job, for `put`."""
        return {name: (self.folder(job) / name).read_bytes() for name in (*CHECKED, "state.json")}

    def put(self, job: Job, contents: Mapping[str, bytes]) -> None:
        """Keep a finished job whose files come from elsewhere.

        Args:
            job: The job.
            contents: What `contents` gave there.

        Raises:
            RunError: It cannot be written.
        """
        folder = self.folder(job)
        with storing(f"Job `{job.name}`", self.path):
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():  # the state comes last, and makes it count
                write_atomically(folder / name, content)

    def checkpoint(self, job: Job) -> CheckpointFile:
        """Where the job's state is kept after each epoch."""
        path = self.folder(job) / CHECKPOINT
        return CheckpointFile(path, job, self.plan.fingerprint_of(job))

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

    def _warn_of_lost_state(self, job: Job) -> None:
        """A job without its state; a kill leaves a network without it, but a checkpoint too."""
        if (self.folder(job) / "model.keras").exists() and not self.checkpoint(job).path.exists():
            warnings.warn(
                f"Job `{job.name}` in `{self.path}` has a network, but its state.json is missing;"
                " it will be done again",
                stacklevel=3,
            )

    def check_folder(self, job: Job) -> None:
        """Nothing may stand where the files of a job will be.

        Raises:
            RunError: Something does.
        """
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


@contextlib.contextmanager
def storing(what: str, path: Path) -> Iterator[None]:
    """Say what could not be written, and that nothing is lost by that.

    Args:
        what: What is written.
        path: The folder of the run.

    Raises:
        RunError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{what} cannot be stored in `{path}`",
            received=reason_of_disk(error),
            fix="Make room or remove what is in the way, and call `fit` again: it goes on",
        ) from error


def reason_of_disk(error: OSError) -> str:
    """What the system says, and where."""
    place = error.filename2 or error.filename
    where = f", at `{place}`" if place else ""
    return f"{type(error).__name__}: {error.strerror or error}{where}"


def _checksum_key(name: str) -> str:
    return f"{Path(name).stem}_sha256"


def _save_uncompiled(model: keras.Model, path: Path) -> None:
    """Save architecture and weights; losses and optimizers of the user's need not be storable."""
    compiled, model.compiled = model.compiled, False
    try:
        model.save(path)
    finally:
        model.compiled = compiled
