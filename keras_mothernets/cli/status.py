"""`keras-mothernets status`: how far a run has come, from another terminal."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from keras_mothernets.cli.outcome import Outcome
from keras_mothernets.training.run_status import JobStatus, RunStatus, read_status
from keras_mothernets.training.text import duration_text, text_table


def run(arguments: argparse.Namespace) -> Outcome:
    """Print how far a run has come; writes nothing.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: There is no run, or its plan cannot be read.
    """
    status = read_status(arguments.run)
    if not arguments.json:
        print(_text(status))
    return Outcome({**asdict(status), "seconds": status.seconds})


def _text(status: RunStatus) -> str:
    metrics = list(dict.fromkeys(name for job in status.jobs for name in job.metrics))
    rows = [
        [job.job, job.role, _state(job), f"{job.epochs_done}/{job.epochs}"]
        + [duration_text(job.seconds)]
        + [job.metrics.get(name) for name in metrics]
        for job in status.jobs
    ]
    table = text_table(["job", "role", "state", "epochs", "time", *metrics], rows)
    writes = "Nobody writes there now" if status.writer is None else f"Written by {status.writer}"
    done = f"{status.finished} of {len(status.jobs)} jobs finished"
    return f"{status.method}\n{table}\n{done}, {duration_text(status.seconds)} so far. {writes}."


def _state(job: JobStatus) -> str:
    if job.state == "waiting":
        return f"waiting for {', '.join(job.waits_for)}"
    return "damaged, will be done again" if job.state == "damaged" else job.state
