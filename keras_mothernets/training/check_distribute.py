"""What cannot be trained over several devices is refused, with the reason, before anything trains.

Each refusal that is due to Keras has a test that Keras is still so; see `docs/DISTRIBUTION.md`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.errors import DataError, MotherNetsError, naming
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import ArraySource, TrainingData
from keras_mothernets.training.data.read import Source
from keras_mothernets.training.data.replicas import (
    next_multiple,
    rows_of_every_batch,
    uneven_rows,
)
from keras_mothernets.training.distribute import replicas_of, told
from keras_mothernets.training.fresh import with_inner
from keras_mothernets.training.plan import Plan

_KNOWN = (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy)
_ONE_MACHINE = "a `tf.distribute.MirroredStrategy` or `OneDeviceStrategy`"
_REASONS = {
    tf.distribute.MultiWorkerMirroredStrategy: "`fit` of Keras 3 fails with several machines",
    tf.distribute.experimental.ParameterServerStrategy: "Keras 3 has no parameter servers",
}
# What Keras does to the gradients of each replica by itself, or within a branch of its graph.
_OF_EACH_REPLICA = "clips the gradients of each replica by themselves, before they are summed"
_IN_A_BRANCH = "fails over several devices, since replicas cannot meet within a branch of a graph"
_OPTIMIZER_SETTINGS = {
    "clipnorm": _OF_EACH_REPLICA,
    "global_clipnorm": _OF_EACH_REPLICA,
    "clipvalue": _OF_EACH_REPLICA,
    "gradient_accumulation_steps": _IN_A_BRANCH,
    "ema_overwrite_frequency": _IN_A_BRANCH,
}


def check_strategy(strategy: Any) -> None:
    """A strategy must be one of TensorFlow's for one machine, and given where it is used.

    Args:
        strategy: The `distribute` argument of `fit`.

    Raises:
        MotherNetsError: It is another one; or `fit` was called within the scope of one.
    """
    if tf.distribute.has_strategy():
        raise MotherNetsError(
            "`fit` was called within the scope of a strategy",
            expected="the strategy as `distribute`",
            fix="Call `fit(..., distribute=strategy)` outside of `strategy.scope()`",
        )
    if strategy is None:
        return
    if keras.backend.backend() != "tensorflow":
        raise MotherNetsError(
            "`distribute` needs the TensorFlow backend, as training does (its data and strategies"
            " are TensorFlow's)",
            expected=_ONE_MACHINE,
            received=f"a {type(strategy).__name__}, with the backend {keras.backend.backend()}",
            fix="Set KERAS_BACKEND=tensorflow",
        )
    if not isinstance(strategy, _KNOWN):
        reasons = [reason for kind, reason in _REASONS.items() if isinstance(strategy, kind)]
        raise MotherNetsError(
            f"`distribute` cannot be used{''.join(f': {reason}' for reason in reasons)}",
            expected=_ONE_MACHINE,
            received=f"a {type(strategy).__name__}",
        )


def distributed(
    plan: Plan, context: RunContext, strategy: tf.distribute.Strategy
) -> tuple[Plan, RunContext]:
    """A run over the devices of a strategy; its plan says so.

    Args:
        plan: The jobs.
        context: What they share.
        strategy: The strategy.

    Returns:
        The plan and what its jobs share, once settings, optimizers, batch sizes and data are
        known to be such that Keras can distribute them.

    Raises:
        MotherNetsError: They are not.
        DataError: The rows cannot be dealt out.
    """
    replicas = replicas_of(strategy)
    data = replace(context.data, replicas=replicas)
    context = replace(context, distribute=strategy, data=data)
    plan = replace(plan, settings={**plan.settings, "distribute": told(strategy)})
    _check_settings(context)
    _check_optimizers(plan, context)
    if replicas > 1:
        for size in sorted({job.batch_size for job in plan if job.batch_size is not None}):
            _check_batch_size("batch_size", size, replicas)
        _check_data(data, replicas)
    return plan, context


def _check_settings(context: RunContext) -> None:
    settings = context.settings
    if settings.jit_compile is True:
        raise MotherNetsError(
            "`jit_compile=True` fails with `distribute`: XLA cannot reach variables on other"
            " devices",
            expected='`jit_compile="auto"` or `False`',
        )
    if settings.steps_per_execution > 1:
        raise MotherNetsError(
            "`steps_per_execution` above 1 fails with `distribute` in Keras 3",
            expected="1",
            received=settings.steps_per_execution,
        )


def _check_optimizers(plan: Plan, context: RunContext) -> None:
    """One for each choice; what is not the common one is told in words by the job."""
    strategy, tried = context.distribute, set[str]()
    assert strategy is not None
    for job in plan:
        if job.optimizer in tried:
            continue
        tried.add(job.optimizer)
        with naming(f"{job.role.capitalize()} `{job.name}`"):
            for optimizer in with_inner(context.optimizer(job, in_scope=True)):
                _check_optimizer(optimizer, strategy)


def _check_optimizer(
    optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy
) -> None:
    is_ours = strategy.extended.variable_created_in_scope
    if not all(is_ours(variable.value) for variable in optimizer.variables):
        raise MotherNetsError(
            "`optimizer` was made before the job, and an optimizer belongs to the strategy in whose"
            " scope it was made",
            expected="a function of the job that makes a new optimizer when it is called, in the"
            " scope of `distribute`",
            fix="Make the optimizer inside the function",
        )
    if replicas_of(strategy) == 1:
        return
    for name, reason in _OPTIMIZER_SETTINGS.items():
        value = getattr(optimizer, name, None)
        if value is not None:
            raise MotherNetsError(
                f"`{name}` of the optimizer cannot be used with `distribute`: Keras {reason}"
                if reason is _OF_EACH_REPLICA
                else f"`{name}` of the optimizer cannot be used with `distribute`: it {reason}",
                expected="an optimizer without it",
                received=value,
            )


def _check_batch_size(name: str, size: int, replicas: int) -> None:
    if size % replicas:
        above = next_multiple(size, of=replicas)
        below = above - replicas
        raise MotherNetsError(
            f"`{name}` does not divide by the {replicas} devices of `distribute`",
            expected=f"{below} or {above}" if below else f"{above}",
            received=size,
        )


def _check_data(data: TrainingData, replicas: int) -> None:
    if data.validation_batch_size is not None:
        _check_batch_size("validation_batch_size", data.validation_batch_size, replicas)
    for name, source in (("x", data.train), ("validation_data", data.validation)):
        if source is not None and not isinstance(source, ArraySource):
            _check_stream(name, source, replicas)
    rows = None if data.validation is None else data.validation.num_examples
    if rows is not None and rows <= uneven_rows(rows, replicas):
        raise DataError(
            f"The validation data are too few to be dealt out to {replicas} devices",
            expected=f"a multiple of {replicas}, or more than {replicas**2} examples",
            received=f"{rows} examples",
        )


def _check_stream(name: str, source: Source, replicas: int) -> None:
    dataset = source.dataset  # type: ignore[union-attr]
    rows = rows_of_every_batch(dataset)
    if rows is None or rows % replicas:
        raise DataError(
            f"`{name}` gives batches of which it is not known that they divide by the {replicas}"
            " devices of `distribute`",
            expected=f"arrays; or a `tf.data.Dataset` whose batches all have a multiple of"
            f" {replicas} rows",
            received=repr(dataset) if rows is None else f"batches of {rows} rows",
            fix="Call `.batch(batch_size, drop_remainder=True)` on the data set",
        )
