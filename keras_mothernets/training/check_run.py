"""Everything that can be known to be wrong before the first step of the first job."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import keras

from keras_mothernets.errors import DataError, GraphError, naming, whole_number
from keras_mothernets.graph import clone, live_layers
from keras_mothernets.training.branched import context_of
from keras_mothernets.training.callbacks import check_callbacks
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import (
    ArraySource,
    TrainingData,
    check_arrays,
    check_network,
)
from keras_mothernets.training.distillation import check_lesson
from keras_mothernets.training.keep_best import check_monitor
from keras_mothernets.training.losses import doubt_about
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.signature import output_keys

Rows = tuple[Any, Any, Any]
ROWS_TO_TRY = 2


def check_run(plan: Plan, context: RunContext) -> None:
    """Check data, networks, settings and callbacks against each other; nothing is trained.

    Args:
        plan: The jobs.
        context: What they share.

    Raises:
        MotherNetsError: Something does not fit; the job, and the array or argument, is named.
    """
    if context.data.class_weight and any(job.bootstrap is not None for job in plan):
        raise DataError(
            "`class_weight` cannot be given with data in batches of which bootstrap samples are"
            " drawn, since these are weights already",
            expected="sample weights inside the batches of the data set, or arrays",
        )
    rows = _all_rows(context.data)
    tried: set[str] = set()
    for job in plan:
        network = context.networks[job.network]
        with naming(f"{job.role.capitalize()} `{job.name}`"):
            own = context_of(context, job)
            data, settings = own.data, own.settings
            train, validation = rows if own is context else _all_rows(data)
            check_network(network, settings.loss, *train[:2])
            check_lesson(job, context)
            if validation is not None:
                check_network(network, settings.loss, *validation[:2], title="validation ")
            if (signature := output_signature(network) + job.monitor) not in tried:
                tried.add(signature)
                x, y, weights = data.train.for_network(network).first_rows(ROWS_TO_TRY)
                check_monitor(job.monitor, settings.try_on(network, y, weights, x))
            if job.architecture not in tried:
                tried.add(job.architecture)
                check_copy(network)
            if (doubt := doubt_about(settings.loss, network)) is not None:
                warnings.warn(f"{job.role.capitalize()} `{job.name}`: {doubt}", stacklevel=4)
    check_callbacks(context.callbacks, plan.jobs)
    gc.collect()  # the copies are cyclic


def _all_rows(data: TrainingData) -> tuple[Rows, Rows | None]:
    return rows_of(data.train), rows_of(data.validation) if data.validation else None


def check_copy(network: keras.Model) -> None:
    """A network must be what its config says, for jobs train copies of it.

    Args:
        network: A built model.

    Raises:
        GraphError: A layer cannot be made from its config, or has other weights then.
    """
    copied = live_layers(clone(network, weights=False))
    for path, layer in live_layers(network).items():
        here, there = (
            [tuple(weight.shape) for weight in getattr(each, "weights", [])]  # operations have none
            for each in (layer, copied[path])
        )
        if here != there:
            raise GraphError(
                f"Layer `{layer.name}` ({type(layer).__name__}) has other weights when it is made"
                " from its config",
                expected=f"shapes {here}",
                received=f"shapes {there}",
                fix="Check its `get_config`",
            )


def rows_of(source: Any) -> Rows:
    """All rows of arrays, checked when they were read; else those of the first batch.

    Raises:
        DataError: The first batch has rows of different number, or values that are not finite.
    """
    if isinstance(source, ArraySource):
        return source.x, source.y, source.sample_weight
    rows: Rows = source.first_rows(10**9)
    check_arrays(*rows, "" if source.title == "x" else "validation ")
    return rows


def output_signature(network: keras.Model) -> str:
    """Shapes, types and names of a network's outputs, and whose they are if sizes are free."""
    told = [str((tensor.shape, tensor.dtype)) for tensor in network.outputs]
    is_free = any(None in tensor.shape[1:] for tensor in network.outputs)
    return str([*told, *output_keys(network), network.name if is_free else ""])


def check_schedule(epochs: Any, batch_size: Any, data: TrainingData) -> tuple[int, int]:
    """Epochs and batch size must be positive whole numbers, and an epoch must end.

    Returns:
        The two as plain numbers.

    Raises:
        MotherNetsError: They are not.
        DataError: The data never end and `steps_per_epoch` was not given.
    """
    epochs, batch_size = (
        whole_number("epochs", epochs, 1),
        whole_number("batch_size", batch_size, 1),
    )
    for source, option in ((data.train, "steps_per_epoch"), (data.validation, "validation_steps")):
        if getattr(source, "is_infinite", False) and getattr(data, option) is None:
            raise DataError("The data set never ends", fix=f"Give `{option}`")
    return epochs, batch_size
