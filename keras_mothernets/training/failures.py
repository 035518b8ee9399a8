"""What happens when a job fails: the run stops, goes on without it, or it is tried again."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, RunError
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.job import Job
from keras_mothernets.training.last_good import BadLoss
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.train_job import train_job

ON_FAILURE = ("stop", "skip", "retry")
RATES = (1.0, 1 / 2, 1 / 4, 1 / 8)  # factors on the learning rate, of one try after the other


class JobFailed(RunError):
    """A job that the others go on without."""


def check_on_failure(choice: Any) -> str:
    """What `on_failure` must be.

    Args:
        choice: What was given.

    Raises:
        MotherNetsError: It is something else.

    Example:
        >>> check_on_failure("skip")
        'skip'
    """
    if choice not in ON_FAILURE:
        raise MotherNetsError(
            "`on_failure` says what happens when a job fails",
            expected='"stop", "skip" or "retry"',
            received=repr(choice),
        )
    return str(choice)


def train_or_fail(
    job: Job, context: RunContext, mother: keras.Model | None = None
) -> tuple[JobRecord, keras.Model]:
    """`train_job`, and what the run's `on_failure` says if that fails.

    With "stop" the error is raised as it is. With "skip" a job whose loss is no number any more,
    or has grown a thousandfold, ends with its last good epoch; without one, or where something
    else fails, it is left out. With "retry" it begins again with a half of its learning
    rate, then with a quarter and an eighth, before it is treated like that.

    Args:
        job: The job.
        context: What the jobs of the run share.
        mother: As in `train_job`.

    Returns:
        As `train_job` does; a record's job is the plan's, whatever its learning rate was.

    Raises:
        JobFailed: The others shall go on without it.
        RunError: The run shall stop.
    """
    if context.on_failure == "stop":
        return train_job(job, context, mother)
    rates = RATES if context.on_failure == "retry" else RATES[:1]
    try:
        for rate, lower in itertools.pairwise(rates):
            try:
                return _with_rate(job, context, mother, rate)
            except BadLoss as error:
                _begin_anew(job, context, error, lower)
        return _with_rate(job, replace(context, keeps_last_good=True), mother, rates[-1])
    except Exception as error:
        raise JobFailed(f"Job `{job.name}` is left out: {error}") from error


def _with_rate(
    job: Job, context: RunContext, mother: keras.Model | None, rate: float
) -> tuple[JobRecord, keras.Model]:
    record, model = train_job(replace(job, rate=job.rate * rate), context, mother)
    return replace(record, job=replace(record.job, rate=job.rate)), model


def _begin_anew(job: Job, context: RunContext, error: BadLoss, rate: float) -> None:
    warnings.warn(
        f"{error.problem}; it begins again with {rate:g} of its learning rate", stacklevel=3
    )
    if (file := context.store.checkpoint(job)) is not None:
        file.remove()


def leave_out_all(
    job: Job, names: Sequence[str], error: JobFailed, plan: Plan, context: RunContext
) -> None:
    """Go on without a job and those that wait for it.

    Args:
        job: The job that failed.
        names: Its name, and those of the others.
        error: Why.
        plan: The plan.
        context: What the jobs of the run share; its `failed` and its display are told.
    """
    for name in names:
        waits = f"Job `{name}` is left out: it waits for `{job.name}`"
        context.failed[name] = str(error) if name == job.name else waits
        context.progress.fail_job(plan[name], context.failed[name])


def waiting_for(job: Job, plan: Plan) -> tuple[str, ...]:
    """A job's name, and those of all that cannot be done without it.

    Args:
        job: A job of the plan.
        plan: The plan.
    """
    found = [job.name]
    for name in found:  # which grows on the way
        found += [child for child in plan.children(name) if child not in found]
    return tuple(found)
