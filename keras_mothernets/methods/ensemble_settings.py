"""How an ensemble is compiled: as its members, except that it gives probabilities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.fresh import fresh_optimizer
from keras_mothernets.training.losses import (
    LossKind,
    LossSpec,
    loss_specs,
    losses_by_output,
    of_probabilities,
    without_logits,
)
from keras_mothernets.training.settings import CompileSettings, is_job_function
from keras_mothernets.training.signature import output_keys


def logits_of(settings: CompileSettings, member: keras.Model, how: str) -> list[LossSpec]:
    """What the loss says about each output of the members.

    Raises:
        MotherNetsError: Votes are wanted of outputs that are no classes.
    """
    specs = loss_specs(settings.loss, member)
    for key, spec in zip(output_keys(member), specs, strict=True):
        if how == "vote" and spec.kind is LossKind.ELEMENTWISE:
            raise MotherNetsError(
                f"Members cannot vote on output `{key}`, whose loss is that of a regression",
                expected='"average" or "weighted"',
            )
    return specs


def compile_ensemble(
    model: keras.Model, settings: CompileSettings, specs: Sequence[LossSpec]
) -> None:
    """Compile an ensemble with the members' loss and metrics, for probabilities.

    Args:
        model: The ensemble.
        settings: The settings of the members.
        specs: What their loss says about each output.
    """
    any_logits = any(spec.from_logits for spec in specs)
    ours = dataclasses.replace(
        settings,
        loss=_losses(model, settings.loss, specs),
        metrics=_mapped(settings.metrics, _metric_of_probabilities)
        if any_logits
        else settings.metrics,
        weighted_metrics=_mapped(settings.weighted_metrics, _metric_of_probabilities)
        if any_logits
        else settings.weighted_metrics,
    )
    # A function of the job has no job here; whoever trains an ensemble on compiles it anew.
    choice = "sgd" if is_job_function(settings.optimizer) else settings.optimizer
    ours.compile(model, fresh_optimizer(choice))


def _losses(model: keras.Model, loss: Any, specs: Sequence[LossSpec]) -> Any:
    if not isinstance(loss, (list, tuple, dict)):
        return of_probabilities(loss, specs[0])
    by_output = [
        of_probabilities(entry, spec)
        for entry, spec in zip(losses_by_output(loss, model), specs, strict=True)
    ]
    if isinstance(loss, dict):
        named = dict(zip(output_keys(model), by_output, strict=True))
        return {key: named[key] for key in loss}
    return by_output


def _metric_of_probabilities(metric: Any) -> Any:
    """The same metric for probabilities, where it is set for logits.

    That is a metric with `from_logits=True`, or an accuracy whose threshold is one of logits.
    """
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    if metric.get_config().get("from_logits"):
        return without_logits(metric)
    if isinstance(metric, keras.metrics.BinaryAccuracy):
        config = metric.get_config()
        threshold = 1.0 / (1.0 + math.exp(-config["threshold"]))
        return type(metric).from_config({**config, "threshold": threshold})
    return metric


def _mapped(structure: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(structure, dict):
        return {key: _mapped(value, function) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_mapped(value, function) for value in structure]
    return None if structure is None else function(structure)
