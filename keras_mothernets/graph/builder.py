"""Builds Keras models: from an architecture, or as a copy of another model."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import GraphError, reason_of
from keras_mothernets.graph import keras_graph
from keras_mothernets.graph.architecture import Architecture, Layer, Node, TensorRef
from keras_mothernets.graph.reader import FUSING, check_readable, live_layers

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def build(
    architecture: Architecture,
    *,
    name: str | None = None,
    edit: Edit | None = None,
    blank: bool = False,
    keep: Callable[[Node], bool] = lambda node: True,
    outputs: list[int] | None = None,
) -> keras.Model:
    """Build a flat Functional model from an architecture.

    Args:
        architecture: What to build. Fused activations become part of their layer again.
        name: Name of the model; the architecture's by default.
        edit: Changes a copy of every layer's config before the layer is made.
        blank: Leave out the drawing of random initial weights: all are zero.
        keep: Nodes for which it is false are left out; what flows in flows on.
        outputs: Numbers of the tensors to give, a list, instead of the
            architecture's own. Fused activations then are layers of their own,
            so that what flows into them can be had.

    Returns:
        A built, uncompiled `keras.Model`. Its layers are named as in `flat_names`.

    Raises:
        GraphError: A layer does not take what flows into it; the message names it.
    """
    check_model_name(name)
    names = flat_names(architecture)
    layers: dict[tuple[str, ...], Any] = {}
    tensors: dict[int, Any] = {}
    for entry in architecture.inputs:
        shape = (entry.batch, *entry.shape)
        tensors[entry.tensor] = keras.Input(batch_shape=shape, dtype=entry.dtype, name=entry.name)
    unfused = outputs is not None
    for node in architecture.nodes:
        if not keep(node) or (node.fused and not unfused):
            tensors[node.outputs[0]] = tensors[node.inputs[0]]
        elif node.fused:
            assert node.activation is not None
            tensors[node.outputs[0]] = node.activation.function(tensors[node.inputs[0]])
        else:
            layer = layers.get(node.layer.path)
            if layer is None:
                layer = _make_layer(node.layer, names[node.layer.path], edit, unfused)
                layers[node.layer.path] = layer
            _call(layer, node, tensors, blank)
    wanted = (
        [tensors[tensor] for tensor in outputs]
        if outputs is not None
        else _fill(architecture.output_structure, tensors)
    )
    inputs = _fill(architecture.input_structure, tensors)
    return keras.Model(inputs, wanted, name=name or architecture.name)


def flat_names(architecture: Architecture) -> dict[tuple[str, ...], str]:
    """Layer names of a flat model: as in the architecture, with `_` between nested names."""
    taken = {entry.name for entry in architecture.inputs}
    names = {}
    for layer in architecture.layers:
        name = base = "_".join(layer.path)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        names[layer.path] = name
    return names


def copy_into_flat(model: keras.Model, architecture: Architecture, flat: keras.Model) -> None:
    """Copy the weights of a model into what `build` made of its architecture."""
    sources = live_layers(model)
    targets = {layer.name: layer for layer in flat.layers}
    for path, name in flat_names(architecture).items():
        if name in targets:
            copy_layer(sources[path], targets[name])


def clone(
    model: keras.Model,
    *,
    name: str | None = None,
    dtype: str | None = None,
    weights: bool = True,
) -> keras.Model:
    """Copy a model: the same architecture and weights in new layers.

    Nested models stay nested. Nothing of the original is shared or touched, and
    no random weights are drawn on the way.

    Args:
        model: A built Functional or Sequential model.
        name: Name of the copy; the model's by default.
        dtype: Compute in and store this float type; as the model by default.
        weights: Copy the weights; otherwise all variables of the copy are zero.

    Returns:
        A new, built, uncompiled model.

    Raises:
        GraphError: The model cannot be copied from its config.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="tiny")
        >>> clone(model, name="copy").name
        'copy'
    """
    check_readable(model)
    check_model_name(name)
    copied = _clone_graph(model, dtype, {})
    if name is not None:
        copied.name = name
    if weights:
        copy_variables(model, copied)
    return copied


def seeded(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """A layer's config whose initializers draw the same numbers every time."""
    seeded_config = dict(config)
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, Mapping):
            inner = dict(value.get("config") or {})
            if "seed" in inner and inner["seed"] is None:
                place = zlib.crc32(f"{config.get('name')}/{key}".encode())
                drawn = np.random.default_rng([seed, place]).integers(0, 2**31)
                seeded_config[key] = {**value, "config": {**inner, "seed": int(drawn)}}
    return seeded_config


def copy_variables(source: keras.Model, target: keras.Model) -> None:
    """Copy all variables between two models of the same architecture, layer by layer."""
    targets = live_layers(target)
    for path, layer in live_layers(source).items():
        copy_layer(layer, targets[path])


def copy_layer(source: Any, target: Any) -> None:
    """Copy the variables of one layer into another of the same shape."""
    pairs = zip(getattr(source, "weights", []), getattr(target, "weights", []), strict=True)
    for old, new in pairs:
        new.assign(old.value)
    finish(target)


def finish(layer: Any) -> None:
    """Let a layer compute what it derives from its variables (Normalization does)."""
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
        layer.finalize_state()


def check_model_name(name: object) -> None:
    """Raise `GraphError` for what Keras takes for no name; `None` stands for one of its own."""
    if name is not None and (not isinstance(name, str) or not name or "/" in name):
        raise GraphError(
            "A model cannot have this name",
            expected="a text without `/`",
            received=repr(name),
        )


def _clone_graph(model: keras.Model, dtype: str | None, made: dict[int, Any]) -> keras.Model:
    tensors: dict[int, Any] = {}
    for tensor in keras_graph.input_tensors(model):
        kind = dtype if dtype and "float" in str(tensor.dtype) else tensor.dtype
        tensors[id(tensor)] = keras.Input(
            batch_shape=tensor.shape,
            dtype=kind,
            name=keras_graph.input_name(tensor),
            sparse=tensor.sparse,
        )
    for call in keras_graph.calls(model):
        operation = made.get(id(call.operation))
        if operation is None:
            operation = made[id(call.operation)] = _clone_operation(call.operation, dtype, made)
        args, kwargs = _replace((call.args, call.kwargs), tensors)
        with _BlankInitializers(operation):
            outputs = operation(*args, **kwargs)
        for old, new in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[id(old)] = new
    inputs = _replace(keras_graph.input_structure(model), tensors)
    outputs = _replace(keras_graph.output_structure(model), tensors)
    return _same_class(model, inputs, outputs)


def _same_class(model: keras.Model, inputs: Any, outputs: Any) -> keras.Model:
    made = keras.Model(inputs, outputs, name=model.name)
    if isinstance(model, keras.Sequential):
        made = keras.Sequential(made.layers, name=model.name)
    if not model.trainable:
        made.trainable = False
    return made


def _clone_operation(operation: Any, dtype: str | None, made: dict[int, Any]) -> Any:
    if isinstance(operation, keras.Model):
        return _clone_graph(operation, dtype, made)
    try:
        config = copy.deepcopy(operation.get_config())
        if dtype is not None and "dtype" in config:
            config = with_dtype(config, dtype)
        copied = type(operation).from_config(config)
    except Exception as error:
        raise GraphError(
            f"Layer `{operation.name}` ({type(operation).__name__}) cannot be made from its config",
            received=reason_of(error),
            fix="Check its `get_config` and `from_config`",
        ) from error
    # A layer whose config does not tell its name (one without a `get_config` of its own) gets it
    # back, so that what belongs to it is found.
    copied.name = operation.name
    return copied


def with_dtype(config: Any, dtype: str) -> Any:
    """A copy of a config in which every dtype policy, nested ones too, is `dtype`."""
    if isinstance(config, Mapping):
        return {
            key: dtype if key == "dtype" and value is not None else with_dtype(value, dtype)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(with_dtype(value, dtype) for value in config)
    return config


class _BlankInitializers:
    """While a layer is built its initializers are zeros; afterwards they are its own again.

    Drawing random numbers that are overwritten at once would cost most of the
    time of a copy.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._kept: dict[str, Any] = {}

    def __enter__(self) -> None:
        if isinstance(self._layer, keras.Model) or getattr(self._layer, "built", True):
            return
        for key, value in vars(self._layer).items():
            if isinstance(value, keras.initializers.Initializer):
                self._kept[key] = value
        for key in self._kept:
            setattr(self._layer, key, keras.initializers.Zeros())

    def __exit__(self, *error: object) -> None:
        for key, value in self._kept.items():
            setattr(self._layer, key, value)


def _make_layer(layer: Layer, name: str, edit: Edit | None, unfused: bool) -> Any:
    config = copy.deepcopy(dict(layer.config))
    if edit is not None:
        config = edit(config)
    if unfused and layer.cls in FUSING:
        config["activation"] = None
    try:
        return layer.cls.from_config({**config, "name": name})  # type: ignore[attr-defined]
    except Exception as error:
        raise GraphError(
            f"Layer `{layer.name}` ({layer.cls.__name__}) cannot be made with these settings",
            received=reason_of(error),
        ) from error


def _call(layer: Any, node: Node, tensors: dict[int, Any], blank: bool) -> None:
    args, kwargs = _fill((node.args, dict(node.kwargs)), tensors)
    try:
        with _BlankInitializers(layer) if blank else nullcontext():
            outputs = layer(*args, **kwargs)
    except (ValueError, TypeError) as error:
        shapes = ", ".join(str(tuple(tensors[number].shape)) for number in node.inputs)
        raise GraphError(
            f"Layer `{node.layer.name}` ({node.kind}) cannot take inputs of shapes {shapes}",
            received=reason_of(error),
        ) from error
    for number, tensor in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
        tensors[number] = tensor


def _fill(structure: Any, tensors: Mapping[int, Any]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: tensors[leaf.tensor] if isinstance(leaf, TensorRef) else leaf, structure
    )


def _replace(structure: Any, tensors: Mapping[int, Any]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: tensors[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf, structure
    )
