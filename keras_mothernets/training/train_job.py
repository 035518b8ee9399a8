"""One job, from its start to its record."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.errors import MotherNetsError, RunError, reason_of
from keras_mothernets.graph import copy_variables, training_flops
from keras_mothernets.training.branched import context_of
from keras_mothernets.training.callback_states import CallbackStates
from keras_mothernets.training.callbacks import EpochLogs, EpochOrder
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.distillation import Student, as_student, fit_arguments_of
from keras_mothernets.training.distribute import put_in, replicas_of, taken_out, with_strategy
from keras_mothernets.training.graph_gradients import gradients_end_with_graphs
from keras_mothernets.training.interrupt import StopWhenAsked
from keras_mothernets.training.job import Hatch, Job
from keras_mothernets.training.keep_best import give_back_best, keep_best, kept_epoch
from keras_mothernets.training.last_good import BadLoss, StopOnBadLoss, check_weights
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.meter import Meter
from keras_mothernets.training.progress import ReportSteps
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.renew_statistics import renew_statistics
from keras_mothernets.training.resume_job import GoOn, LastLogs, first_epoch, resume_job
from keras_mothernets.training.save_epochs import SaveEpochs
from keras_mothernets.training.seeds import seed_random_layers
from keras_mothernets.training.start_job import Started, start_job
from keras_mothernets.training.store import empty_like


def train_job(
    job: Job, context: RunContext, mother: keras.Model | None = None
) -> tuple[JobRecord, keras.Model]:
    """Train one network as its job says, or on from its checkpoint.

    Args:
        job: The job.
        context: What the jobs of the run share.
        mother: The trained network of the job that this one waits for.

    Returns:
        The record, and the trained network, compiled anew so that it holds no optimizer state.

    Raises:
        BadLoss: The loss or the weights are no numbers any more, or the loss explodes.
        RunError: The hatched network is not its mother's equal, or something else fails on the
            way; the job is named.
    """
    with errors_of(job), gradients_end_with_graphs():
        context = context_of(context, job)
        meter = Meter()
        started = _started(job, context, mother)
        if (checkpoint := started.checkpoint) is not None:
            job = replace(job, initial_weights=checkpoint.initial_weights)
            meter.include(checkpoint)
            context.progress.resume_job(job, len(checkpoint.epochs))
        arguments = fit_arguments_of(job, context, started.model, mother) if job.epochs else {}
        fitted = fit_job(job, context, started, arguments, meter) if job.epochs else Fitted()
        model = taken_out(started.model, context.distribute, context.networks[job.network])
        if job.renews_statistics and job.epochs:
            renew_statistics(model, arguments)
        check_weights(job, model)
        row = _row(job, context, started, fitted, meter)
        if isinstance(model, Student):
            model = empty_like(context.networks[job.network], job.name)
            copy_variables(started.model, model)
        context.settings.compile(model, context.optimizer(job))
    return JobRecord(job, fitted.history, row), model


def _started(job: Job, context: RunContext, mother: keras.Model | None) -> Started:
    """The network as its checkpoint has it, else as the job begins; compiled."""
    started = resume_job(job, context)
    if started is None:
        started = start_job(job, context, mother)
        seed_random_layers(started.model, job.seed)
        started = replace(started, model=put_in(started.model, context.distribute))
        if job.lesson is not None:
            started = replace(started, model=as_student(started.model, job, context))
        context.compile_to_train(job, started.model)
    return started


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


def fit_job(
    job: Job, context: RunContext, started: Started, arguments: Mapping[str, Any], meter: Meter
) -> Fitted:
    """Call `keras.Model.fit` for one job.

    Args:
        job: The job.
        context: What the jobs of the run share.
        started: The network, compiled.
        arguments: The data.
        meter: What the job has cost so far.
    """
    model, checkpoint = started.model, started.checkpoint
    logs = EpochLogs(checkpoint.epochs if checkpoint else ())
    own = context.callbacks_of(job)
    # First, so that it takes the weights as they were validated, and those of the user that
    # look at the end of the training, or change the weights there, come after it.
    own = [*keep_best(job, own, model.optimizer), *own]
    goes_on = context.on_failure != "stop"
    good = StopOnBadLoss(job, logs, keeps=context.keeps_last_good, explodes=goes_on)
    callbacks = [
        LastLogs(logs.epochs),
        EpochOrder(arguments["x"]),
        good,
        *own,
        logs,
        *_keepers(job, context, started, own, logs, meter),
        ReportSteps(context.progress, job),
        StopWhenAsked(context.interrupt),
    ]
    begin = first_epoch(job, checkpoint)
    callbacks = with_strategy(callbacks, context.distribute)
    try:
        model.fit(
            **arguments, initial_epoch=begin, epochs=job.epochs, callbacks=callbacks, verbose=0
        )
    except BadLoss as error:
        if not good.give_back():
            raise
        give_back_best(own, model)
        warnings.warn(f"{error.problem}; it ends as it was before", stacklevel=2)
    accumulated = getattr(model.optimizer, "gradient_accumulation_steps", None) or 1
    steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) * accumulated
    return Fitted(
        history=logs.history(),
        steps=steps,
        examples=context.data.examples(steps, job.batch_size),
        metrics=logs.until(kept_epoch(own)),
    )


def _keepers(
    job: Job,
    context: RunContext,
    started: Started,
    own: Sequence[keras.callbacks.Callback],
    logs: EpochLogs,
    meter: Meter,
) -> Iterator[keras.callbacks.Callback]:
    """The callbacks that take up a job, and keep it so that it can be taken up."""
    states = CallbackStates(own)
    if started.checkpoint is not None:
        yield GoOn(started.checkpoint, states)
    file = context.store.checkpoint(job)
    if file is not None:
        yield SaveEpochs(file, started, states, logs, meter)


def _row(
    job: Job, context: RunContext, started: Started, fitted: Fitted, meter: Meter
) -> LedgerRow:
    return LedgerRow(
        job=job.name,
        role=job.role,
        network=job.network,
        waits_for=" ".join(job.waits_for),
        epochs=len(next(iter(fitted.history.values()), [])),
        steps=fitted.steps,
        examples=fitted.examples,
        flops=training_flops(started.model, fitted.examples),
        parameters=started.model.count_params(),
        inherited=job.start.inherited if isinstance(job.start, Hatch) else None,
        deviation=started.deviation,
        hatch_seconds=started.hatch_seconds,
        **meter.costs,
        device=device_text(replicas_of(context.distribute)),
        metrics=fitted.metrics,
    )


def device_text(count: int = 1) -> str:
    """What jobs run on: the first accelerator's name, else "CPU"; of several with their number.

    Args:
        count: Number of devices that a job trains on.
    """
    devices = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(devices[0]) if devices else {}
    name = str(details.get("device_name", "GPU")) if devices else "CPU"
    return name if count == 1 else f"{count} x {name}"
