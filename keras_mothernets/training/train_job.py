"""One job, from its start to its record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from keras_mothernets.errors import MotherNetsError, RunError, reason_of
from keras_mothernets.training.callbacks import EpochLogs, EpochOrder, StopOnBadLoss, kept_epoch
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
        RunError: The hatched network is not its mother's equal, the loss or the weights are no
            numbers any more, or something else fails on the way; the job is named.
    """
    with errors_of(job):
        wall, cpu = time.perf_counter(), time.process_time()
        started = start_job(job, context, mother)
        model = started.model
        seed_random_layers(model, job.seed)
        context.settings.compile(model, context.optimizer(job))
        fitted = fit_job(job, context, model) if job.epochs else Fitted()
        check_weights(job, model)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        row = _row(job, started, fitted, wall, cpu)
        context.settings.compile(model, context.optimizer(job))
    return JobRecord(job, fitted.history, row), model


@contextlib.contextmanager
def errors_of(job: Job) -> Iterator[None]:
    """Say in which job something failed, whatever it is; an interruption passes.

    Raises:
        RunError: Something failed; what it was stands behind it as its cause.
    """
    try:
        yield
    except MotherNetsError:
        raise
    except Exception as error:
        raise RunError(
            f"Job `{job.name}` cannot go on",
            received=f"{type(error).__name__}: {reason_of(error)}",
        ) from error


def check_weights(job: Job, model: keras.Model) -> None:
    """Weights must be numbers; some activations hide from the loss that they are not.

    Raises:
        RunError: They are not.
    """
    for weight in model.trainable_weights:
        if not bool(keras.ops.all(keras.ops.isfinite(weight.value))):
            raise RunError(
                f"Job `{job.name}`: the weights became NaN or infinite, at `{weight.path}`",
                expected="finite weights",
                fix="Look for NaN in the data, or lower the learning rate",
            )


@dataclass(frozen=True)
class Fitted:
    """What came of `keras.Model.fit`.

    Args:
        history: Metric to a list with one value per epoch.
        steps: Batches that were trained on.
        examples: Examples in them; `None` if the data do not tell.
        metrics: Loss and metrics of the epoch whose weights are kept.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    steps: int = 0
    examples: int | None = 0
    metrics: dict[str, float] = field(default_factory=dict)


def fit_job(job: Job, context: RunContext, model: keras.Model) -> Fitted:
    """Call `keras.Model.fit` for one job."""
    arguments = context.data.fit_arguments(model, job.batch_size, job.seed)
    logs = EpochLogs()
    callbacks = [
        EpochOrder(arguments["x"]),
        StopOnBadLoss(job),
        *context.callbacks_of(job),
        logs,
        ReportSteps(context.progress, job),
    ]
    history = model.fit(**arguments, epochs=job.epochs, callbacks=callbacks, verbose=0).history
    accumulated = getattr(model.optimizer, "gradient_accumulation_steps", None) or 1
    steps = int(model.optimizer.iterations) * accumulated
    return Fitted(
        history={name: [float(value) for value in values] for name, values in history.items()},
        steps=steps,
        examples=context.data.examples(steps, job.batch_size),
        metrics=logs.until(kept_epoch(callbacks)),
    )


def _row(job: Job, started: Started, fitted: Fitted, wall: float, cpu: float) -> LedgerRow:
    return LedgerRow(
        job=job.name,
        role=job.role,
        network=job.network,
        waits_for=" ".join(job.waits_for),
        epochs=len(next(iter(fitted.history.values()), [])),
        steps=fitted.steps,
        examples=fitted.examples,
        parameters=started.model.count_params(),
        inherited=job.start.inherited if isinstance(job.start, Hatch) else None,
        deviation=started.deviation,
        hatch_seconds=started.hatch_seconds,
        wall_seconds=wall,
        cpu_seconds=cpu,
        device=device_text(),
        metrics=fitted.metrics,
    )


def device_text() -> str:
    """What jobs run on: the first accelerator's name, else "CPU"."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "CPU"
    return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
