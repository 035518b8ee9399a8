"""What is known of a run, from a method that has trained or from a run directory."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, RunError
from keras_mothernets.methods import Method
from keras_mothernets.reporting.html_report.log_times import RunTimes, read_times, times_of_rows
from keras_mothernets.training import Job, JobRecord, Ledger, Plan
from keras_mothernets.training.files import sha256_of
from keras_mothernets.training.history_csv import read_history
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.run_directory import RunDirectory
from keras_mothernets.training.run_status import read_status
from keras_mothernets.training.versions import versions_here


@dataclass(frozen=True, eq=False)
class RunData:
    """A run as the report tells it.

    Args:
        plan: Its plan.
        records: History and costs of its finished jobs, by name, in the order of the plan.
        states: Of each job that is not finished, in a word what it is.
        times: When jobs ran.
        network: Gives the network of a finished job.
        versions: Those that the run was begun with; empty if they are not known.
        command: How the console command was called; "" if the run is not one of its.
        folder: The run directory; `None` if the run was kept in memory.
        logits: What makes probabilities of the members' outputs, as in `km.combine`.
    """

    plan: Plan
    records: Mapping[str, JobRecord]
    states: Mapping[str, str]
    times: RunTimes
    network: Callable[[Job], keras.Model]
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    folder: Path | None = None
    logits: Any = None

    @property
    def ledger(self) -> Ledger:
        """Costs of the finished jobs."""
        return Ledger(record.row for record in self.records.values())

    @property
    def predicted(self) -> Mapping[str, float]:
        """Seconds that jobs were predicted to take, by name; empty if that is not known."""
        if self.plan.forecast is None:
            return self.times.predicted
        return {name: one.seconds for name, one in self.plan.forecast.jobs.items()}

    @property
    def members(self) -> list[Job]:
        """The jobs of the members that are finished."""
        return [job for job in self.plan.members if job.name in self.records]


def read_run(run: object) -> RunData:
    """Read what is known of a run.

    Args:
        run: A method after `fit`, or the path of a run directory.

    Raises:
        MotherNetsError: It is neither, or nothing is finished.
        RunError: There is no run in the folder, or its plan cannot be read.
    """
    if isinstance(run, Method):
        found = _of_method(run)
    elif isinstance(run, (str, os.PathLike)) and os.fspath(run):
        found = _of_directory(Path(run))
    else:
        raise MotherNetsError(
            "`run` is nothing that can be reported",
            expected="a method after `fit`, or the path of a run directory",
            received=repr(run),
        )
    if not found.records:
        raise RunError(
            "Nothing of this run is finished, so there is nothing to report",
            received=", ".join(f"`{name}` {state}" for name, state in found.states.items()),
            fix="Wait for its first job: `keras-mothernets status` tells how far it has come",
        )
    return found


def _of_method(method: Method) -> RunData:
    plan, context = method.last_run()
    files = context.store.files
    stored = {job.name: context.store.record(job) for job in plan}
    records = {name: record for name, record in stored.items() if record is not None}
    times = times_of_rows([record.row for record in records.values()])
    if files is not None:
        times = _times(files.path, plan) or times
    return RunData(
        plan=plan,
        records=records,
        states={
            name: context.failed.get(name, "not finished")
            for name, record in stored.items()
            if record is None
        },
        times=times,
        network=context.trained,
        versions=versions_here(),
        command="" if files is None else _command(files.path),
        folder=None if files is None else files.path,
    )


def _of_directory(path: Path) -> RunData:
    status = read_status(path)
    directory = RunDirectory(path)
    plan = directory.stored_plan()
    assert plan is not None, "there is a status"
    files = JobFiles(path, plan)
    words = {job.job: job.state for job in status.jobs}
    records, states = {}, {}
    times = _times(path, plan)
    for job in plan:
        record = _record(files, job) if words[job.name] == "finished" else None
        if record is not None:
            records[job.name] = record
        else:
            word = "damaged" if words[job.name] == "finished" else words[job.name]
            states[job.name] = (times.failed if times else {}).get(job.name, word)
    return RunData(
        plan=plan,
        records=records,
        states=states,
        times=times or times_of_rows([record.row for record in records.values()]),
        network=lambda job: _load(files, job),
        versions=status.versions,
        command=_command(path),
        folder=path,
        logits=_logits(plan),
    )


def _record(files: JobFiles, job: Job) -> JobRecord | None:
    """The record of a finished job, `None` if it is damaged; nothing there is changed."""
    row, state = files.row(job), files.state(job)
    folder = files.folder(job)
    try:
        if row is None or state is None:
            return None
        if any(
            sha256_of(folder / name) != state[key]
            for name, key in (("model.keras", "model_sha256"), ("history.csv", "history_sha256"))
        ):
            return None
        return JobRecord(job, read_history((folder / "history.csv").read_text()), row)
    except (OSError, ValueError, KeyError):
        return None


def _load(files: JobFiles, job: Job) -> keras.Model:
    path = files.folder(job) / "model.keras"
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # unknown layers raise all kinds
        reason = (str(error).strip().splitlines() or [""])[0]
        raise RunError(
            f"The network of job `{job.name}` cannot be loaded from its file alone",
            received=f"{type(error).__name__}: {reason}",
            fix="Give the method after `fit` in place of the folder",
        ) from error


def _times(folder: Path, plan: Plan) -> RunTimes | None:
    try:
        text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    times = read_times(text, {job.name for job in plan})
    return times if times.spans else None


def _command(folder: Path) -> str:
    """How the console command was called, if this is a run of it; no more than a text."""
    try:
        values = json.loads((folder / "command.json").read_text())
        return shlex.join(["keras-mothernets", *(str(each) for each in values["arguments"])])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _logits(plan: Plan) -> Any:
    """What the loss says of the members' outputs; `None` if they are probabilities or numbers."""
    loss = plan.settings.get("loss", "")
    if "from_logits=True" not in loss:
        return None
    return "sigmoid" if "binary" in loss.lower() else "softmax"
