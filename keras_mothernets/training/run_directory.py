"""The run directory: a run that survives a crash.

    plan.json                  what the run is, and the versions it began with; another plan
                               is refused
    run.lock                   held by the process that writes here; a second one is refused
    ledger.csv                 costs and results of the finished jobs, from their `state.json`; of
                               hundreds, the last hundredth may be missing until the run ends or
                               is opened again
    log.txt                    a line with date and time for all that happened
    command.json               of a run of the console command: how it was called
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

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import RunError, naming
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.checkpoint import CheckpointFile
from keras_mothernets.training.files import UNFINISHED, write_atomically
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import CHECKED_SINCE, JobFiles, reason_of_disk, storing
from keras_mothernets.training.ledger_file import LedgerFile
from keras_mothernets.training.lock import Lock, Writer
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.versions import rounding_changes, versions_here


class RunDirectory:
    """Keeps finished jobs, and what is done of the others, in a folder.

    Args:
        path: The folder; made if it is not there. Nothing is read or written before `open`.
        may_grow: Whether the run there may be one of fewer jobs; then it has these from now on.

    Raises:
        RunError: It is no path.
    """

    keeps_networks_in_memory = False

    def __init__(self, path: str | os.PathLike[str], may_grow: bool = False) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise RunError("`run_dir` must be the path of a folder", received=repr(path))
        self.path = Path(path)
        self.may_grow = may_grow
        self._files: JobFiles | None = None
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

    @property
    def files(self) -> JobFiles:
        """The folders of the jobs, in which any process of this run may keep its own."""
        assert self._files is not None, "`open` comes first"
        return self._files

    def record(self, job: Job) -> JobRecord | None:
        """See `JobFiles.record`."""
        return self.files.record(job)

    def save(self, record: JobRecord, model: keras.Model) -> None:
        """Keep a finished job in its folder and in the ledger.

        Raises:
            RunError: It cannot be written.
        """
        self.files.save(record, model)
        self.note(record)

    def note(self, record: JobRecord) -> None:
        """A job is finished, and its folder was written; the ledger tells of it from now on.

        Raises:
            RunError: The ledger cannot be written.
        """
        assert self._ledger is not None, "`open` comes first"
        with storing(f"Job `{record.job.name}`", self.path):
            self._ledger.add(record.row)
        self.checkpoint(record.job).remove()

    def checkpoint(self, job: Job) -> CheckpointFile:
        """See `JobFiles.checkpoint`."""
        return self.files.checkpoint(job)

    def load(self, job: Job, network: keras.Model) -> keras.Model:
        """See `JobFiles.load`."""
        return self.files.load(job, network)

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
                received=reason_of_disk(error),
                fix="Choose another `run_dir`",
            ) from error

    def _take_up(self, plan: Plan) -> None:
        stored = self.stored_plan()
        has_grown = stored is not None and self.may_grow and plan.extends(stored)
        if stored is not None and not has_grown:
            self._check_same(stored, plan)
        self._files = JobFiles(self.path, plan)
        self._check_jobs(plan)
        self._check_versions(plan)
        rows = {job.name: self.files.row(job) for job in plan}
        finished = {name: row for name, row in rows.items() if row is not None}
        self._ledger = LedgerFile(self.path / "ledger.csv", plan, finished)
        with storing("Plan and ledger", self.path):
            if stored is None or has_grown:
                if stored is None:
                    self._warn_of_lost_plan(plan)
                values = {**plan.to_json(), "versions": versions_here()}
                write_atomically(self.path / "plan.json", checked_json(values))
            self._ledger.write()

    def _warn_of_lost_plan(self, plan: Plan) -> None:
        if any(self.files.state(job) is not None for job in plan):
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
        if changes and any(self.files.state(job) is None for job in plan):
            warnings.warn(
                f"The run in `{self.path}` began with {', '.join(changes)}; what is trained now"
                " may differ in the last digits",
                stacklevel=5,
            )

    def _check_jobs(self, plan: Plan) -> None:
        """What lies in the jobs' folders must be of this plan, whatever `plan.json` says."""
        others = []
        for job in plan:
            self.files.check_folder(job)
            state = self.files.state(job)
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
