"""Inputs and outputs of a network, alike for Functional and Sequential models."""

from __future__ import annotations

from typing import Any

import keras


def input_structure(model: keras.Model) -> Any:
    """The tensor, list or dict of tensors that a model takes."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def output_structure(model: keras.Model) -> Any:
    """The tensor, list or dict of tensors that a model gives."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def input_keys(model: keras.Model) -> list[str]:
    """Names of the inputs in the order of `model.inputs`, as dicts of arrays use them."""
    structure = input_structure(model)
    if isinstance(structure, dict):
        return sorted(structure)
    return [tensor.name for tensor in model.inputs]


def output_names(model: keras.Model) -> list[str]:
    """Names of the layers that give the outputs, in the order of `model.outputs`."""
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    return list(model.output_names)


def output_keys(model: keras.Model) -> list[str]:
    """Names of the outputs in the order of `model.outputs`, as dicts of labels use them."""
    structure = output_structure(model)
    return sorted(structure) if isinstance(structure, dict) else output_names(model)
