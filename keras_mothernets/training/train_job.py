"""One job, from its start to its record."""

from __future__ import annotations

import time
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.training.callbacks import EpochOrder, StopOnBadLoss
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.job import Hatch, Job
from keras_mothernets.training.ledger import LedgerRow
from keras_mothernets.training.progress import ReportSteps
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.seeds import seed_random_layers
from keras_mothernets.training.start_job import Started, start_job


def train_job(
    job: Job, context: RunContext, mother: keras.Model | None = None
) -> tuple[JobRecord, keras.Model]:
    """Train one network as its job says.

    Args:
        job: The job.
        context: What the jobs of the run share.
        mother: The trained network of the job that this one's start waits for.

    Returns:
        The record, and the trained network, compiled anew so that it holds no optimizer state.

    Raises:
        RunError: The hatched network is not its mother's equal, or the loss is no number any more.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    started = start_job(job, context, mother)
    model = started.model
    seed_random_layers(model, job.seed)
    context.settings.compile(model, context.optimizer(job))
    history = fit_job(job, context, model) if job.epochs else {}
    steps = int(model.optimizer.iterations)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    context.settings.compile(model, context.optimizer(job))
    return JobRecord(job, history, _row(job, context, started, history, steps, wall, cpu)), model


def fit_job(job: Job, context: RunContext, model: keras.Model) -> dict[str, list[float]]:
    """Call `keras.Model.fit` for one job.

    Returns:
        The history: metric to a list with one value per epoch.
    """
    arguments = context.data.fit_arguments(model, job.batch_size, job.seed)
    callbacks = [
        EpochOrder(arguments["x"]),
        StopOnBadLoss(job),
        *context.callbacks_of(job),
        ReportSteps(context.progress, job),
    ]
    history = model.fit(**arguments, epochs=job.epochs, callbacks=callbacks, verbose=0)
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def _row(
    job: Job,
    context: RunContext,
    started: Started,
    history: dict[str, list[float]],
    steps: int,
    wall: float,
    cpu: float,
) -> LedgerRow:
    epochs = len(next(iter(history.values()), []))
    rows = context.data.train.num_examples
    return LedgerRow(
        job=job.name,
        role=job.role,
        network=job.network,
        waits_for=" ".join(job.waits_for),
        epochs=epochs,
        steps=steps,
        examples=None if rows is None else rows * epochs,
        parameters=started.model.count_params(),
        inherited=job.start.inherited if isinstance(job.start, Hatch) else None,
        deviation=started.deviation,
        hatch_seconds=started.hatch_seconds,
        wall_seconds=wall,
        cpu_seconds=cpu,
        device=device_text(),
        metrics=_last(history),
    )


def _last(history: dict[str, list[Any]]) -> dict[str, float]:
    return {name: values[-1] for name, values in history.items() if values}


def device_text() -> str:
    """What jobs run on: the first accelerator's name, else "CPU"."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "CPU"
    return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
