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
from keras_mothernets.graph.architecture import Architecture, Layer, Node, TensorRef
from keras_mothernets.graph.copying import BlankInitializers, copy_layer, copy_variables
from keras_mothernets.graph.portable import PortableModel
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
    copied = PortableModel.of(model, weights=False).model(dtype)
    if name is not None:
        copied.name = name
    if weights:
        copy_variables(model, copied)
    return copied


class Seeded:
    """Gives initializers seeds, so that they draw the same each time: an `edit` of `build`.

    A layer's seed depends on its place and not on its name, since Keras numbers unnamed layers by
    how many the process has made before.

    Args:
        seed: The seed of all.
        place: Place of the first layer.

    Example:
        >>> config = keras.layers.Dense(2).get_config()
        >>> edited = Seeded(0)(config)
        >>> edited["kernel_initializer"]["config"]["seed"] is None
        False
    """

    def __init__(self, seed: int, place: int = 0) -> None:
        self._seed = seed
        self._place = place

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        """A copy of the next layer's config, with seeds where there are none."""
        edited = dict(config)
        for key, value in config.items():
            if key.endswith("_initializer") and isinstance(value, Mapping):
                inner = dict(value.get("config") or {})
                if "seed" in inner and inner["seed"] is None:
                    key_number = zlib.crc32(key.encode())
                    rng = np.random.default_rng([self._seed, self._place, key_number])
                    inner["seed"] = int(rng.integers(0, 2**31))
                    edited[key] = {**value, "config": inner}
        self._place += 1
        return edited


def check_model_name(name: object) -> None:
    """Raise `GraphError` for what Keras takes for no name; `None` stands for one of its own."""
    if name is not None and (not isinstance(name, str) or not name or "/" in name):
        raise GraphError(
            "A model cannot have this name",
            expected="a text without `/`",
            received=repr(name),
        )


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
        with BlankInitializers(layer) if blank else nullcontext():
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
