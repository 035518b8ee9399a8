"""What kind of numbers a network gives: probabilities, logits, or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.losses import loss_specs
from keras_mothernets.training.signature import output_keys, output_names

SQUASHINGS = ("softmax", "sigmoid")


def squashings_of(logits: Any, models: Sequence[keras.Model]) -> list[str | None]:
    """The activation that makes probabilities of each output, `None` where it gives them already.

    Args:
        logits: `None` looks at the loss that the models are compiled with; `False`: no output
            gives logits; `True`: all do; or "softmax", "sigmoid", `True` or `False` for each
            output, as a list in the order of the outputs or a dict by their names.
        models: Models with the same outputs.

    Raises:
        MotherNetsError: `logits` is none of these.
    """
    model = models[0]
    if logits is None:
        return _from_losses(models)
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


def _from_losses(models: Sequence[keras.Model]) -> list[str | None]:
    for model in models:
        if model.compiled and model.loss is not None:
            return [spec.squashing for spec in loss_specs(model.loss, model)]
    return [None] * len(models[0].outputs)


def gives_independent_units(model: keras.Model, position: int, squashing: str | None) -> bool:
    """Whether each unit of an output is a yes or no of its own, and not one class among several.

    Known from the squashing of logits, else from the last activation; one unit always is.
    """
    if model.outputs[position].shape[-1] == 1 or squashing == "sigmoid":
        return True
    return squashing is None and last_activation(model, position) == "sigmoid"


def last_activation(model: keras.Model, position: int) -> str:
    """Name of the activation that a model's output has passed last, "" if none is seen."""
    layer = model.get_layer(output_names(model)[position])
    if isinstance(layer, keras.Model):
        return last_activation(layer, min(position, len(layer.outputs) - 1))
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))
