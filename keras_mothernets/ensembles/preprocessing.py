"""What comes before the members in an exported ensemble, as one model."""

from __future__ import annotations

from typing import Any

import keras

from keras_mothernets.ensembles.combine import named_inputs
from keras_mothernets.errors import MotherNetsError, naming, reason_of
from keras_mothernets.graph import clone
from keras_mothernets.training.signature import input_keys, input_structure, output_structure

NAME = "preprocessing"


def as_preprocessing(preprocessing: Any, network: keras.Model) -> keras.Model:
    """A model that takes what the ensemble will be given, and gives what its members take.

    Args:
        preprocessing: A built model with inputs of its own; a layer, or a function of Keras layers
            and operations, which takes inputs like the members'.
        network: One of the members.

    Returns:
        A new model; yours is copied.

    Raises:
        MotherNetsError: It is none of these, fails, or gives something else than members take.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> as_preprocessing(lambda x: x / 255, network).output_shape
        (None, 4)
    """
    if isinstance(preprocessing, keras.Model):
        with naming("`preprocessing`"):
            model = clone(preprocessing, name=NAME)
    elif isinstance(preprocessing, keras.layers.Layer) or callable(preprocessing):
        model = _called(preprocessing, network)
    else:
        raise MotherNetsError(
            "`preprocessing` cannot be used",
            expected="a Keras model or layer, or a function of Keras layers and operations",
            received=f"a {type(preprocessing).__name__}",
        )
    _check_fits(model, network)
    return model


def _called(preprocessing: Any, network: keras.Model) -> keras.Model:
    inputs = keras.tree.pack_sequence_as(input_structure(network), named_inputs(network))
    try:
        return keras.Model(inputs, preprocessing(inputs), name=NAME)
    except Exception as error:  # whatever the user's function does
        raise MotherNetsError(
            "`preprocessing` fails on inputs like those of the members",
            expected="Keras layers and operations, which know tensors without numbers",
            received=f"{type(error).__name__}: {reason_of(error)}",
            fix="If it takes other inputs, give a model: `keras.Sequential([keras.Input(shape,"
            ' dtype="uint8"), ...])`',
        ) from error


def _check_fits(model: keras.Model, network: keras.Model) -> None:
    given, taken = output_structure(model), input_structure(network)
    is_dict = isinstance(given, dict) and isinstance(taken, dict)
    fits = len(model.outputs) == len(network.inputs)
    fits = fits and (not is_dict or sorted(given) == input_keys(network))
    fits = fits and all(
        _fits(output, wanted) for output, wanted in zip(model.outputs, network.inputs, strict=True)
    )
    if not fits:
        raise MotherNetsError(
            "`preprocessing` gives something else than the members take",
            expected=_told(taken),
            received=_told(given),
        )


def _fits(output: Any, wanted: Any) -> bool:
    mine, its = tuple(output.shape)[1:], tuple(wanted.shape)[1:]
    sizes_fit = len(mine) == len(its) and all(
        size in (None, given) for given, size in zip(mine, its, strict=True)
    )
    # Members cast numbers of any type to their floats, and nothing to words or texts.
    is_cast = "float" in wanted.dtype and output.dtype != "string"
    return sizes_fit and (is_cast or output.dtype == wanted.dtype)


def _told(structure: Any) -> str:
    return str(
        keras.tree.map_structure(lambda tensor: f"{tuple(tensor.shape)} {tensor.dtype}", structure)
    )
