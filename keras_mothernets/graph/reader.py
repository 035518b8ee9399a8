"""Reads a Keras model as an immutable `Architecture`."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import GraphError, reason_of
from keras_mothernets.graph import activations, keras_graph
from keras_mothernets.graph.activations import Activation
from keras_mothernets.graph.architecture import (
    Architecture,
    Input,
    Layer,
    Node,
    TensorRef,
)
from keras_mothernets.graph.keras_graph import Call
from keras_mothernets.graph.per_model import PerModel
from keras_mothernets.graph.tree import build_tree, in_order

# Layers that apply the function named in `activation` to their result.
FUSING = frozenset(
    getattr(keras.layers, name)
    for name in (
        "Dense", "EinsumDense",
        "Conv1D", "Conv2D", "Conv3D",
        "DepthwiseConv1D", "DepthwiseConv2D",
        "SeparableConv1D", "SeparableConv2D",
        "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    )
)  # fmt: skip

_ACTIVATION_LAYERS = frozenset(
    getattr(keras.layers, name) for name in ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
)

_MOVING = (
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
)

# What Keras calls a weight that its layer gave no name: the number counts those of all layers.
_UNNAMED = re.compile(r"variable(_\d+)?")
_NUMBER = re.compile(r"_\d+$")


_once: ContextVar[PerModel[Architecture] | None]
_once = ContextVar("what has been read", default=None)


@contextlib.contextmanager
def reading_once() -> Iterator[None]:
    """Inside, each model is read once as long as it is not changed (see `state_of`).

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> with reading_once():
        ...     read(model) is read(model)
        True
    """
    if _once.get() is not None:
        yield
        return
    token = _once.set(PerModel(_read))
    try:
        yield
    finally:
        _once.reset(token)


def read(model: keras.Model) -> Architecture:
    """Read a model's architecture: nested models inlined, fused activations split off.

    Args:
        model: A built Functional or Sequential model. It is only looked at.

    Returns:
        The `Architecture`; `str()` of it is a table.

    Raises:
        GraphError: The model is unbuilt or subclassed, or holds a quantised or
            LoRA layer or an activation function that Keras does not know.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "relu")], name="m")
        >>> [node.kind for node in read(model).nodes]
        ['Dense', 'relu']
    """
    known = _once.get()
    return _read(model) if known is None else known.now(model)


def _read(model: keras.Model) -> Architecture:
    check_readable(model)
    reader = _Reader()
    tensors: dict[int, int] = {}
    inputs = []
    for tensor in keras_graph.input_tensors(model):
        number = reader.number(tensor, tensors)
        name = keras_graph.input_name(tensor)
        batch, *shape = tensor.shape
        inputs.append(Input(number, name, tuple(shape), str(tensor.dtype), batch))
    reader.walk(model, (), tensors, {})
    outputs = tuple(tensors[id(tensor)] for tensor in keras_graph.output_tensors(model))
    nodes = tuple(in_order(reader.nodes, outputs))
    return Architecture(
        name=model.name,
        inputs=tuple(inputs),
        outputs=outputs,
        nodes=nodes,
        tree=build_tree(nodes, [entry.tensor for entry in inputs], outputs),
        input_structure=_with_refs(keras_graph.input_structure(model), tensors),
        output_structure=_with_refs(keras_graph.output_structure(model), tensors),
    )


def last_activation(model: keras.Model, position: int = 0) -> str:
    """What a model's output has passed last: an activation's name, "" where it is not known.

    Layers that only move numbers, or leave them as they are, are passed over.

    Args:
        model: A built Functional or Sequential model.
        position: Number of the output.

    Example:
        >>> layers = [keras.Input((4,)), keras.layers.Dense(2, "softmax"), keras.layers.Identity()]
        >>> last_activation(keras.Sequential(layers))
        'softmax'
    """
    for call in keras_graph.last_calls(model, position):
        if isinstance(call.operation, _MOVING):
            continue
        found = activations.last_of(call.operation)
        if found is None:
            return ""
        if found != activations.LINEAR or getattr(call.operation, "weights", None):
            return found.name
    return ""


def live_layers(model: keras.Model) -> dict[tuple[str, ...], keras.layers.Layer]:
    """The layers of a model by the path under which `read` lists them."""
    return {path: operation for path, operation in _operations(model, (), {})}


def check_readable(model: object) -> None:
    """Raise `GraphError` unless `model` is a Keras model with a recorded graph."""
    if not isinstance(model, keras.Model):
        raise GraphError(
            "Only Keras models can be read",
            expected="a built Functional or Sequential `keras.Model`",
            received=f"a {type(model).__name__}",
        )
    if keras_graph.is_functional(model):
        if keras_graph.own_methods(model, ["call"]):
            raise GraphError(
                f"Model `{model.name}` has a `call` of its own, which its graph does not show",
                expected="a Functional or Sequential model that computes what its graph says",
                received=f"class `{type(model).__name__}`",
                fix="Build what it computes as `keras.Model(inputs, outputs)`",
            )
        for call in keras_graph.calls(model):
            if isinstance(call.operation, keras.Model):
                check_readable(call.operation)
        return
    if isinstance(model, keras.Sequential):
        raise GraphError(
            f"Model `{model.name}` is not built",
            expected="a Sequential model that knows its input shape",
            fix="Put `keras.Input(shape)` first, or call `model.build(input_shape)`",
        )
    raise GraphError(
        f"Model `{model.name}` is a subclassed model, whose graph Keras does not record",
        expected="a Functional or Sequential model",
        received=type(model).__name__,
        fix="Build it as `keras.Model(inputs, outputs)`",
    )


# The path at which a layer was met first, by its id: it may stand in several nested models.
Paths = dict[int, tuple[str, ...]]


def _operations(
    model: keras.Model, path: tuple[str, ...], paths: Paths
) -> Iterator[tuple[tuple[str, ...], keras.layers.Layer]]:
    for call in keras_graph.calls(model):
        operation = call.operation
        here = (*path, operation.name)
        if isinstance(operation, keras.Model):
            yield from _operations(operation, here, paths)
        else:
            yield paths.setdefault(id(operation), here), operation


class _Reader:
    """Collects nodes while it walks through a model and the models nested in it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._layers: dict[tuple[str, ...], Layer] = {}
        self._paths: Paths = {}
        self._count = 0

    def number(self, tensor: keras.KerasTensor | None, tensors: dict[int, int]) -> int:
        """Give a tensor the next free number and remember it in `tensors`."""
        number = self._count
        self._count += 1
        if tensor is not None:
            tensors[id(tensor)] = number
        return number

    def walk(
        self,
        model: keras.Model,
        path: tuple[str, ...],
        tensors: dict[int, int],
        forced: Mapping[str, Any],
    ) -> None:
        for call in keras_graph.calls(model):
            here = (*path, call.operation.name)
            if isinstance(call.operation, keras.Model):
                self._enter(call, here, tensors, forced)
            else:
                self._add(call, here, tensors, forced)

    def _enter(
        self,
        call: Call,
        path: tuple[str, ...],
        tensors: dict[int, int],
        forced: Mapping[str, Any],
    ) -> None:
        check_readable(call.operation)
        # What a nested model is called with reaches its layers as the default of their own
        # `training`; an explicit one of the outermost call overrides it, here as in Keras.
        if call.kwargs.get("training") is not None:
            forced = {"training": call.kwargs["training"]}
        inner_inputs = keras_graph.input_tensors(call.operation)
        inner = {
            id(inside): tensors[id(outside)]
            for inside, outside in zip(inner_inputs, call.inputs, strict=True)
        }
        self.walk(call.operation, path, inner, forced)
        for inside, outside in zip(
            keras_graph.output_tensors(call.operation), call.outputs, strict=True
        ):
            tensors[id(outside)] = inner[id(inside)]

    def _add(
        self,
        call: Call,
        path: tuple[str, ...],
        tensors: dict[int, int],
        forced: Mapping[str, Any],
    ) -> None:
        path = self._paths.setdefault(id(call.operation), path)
        layer = self._layers.get(path)
        if layer is None:
            layer = self._layers[path] = _read_layer(call.operation, path)
        kwargs = dict(call.kwargs)
        if forced and "training" in inspect.signature(call.operation.call).parameters:
            kwargs = {**forced, **kwargs}
        node = Node(
            layer=layer,
            inputs=tuple(tensors[id(tensor)] for tensor in call.inputs),
            outputs=tuple(self.number(tensor, tensors) for tensor in call.outputs),
            input_shapes=tuple(tuple(tensor.shape[1:]) for tensor in call.inputs),
            output_shapes=tuple(tuple(tensor.shape[1:]) for tensor in call.outputs),
            activation=_own_activation(layer),
            args=_with_refs(call.args, tensors),
            kwargs=MappingProxyType(_with_refs(kwargs, tensors)),
        )
        self.nodes += self._split(node, call, tensors)

    def _split(self, node: Node, call: Call, tensors: dict[int, int]) -> list[Node]:
        """Part a layer and the activation fused into it."""
        if node.layer.cls not in FUSING:
            return [node]
        activation = activations.from_config(node.config.get("activation"))
        if activation is None:
            raise _unknown_activation(node.layer, node.config["activation"])
        if activation == activations.LINEAR:
            return [node]
        between = node.outputs
        after = tuple(self.number(tensor, tensors) for tensor in call.outputs)
        fused = Node(
            layer=node.layer,
            inputs=between,
            outputs=after,
            input_shapes=node.output_shapes,
            output_shapes=node.output_shapes,
            activation=activation,
            fused=True,
            args=tuple(TensorRef(tensor) for tensor in between),
        )
        return [node, fused]


def _read_layer(operation: Any, path: tuple[str, ...]) -> Layer:
    name = "/".join(path)
    if getattr(operation, "quantization_mode", None) is not None:
        raise GraphError(
            f"Layer `{name}` is quantised",
            expected="float weights",
            received=f"quantization mode `{operation.quantization_mode}`",
            fix="Do surgery before `quantize()`",
        )
    if getattr(operation, "lora_enabled", False):
        raise GraphError(
            f"Layer `{name}` has LoRA enabled",
            expected="plain weights",
            fix="Do surgery before `enable_lora()`",
        )
    try:
        config = operation.get_config()
    except Exception as error:
        raise GraphError(
            f"Layer `{name}` ({type(operation).__name__}) does not tell its config",
            received=reason_of(error),
            fix="Give the class a `get_config` method",
        ) from error
    return Layer(
        name=name,
        path=path,
        cls=type(operation),
        config=MappingProxyType(_without_shapes(config)),
        variables=MappingProxyType(
            {key: tuple(variable.shape) for key, variable in layer_variables(operation).items()}
        ),
        is_operation=not isinstance(operation, keras.layers.Layer),
    )


def _without_shapes(config: dict[str, Any]) -> dict[str, Any]:
    """A wrapper's config without the shapes for which the layer inside was built.

    Made from it, the inner layer would be built for the widths that it had here.
    """
    return {
        key: {name: part for name, part in entry.items() if name != "build_config"}
        if isinstance(entry, dict) and "class_name" in entry
        else entry
        for key, entry in config.items()
    }


def layer_variables(layer: Any) -> dict[str, Any]:
    """The variables of a live layer by a name that is unique inside the layer.

    Where layers inside the layer have variables of one name, that of the layer inside stands
    before it: `"query/kernel"`. Numbers that Keras may have put behind it, which count all
    layers of the process, count those of this layer instead: `"dense/kernel"`,
    `"dense_1/kernel"`.
    """
    variables = getattr(layer, "weights", [])
    names = [
        f"variable_{number}" if _UNNAMED.fullmatch(variable.name) else variable.name
        for number, variable in enumerate(variables)
    ]
    if len(set(names)) < len(names):
        owners = _renumbered([variable.path.rpartition("/")[0] for variable in variables])
        names = [f"{owner}/{name}" for owner, name in zip(owners, names, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name}_{number}" for number, name in enumerate(names)]
    return dict(zip(names, variables, strict=True))


def _renumbered(paths: Sequence[str]) -> list[str]:
    """Last parts of some paths; those of one stem get numbers in order of appearance."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for path in dict.fromkeys(paths):
        stem = _NUMBER.sub("", path.rpartition("/")[2])
        names[path] = f"{stem}_{counts[stem]}" if counts[stem] else stem
        counts[stem] += 1
    return [names[path] for path in paths]


def _own_activation(layer: Layer) -> Activation | None:
    """The activation function if the layer is nothing but one."""
    if layer.cls in _ACTIVATION_LAYERS:
        activation = activations.from_layer(layer.cls.__name__, layer.config)
        if activation is None:
            raise _unknown_activation(layer, layer.config.get("activation"))
        return activation
    if layer.is_operation:
        return activations.from_operation(layer.cls.__name__, layer.config)
    return None


def _unknown_activation(layer: Layer, received: object) -> GraphError:
    return GraphError(
        f"Layer `{layer.name}` has an activation function that is not one of Keras' own",
        expected="a name in `keras.activations`",
        received=repr(received),
        fix="Put it into a layer class of its own and register a rule: `km.register_rule`",
    )


def _with_refs(structure: Any, tensors: Mapping[int, int]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: TensorRef(tensors[id(leaf)]) if isinstance(leaf, keras.KerasTensor) else leaf,
        structure,
    )
