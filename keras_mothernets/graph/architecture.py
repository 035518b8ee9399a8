"""What a model is without its weights: an immutable architecture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from keras_mothernets.graph.activations import Activation
from keras_mothernets.graph.table import architecture_table

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class TensorRef:
    """A tensor among the arguments of a call, told by its number in the architecture."""

    tensor: int


@dataclass(frozen=True)
class Layer:
    """A layer or raw operation; several calls of one layer share one `Layer`.

    Args:
        name: Readable name, with the names of nested models before it: `"block/conv"`.
        path: The same as a tuple, by which the live layer is found in its model.
        cls: The class of the layer.
        config: Its config, never to be changed.
        variables: Shape of each variable by its path inside the layer, for example
            `{"kernel": (3, 3, 16, 32), "bias": (32,)}`.
        is_operation: Whether it is a raw `keras.ops` operation and not a layer.
    """

    name: str
    path: tuple[str, ...]
    cls: type
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    variables: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    is_operation: bool = False

    @property
    def num_params(self) -> int:
        """Number of parameters, trainable or not."""
        return sum(math.prod(shape) for shape in self.variables.values())


@dataclass(frozen=True)
class Node:
    """One step of the computation: a call of a layer, or the activation fused into it.

    Args:
        layer: The layer that is called.
        activation: The activation function if the node is one, else None.
        fused: Whether the activation was part of the layer before it.
        inputs: Numbers of the tensors that go in.
        outputs: Numbers of the tensors that come out.
        input_shapes: Their shapes without the batch axis; None for unknown sizes.
        output_shapes: Likewise for the outputs.
        args: Positional arguments of the call, with a `TensorRef` for each tensor.
        kwargs: Keyword arguments of the call, likewise.
    """

    layer: Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    activation: Activation | None = None
    fused: bool = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """Name of the layer, with the activation where that is a part of it."""
        return f"{self.layer.name}:{self.activation}" if self.fused else self.layer.name

    @property
    def kind(self) -> str:
        """What the node does, in a word: the class of the layer or the activation's name."""
        return str(self.activation) if self.activation is not None else self.layer.cls.__name__

    @property
    def config(self) -> Mapping[str, Any]:
        """The config of the layer."""
        return self.layer.config

    @property
    def num_params(self) -> int:
        """Parameters of the layer; a fused activation has none of its own."""
        return 0 if self.fused else self.layer.num_params


@dataclass(frozen=True)
class Region:
    """A piece with one way in and one way out whose inside is not a chain.

    Args:
        nodes: Its nodes in topological order.
        branches: The chains between the way in and the merge, or empty where the
            inside has no such form and is one indivisible whole.
        merge: The node in which the branches meet, or None.
    """

    nodes: tuple[Node, ...]
    branches: tuple[Chain, ...] = ()
    merge: Node | None = None

    @property
    def name(self) -> str:
        """The layer by which a user will know the region: its merge, or its first layer."""
        return (self.merge or self.nodes[0]).name


@dataclass(frozen=True)
class Chain:
    """Nodes and regions one after the other, each fed by nothing but the one before it."""

    items: tuple[Node | Region, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """The items that are not single nodes."""
        return tuple(item for item in self.items if isinstance(item, Region))


@dataclass(frozen=True)
class Input:
    """An input of an architecture.

    Args:
        tensor: Number of its tensor.
        name: Its name.
        shape: Its shape without the batch axis.
        dtype: Its type.
        batch: Number of examples where that is fixed.
    """

    tensor: int
    name: str
    shape: Shape
    dtype: str
    batch: int | None = None


@dataclass(frozen=True)
class Architecture:
    """A model without its weights, as a series-parallel tree of nodes.

    Args:
        name: The model's name.
        inputs: Its inputs.
        outputs: Numbers of its output tensors.
        nodes: All nodes in topological order, nested models inlined and fused
            activations split off.
        tree: The same nodes as a chain of nodes and regions.
        input_structure: How the model takes its inputs: `TensorRef`s in lists, dicts, ...
        output_structure: How it gives its outputs, likewise.

    Example:
        >>> import keras
        >>> from keras_mothernets.graph import read
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="tiny")
        >>> read(model).num_params
        10
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[int, ...]
    nodes: tuple[Node, ...]
    tree: Chain
    input_structure: Any = None
    output_structure: Any = None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers in order of their first call, each once."""
        return tuple({node.layer.path: node.layer for node in self.nodes}.values())

    @property
    def num_params(self) -> int:
        """Number of parameters, shared layers counted once."""
        return sum(layer.num_params for layer in self.layers)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the outputs without the batch axis."""
        shapes = {entry.tensor: entry.shape for entry in self.inputs}
        for node in self.nodes:
            shapes.update(zip(node.outputs, node.output_shapes, strict=True))
        return tuple(shapes[tensor] for tensor in self.outputs)

    def __str__(self) -> str:
        return architecture_table(self)
