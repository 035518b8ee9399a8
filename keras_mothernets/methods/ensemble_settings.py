"""How an ensemble is compiled: as its members, except that it gives probabilities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.training.fresh import fresh_optimizer
from keras_mothernets.training.losses import (
    PROBABILITIES,
    LossKind,
    LossSpec,
    losses_by_output,
    of_probabilities,
    without_logits,
)
from keras_mothernets.training.settings import CompileSettings, is_job_function
from keras_mothernets.training.signature import output_keys


def check_votes(specs: Sequence[LossSpec], member: keras.Model) -> None:
    """Members can vote on classes, and on nothing else.

    Args:
        specs: What the loss says about each output.
        member: One of the members.

    Raises:
        MotherNetsError: An output is not known to tell classes.
    """
    for position, (key, spec) in enumerate(zip(output_keys(member), specs, strict=True)):
        if spec.kind is LossKind.ELEMENTWISE:
            reason = "whose loss is that of a regression"
        elif spec.kind is LossKind.OTHER and last_activation(member, position) not in PROBABILITIES:
            reason = "of whose loss it is not known what the outputs mean"
        else:
            continue
        raise MotherNetsError(
            f"Members cannot vote on output `{key}`, {reason}", expected='"average" or "weighted"'
        )


def compile_ensemble(
    model: keras.Model, settings: CompileSettings, specs: Sequence[LossSpec]
) -> None:
    """Compile an ensemble with the members' loss and metrics, for probabilities.

    Args:
        model: The ensemble.
        settings: The settings of the members.
        specs: What their loss says about each output.
    """
    ours = dataclasses.replace(
        settings,
        loss=_losses(model, settings.loss, specs),
        metrics=_metrics(model, settings.metrics, specs),
        weighted_metrics=_metrics(model, settings.weighted_metrics, specs),
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


def _metrics(model: keras.Model, metrics: Any, specs: Sequence[LossSpec]) -> Any:
    """Metrics of the same structure, for probabilities where an output's were for logits."""
    if isinstance(metrics, dict):
        by_output = dict(zip(output_keys(model), specs, strict=True))
        return {key: _mapped(value, _for(by_output[key])) for key, value in metrics.items()}
    if isinstance(metrics, (list, tuple)) and len(metrics) == len(specs) > 1:
        pairs = zip(metrics, specs, strict=True)
        return [_mapped(value, _for(spec)) for value, spec in pairs]
    return _mapped(metrics, _for(next((spec for spec in specs if spec.from_logits), specs[0])))


def _for(spec: LossSpec) -> Callable[[Any], Any]:
    return _metric_of_probabilities if spec.from_logits else lambda metric: metric


def _metric_of_probabilities(metric: Any) -> Any:
    """The same metric for probabilities, where it is set for logits.

    That is a metric with `from_logits=True`, or one whose thresholds are logits.
    """
    if not isinstance(metric, keras.metrics.Metric):
        return metric
    config = metric.get_config()
    if config.get("from_logits"):
        return without_logits(metric)
    for key in ("threshold", "thresholds"):
        if config.get(key) is not None:
            thresholds = keras.tree.map_structure(_probability, config[key])
            return type(metric).from_config({**config, key: thresholds})
    return metric


def _probability(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


def _mapped(structure: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(structure, dict):
        return {key: _mapped(value, function) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_mapped(value, function) for value in structure]
    return None if structure is None else function(structure)
