"""The only module that touches private attributes of Keras; holds for Keras 3.15.

Keras records each call of a layer or operation as a node. Which nodes belong to
a model, in which order, is not public, so this module turns them into plain
`Call`s. A new Keras version that changes these attributes turns
`tests/graph/test_keras_assumptions.py` red.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Call:
    """One call of an operation inside a model.

    Args:
        operation: The layer or raw operation that was called.
        args: Positional arguments; tensors are `keras.KerasTensor`s.
        kwargs: Keyword arguments, likewise.
        outputs: The tensors that came out.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[keras.KerasTensor, ...]

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """All tensors among the arguments, in the order of Keras."""
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def is_functional(model: object) -> bool:
    """Whether a model has a recorded graph (Functional, or a built Sequential)."""
    return isinstance(model, keras.Model) and hasattr(_functional(model), "_nodes_by_depth")


def calls(model: keras.Model) -> Iterator[Call]:
    """All calls of a model in topological order, inputs left out, nested models not entered."""
    by_depth = _functional(model)._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if not node.is_input:
                arguments = node.arguments
                yield Call(node.operation, arguments.args, arguments.kwargs, tuple(node.outputs))


def input_tensors(model: keras.Model) -> list[keras.KerasTensor]:
    """The input tensors of a model's graph, flat and in the order of its inputs."""
    return list(_functional(model).inputs)


def input_name(tensor: keras.KerasTensor) -> str:
    """Name of the input layer that made a tensor; the tensor's own where there is none."""
    history = getattr(tensor, "_keras_history", None)
    operation = None if history is None else history.operation
    return tensor.name if operation is None else operation.name


def output_tensors(model: keras.Model) -> list[keras.KerasTensor]:
    """The output tensors of a model's graph, flat and in the order of its outputs."""
    return list(_functional(model).outputs)


def input_structure(model: keras.Model) -> Any:
    """The nested structure (list, dict, single tensor) in which a model takes its inputs."""
    return _functional(model)._inputs_struct


def output_structure(model: keras.Model) -> Any:
    """The nested structure in which a model gives its outputs."""
    return _functional(model)._outputs_struct


def last_calls(model: keras.Model, position: int) -> Iterator[Call]:
    """The calls that make an output, the last one first, as far as each reads one tensor only.

    Args:
        model: A model with a graph; nested models are entered.
        position: Number of the output.
    """
    makers = {id(out): call for call in calls(model) for out in call.outputs}
    tensor = output_tensors(model)[position]
    while id(tensor) in makers:
        call = makers[id(tensor)]
        if isinstance(call.operation, keras.Model):
            place = [id(out) for out in call.outputs].index(id(tensor))
            yield from last_calls(call.operation, place)
        else:
            yield call
        if len(call.inputs) != 1:
            return
        tensor = call.inputs[0]


def layers_with_attributes(
    model: keras.Model,
) -> Iterator[tuple[keras.layers.Layer, dict[str, Any]]]:
    """Every layer of a model, itself and nested ones too, with the attributes that stay at a call.

    Args:
        model: A built model.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Layer):
            yield layer, {key: value for key, value in vars(layer).items() if key != "_called"}


def is_raw_operation(operation: object) -> bool:
    """Whether an operation is one of `keras.ops` and not a layer."""
    return type(operation).__module__.startswith("keras.src.ops.")


def is_from_applications(layer_class: type) -> bool:
    """Whether a layer class is one that `keras.applications` defines for its own models."""
    return layer_class.__module__.startswith("keras.src.applications.")


def own_methods(model: keras.Model, names: Sequence[str]) -> list[str]:
    """Which of these methods a model has from a class that is not Keras' own.

    Args:
        model: A model, perhaps of a subclass of the user's.
        names: Names of methods of `keras.Model`.
    """
    owners = (
        next(ancestor for ancestor in type(model).__mro__ if name in vars(ancestor))
        for name in names
    )
    return [
        name
        for name, owner in zip(names, owners, strict=True)
        if owner.__module__.split(".")[0] != "keras"
    ]


def _functional(model: keras.Model) -> Any:
    """A Sequential keeps its graph in a Functional of its own."""
    return model._functional if isinstance(model, keras.Sequential) else model
