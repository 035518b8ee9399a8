"""Data and settings of a tree of networks: every target once for each branch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import ArraySource, TrainingData
from keras_mothernets.training.data.mapped import MappedBatches
from keras_mothernets.training.data.read import Source
from keras_mothernets.training.job import Job
from keras_mothernets.training.settings import CompileSettings


def context_of(context: RunContext, job: Job) -> RunContext:
    """What a run shares, as one job needs it: with targets, loss and metrics for each branch.

    Args:
        context: What the run shares.
        job: The job.

    Raises:
        MotherNetsError: The settings are for networks of several outputs.
    """
    if job.branches == 1:
        return context
    return replace(
        context,
        data=_data(context.data, job.branches),
        settings=_settings(context.settings, job.branches),
    )


def _settings(settings: CompileSettings, branches: int) -> CompileSettings:
    if settings.loss_weights is not None or isinstance(settings.loss, (list, tuple, dict)):
        raise MotherNetsError(
            "Members with a trunk in common have one output, and one loss without a weight",
            received="a loss for each of several outputs, or `loss_weights`",
        )
    return replace(
        settings,
        loss=[settings.loss] * branches,
        metrics=_each(settings.metrics, branches),
        weighted_metrics=_each(settings.weighted_metrics, branches),
    )


def _each(metrics: Any, branches: int) -> Any:
    """Metrics for every branch."""
    if isinstance(metrics, dict):  # by the name of an output, and there is one
        metrics = list(metrics.values())[0] if len(metrics) == 1 else metrics
    if isinstance(metrics, dict):
        raise MotherNetsError(
            "Members with a trunk in common have one output", received=f"metrics of {list(metrics)}"
        )
    return None if metrics is None else [metrics] * branches


def _data(data: TrainingData, branches: int) -> TrainingData:
    if data.class_weight is not None:
        raise DataError(
            "`class_weight` cannot be given with data in batches to networks with a trunk in"
            " common, which together have several outputs",
            expected="sample weights inside the batches of the data set, or arrays",
        )
    validation = None if data.validation is None else _source(data.validation, branches)
    return replace(data, train=_source(data.train, branches), validation=validation)


def _source(source: Source, branches: int) -> Source:
    if isinstance(source, ArraySource):
        parts = (_repeated(part, branches) for part in (source.y, source.sample_weight))
        return ArraySource(source.x, *parts)

    def change(batch: Any) -> Any:
        x, *others = keras.utils.unpack_x_y_sample_weight(batch)
        return keras.utils.pack_x_y_sample_weight(x, *(_repeated(o, branches) for o in others))

    if isinstance(source.dataset, tf.data.Dataset):
        change(source.dataset.element_spec)  # errors within `map` are hidden in TensorFlow's
        mapped = source.dataset.map(lambda *batch: change(batch if len(batch) > 1 else batch[0]))
        return replace(source, dataset=mapped)
    return replace(source, dataset=MappedBatches(source.dataset, change))


def _repeated(part: Any, branches: int) -> Any:
    """Targets or weights of the one output, for every branch.

    Raises:
        DataError: They are those of several outputs.
    """
    if part is None:
        return None
    leaves = keras.tree.flatten(part)
    if len(leaves) != 1:
        raise DataError(
            "The targets or sample weights do not match the networks' one output",
            expected="1 array",
            received=f"{len(leaves)} arrays",
        )
    return (leaves[0],) * branches
