"""A model as plain values that another process can make it from again.

Keras' own way reads classes by name, so that layers of the user's have to be registered. Here the
classes themselves are among the values: what carries them says how (`cloudpickle` for example).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import GraphError, reason_of
from keras_mothernets.graph import keras_graph
from keras_mothernets.graph.architecture import TensorRef
from keras_mothernets.graph.copying import BlankInitializers, finish, with_dtype
from keras_mothernets.graph.reader import check_readable, live_layers


@dataclass(frozen=True)
class PortableInput:
    """An input of a model.

    Args:
        shape: Its shape, with the axis of examples.
        dtype: Its type.
        name: Name of its layer.
        is_sparse: Whether it takes sparse tensors.
    """

    shape: tuple[int | None, ...]
    dtype: str
    name: str
    is_sparse: bool


@dataclass(frozen=True)
class PortableLayer:
    """A layer or operation.

    Args:
        cls: Its class.
        config: Its config.
        name: Its name, which not every config tells.
    """

    cls: type
    config: Mapping[str, Any]
    name: str


@dataclass(frozen=True)
class PortableCall:
    """One call; tensors are `TensorRef`s.

    Args:
        operation: Number of the layer among those of the model.
        args: Positional arguments.
        kwargs: Keyword arguments.
        outputs: The tensors that came out.
    """

    operation: int
    args: Any
    kwargs: Any
    outputs: tuple[TensorRef, ...]


@dataclass(frozen=True, eq=False)
class PortableModel:
    """A model as plain values and arrays.

    Args:
        name: Its name.
        is_sequential: Whether it is a Sequential.
        is_trainable: Whether it may be trained.
        inputs: Its inputs; their tensors are numbered first.
        calls: Their calls in topological order.
        input_structure: How inputs are given.
        output_structure: How outputs are given.
        operations: All layers, each once; nested models are portable ones.
            Those of a nested model stand among the outer one's, for a layer may be in both.
        weights: Values of the weights by the path of their layer; `None` if they are not kept.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="tiny")
        >>> same = PortableModel.of(model).model()
        >>> same.name, bool(np.all(same.get_weights()[0] == model.get_weights()[0]))
        ('tiny', True)
    """

    name: str
    is_sequential: bool
    is_trainable: bool
    inputs: tuple[PortableInput, ...]
    calls: tuple[PortableCall, ...]
    input_structure: Any
    output_structure: Any
    operations: tuple[PortableLayer | PortableModel, ...] = ()
    weights: dict[tuple[str, ...], list[np.ndarray]] | None = None

    @classmethod
    def of(cls, model: keras.Model, *, weights: bool = True) -> PortableModel:
        """Read a model, which is not changed.

        Args:
            model: A built Functional or Sequential model.
            weights: Whether to keep its weights.

        Raises:
            GraphError: It has no graph, or a layer that cannot tell its config.
        """
        check_readable(model)
        operations: list[PortableLayer | PortableModel] = []
        values = _weights(model) if weights else None
        made = _read(model, operations, {})
        return replace(made, operations=tuple(operations), weights=values)

    def model(self, dtype: str | None = None) -> keras.Model:
        """Make the model: new layers, uncompiled, with the weights that were kept, else zeros.

        Args:
            dtype: Compute in and store this float type; as the model by default.

        Raises:
            GraphError: A layer cannot be made from its config.
        """
        made = _make(self, self.operations, dtype, {})
        layers = live_layers(made)
        for path, values in (self.weights or {}).items():
            for variable, value in zip(layers[path].weights, values, strict=True):
                variable.assign(value)
            finish(layers[path])
        return made


def _weights(model: keras.Model) -> dict[tuple[str, ...], list[np.ndarray]]:
    return {
        path: [keras.ops.convert_to_numpy(variable) for variable in layer.weights]
        for path, layer in live_layers(model).items()
        if getattr(layer, "weights", [])  # operations have none
    }


def _read(
    model: keras.Model,
    operations: list[PortableLayer | PortableModel],
    positions: dict[int, int],
) -> PortableModel:
    """Read a model's graph; its layers go into the list, and where they stand into the dict."""
    inputs = keras_graph.input_tensors(model)
    numbers = {id(tensor): number for number, tensor in enumerate(inputs)}
    calls = []
    for call in keras_graph.calls(model):
        operation = call.operation
        if id(operation) not in positions:
            is_model = isinstance(operation, keras.Model)
            read = _read(operation, operations, positions) if is_model else _layer(operation)
            positions[id(operation)] = len(operations)
            operations.append(read)
        for tensor in call.outputs:
            numbers.setdefault(id(tensor), len(numbers))
        args, kwargs, outputs = _numbered((call.args, call.kwargs, call.outputs), numbers)
        calls.append(PortableCall(positions[id(operation)], args, kwargs, outputs))
    return PortableModel(
        name=model.name,
        is_sequential=isinstance(model, keras.Sequential),
        is_trainable=model.trainable,
        inputs=tuple(map(_input, inputs)),
        calls=tuple(calls),
        input_structure=_numbered(keras_graph.input_structure(model), numbers),
        output_structure=_numbered(keras_graph.output_structure(model), numbers),
    )


def _input(tensor: keras.KerasTensor) -> PortableInput:
    name = keras_graph.input_name(tensor)
    return PortableInput(tensor.shape, str(tensor.dtype), name, tensor.sparse)


def _layer(operation: Any) -> PortableLayer:
    try:
        config = copy.deepcopy(operation.get_config())
    except Exception as error:
        raise _no_config(operation.name, type(operation), error) from error
    return PortableLayer(type(operation), config, operation.name)


def _no_config(name: str, cls: type, error: Exception) -> GraphError:
    return GraphError(
        f"Layer `{name}` ({cls.__name__}) cannot be made from its config",
        received=reason_of(error),
        fix="Check its `get_config` and `from_config`",
    )


def _numbered(structure: Any, numbers: Mapping[int, int]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: TensorRef(numbers[id(leaf)]) if isinstance(leaf, keras.KerasTensor) else leaf,
        structure,
    )


def _make(
    portable: PortableModel,
    operations: Sequence[PortableLayer | PortableModel],
    dtype: str | None,
    made: dict[int, Any],
) -> keras.Model:
    """Make a model; layers that were made already are in the dict, by their number."""
    tensors = {number: _made_input(each, dtype) for number, each in enumerate(portable.inputs)}
    for call in portable.calls:
        if call.operation not in made:
            each = operations[call.operation]
            if isinstance(each, PortableModel):
                made[call.operation] = _make(each, operations, dtype, made)
            else:
                made[call.operation] = _made_layer(each, dtype)
        operation = made[call.operation]
        args, kwargs = _filled((call.args, call.kwargs), tensors)
        with BlankInitializers(operation):
            outputs = keras.tree.flatten(operation(*args, **kwargs))
        tensors |= {ref.tensor: tensor for ref, tensor in zip(call.outputs, outputs, strict=True)}
    inputs = _filled(portable.input_structure, tensors)
    model = keras.Model(inputs, _filled(portable.output_structure, tensors), name=portable.name)
    if portable.is_sequential:
        model = keras.Sequential(model.layers, name=portable.name)
    if not portable.is_trainable:
        model.trainable = False
    return model


def _made_input(portable: PortableInput, dtype: str | None) -> keras.KerasTensor:
    return keras.Input(
        batch_shape=portable.shape,
        dtype=dtype if dtype and "float" in portable.dtype else portable.dtype,
        name=portable.name,
        sparse=portable.is_sparse,
    )


def _made_layer(portable: PortableLayer, dtype: str | None) -> Any:
    config: Any = copy.deepcopy(portable.config)
    if dtype is not None and "dtype" in config:
        config = with_dtype(config, dtype)
    try:
        layer = portable.cls.from_config(config)  # type: ignore[attr-defined]
    except Exception as error:
        raise _no_config(portable.name, portable.cls, error) from error
    # A layer whose config does not tell its name (one without a `get_config` of its own) gets it
    # back, so that what belongs to it is found.
    layer.name = portable.name
    return layer


def _filled(structure: Any, tensors: Mapping[int, Any]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: tensors[leaf.tensor] if isinstance(leaf, TensorRef) else leaf, structure
    )
