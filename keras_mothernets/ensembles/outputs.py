"""What kind of numbers a network gives: probabilities, logits, or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.training.losses import PROBABILITIES, SIGMOIDS, LossKind, loss_specs
from keras_mothernets.training.signature import output_keys

SQUASHINGS = ("softmax", "sigmoid")


def squashings_of(logits: Any, models: Sequence[keras.Model]) -> list[list[str | None]]:
    """For each model and output the activation that makes probabilities of it.

    `None` where the output gives them already.

    Args:
        logits: `None` looks at the loss that each model is compiled with, and at its last
            activation; `False`: no output gives logits; `True`: all do; or "softmax", "sigmoid",
            `True` or `False` for each output, as a list in the order of the outputs or a dict by
            their names.
        models: Models with the same outputs.

    Raises:
        MotherNetsError: `logits` is none of these, or the loss does not tell.
    """
    model = models[0]
    if logits is None:
        return _from_losses(models)
    return [_as_said(logits, model)] * len(models)


def _as_said(logits: Any, model: keras.Model) -> list[str | None]:
    keys = output_keys(model)
    if isinstance(logits, Mapping):
        unknown = [key for key in logits if key not in keys]
        if unknown:
            raise MotherNetsError(
                f"`logits` names output `{unknown[0]}`, which the members do not have",
                expected=f"outputs {keys}",
            )
        choices = [logits.get(key, False) for key in keys]
    elif isinstance(logits, (list, tuple)):
        choices = list(logits)
    else:
        choices = [logits] * len(keys)
    if len(choices) != len(keys):
        raise MotherNetsError(
            "`logits` must have one entry per output",
            expected=f"{len(keys)} entries",
            received=f"{len(choices)}",
        )
    return [
        _squashing(choice, tuple(output.shape))
        for choice, output in zip(choices, model.outputs, strict=True)
    ]


def _squashing(choice: Any, shape: tuple[int | None, ...]) -> str | None:
    if choice in (False, None):
        return None
    if choice is True:
        return "sigmoid" if shape[-1] == 1 else "softmax"
    if choice in SQUASHINGS:
        return str(choice)
    raise MotherNetsError(
        "`logits` cannot be used",
        expected='None, True, False, "softmax" or "sigmoid"',
        received=repr(choice),
    )


def _from_losses(models: Sequence[keras.Model]) -> list[list[str | None]]:
    """By each model's own loss; by that of the first that has one where it is not compiled."""
    losses = [model.loss if model.compiled else None for model in models]
    known = next((loss for loss in losses if loss is not None), None)
    return [
        [None] * len(model.outputs) if known is None else _squashings(model, loss or known)
        for model, loss in zip(models, losses, strict=True)
    ]


def _squashings(model: keras.Model, loss: Any) -> list[str | None]:
    return [
        None if last_activation(model, position) in PROBABILITIES else spec.squashing
        for position, spec in enumerate(loss_specs(loss, model))
    ]


def gives_independent_units(model: keras.Model, position: int, squashing: str | None) -> bool:
    """Whether each unit of an output is a yes or no of its own, and not one class among several.

    Known from the squashing of logits, else from the loss or the last activation; one unit
    always is.
    """
    if model.outputs[position].shape[-1] == 1 or squashing == "sigmoid":
        return True
    if squashing is not None:
        return False
    if model.compiled and model.loss is not None:
        if loss_specs(model.loss, model)[position].kind is LossKind.BINARY:
            return True
    return last_activation(model, position) in SIGMOIDS
