"""Series-parallel networks as values: what they are made of, and how Keras builds them.

A width is a tuple of *sites*, numbers into the network's list of sizes: one for
a layer of its own width, several where branches were concatenated. Layers that
must agree name the same sites, so that growing a size grows all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers
from networks import activate, randomise

Width = tuple[int, ...]

GROUPS = 2


@dataclass(frozen=True)
class Weights:
    """A layer with a kernel: "full" is a convolution on images and Dense on vectors."""

    kind: str
    made: Width
    kernel: int = 1
    stride: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Norm:
    """A normalisation: batch, layer, rms, group, instance, unit."""

    kind: str


@dataclass(frozen=True)
class Act:
    """An activation in one of the forms of `networks.FORMS`; or PReLU."""

    name: str
    form: str = "layer"


@dataclass(frozen=True)
class Drop:
    """Dropout."""


@dataclass(frozen=True)
class Pool:
    """Pooling by two; "max" or "average"."""

    kind: str


@dataclass(frozen=True)
class Gate:
    """Squeeze and excite: `x * sigmoid(dense(act(dense(pool(x)))))`."""

    squeeze: Width
    made: Width
    activation: str = "silu"


@dataclass(frozen=True)
class Branches:
    """Chains over one tensor that meet in a merge; an empty chain is a shortcut."""

    merge: str
    chains: tuple[Items, ...]


Item = Weights | Norm | Act | Drop | Pool | Gate | Branches
Items = tuple[Item, ...]

_MERGES = {
    "add": layers.Add,
    "concat": layers.Concatenate,
    "average": layers.Average,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "subtract": layers.Subtract,
}


@dataclass(frozen=True)
class Graph:
    """A network: what comes in, its items, the size of every site, and the head."""

    input_shape: tuple[int, ...]
    items: Items
    sizes: tuple[int, ...]
    head: str = "global"
    hidden: int = 4
    classes: int = 3

    def size(self, width: Width) -> int:
        """Channels of a width."""
        return sum(self.sizes[site] for site in width)

    def build(self, name: str, *, seed: int = 0) -> keras.Model:
        """Make a model of it, with random weights and statistics."""
        inputs = keras.Input(self.input_shape)
        x = self._chain(inputs, self.items)
        rank = len(self.input_shape) - 1
        if rank:
            pooling = getattr(layers, f"GlobalAveragePooling{rank}D")
            x = layers.Flatten()(x) if self.head == "flatten" else pooling()(x)
        x = layers.Dense(self.hidden, activation="tanh")(x)
        return randomise(keras.Model(inputs, layers.Dense(self.classes)(x), name=name), seed)

    def _chain(self, x: Any, items: Items) -> Any:
        for item in items:
            x = self._item(x, item)
        return x

    def _item(self, x: Any, item: Item) -> Any:
        if isinstance(item, Weights):
            return self._weights(x, item)
        if isinstance(item, Norm):
            return _norm(x, item.kind)
        if isinstance(item, Act):
            return _act(x, item)
        if isinstance(item, Drop):
            return layers.Dropout(0.3)(x)
        if isinstance(item, Pool):
            kind = "MaxPooling" if item.kind == "max" else "AveragePooling"
            return getattr(layers, f"{kind}{len(x.shape) - 2}D")(2, padding="same")(x)
        if isinstance(item, Gate):
            return self._gate(x, item)
        return _MERGES[item.merge]()([self._chain(x, chain) for chain in item.chains])

    def _weights(self, x: Any, item: Weights) -> Any:
        size, rank = self.size(item.made), len(x.shape) - 2
        if item.kind == "dense" or not rank:
            return layers.Dense(size, use_bias=item.bias)(x)
        kind = {"full": "Conv", "separable": "SeparableConv", "depthwise": "DepthwiseConv"}
        layer = getattr(layers, f"{kind[item.kind]}{rank}D")
        sizes = () if item.kind == "depthwise" else (size,)
        options = {"strides": item.stride, "padding": "same", "use_bias": item.bias}
        return layer(*sizes, item.kernel, **options)(x)

    def _gate(self, x: Any, item: Gate) -> Any:
        rank = len(x.shape) - 2
        pooling = f"GlobalAveragePooling{rank}D"
        y = getattr(layers, pooling)(keepdims=True)(x) if rank else x
        y = layers.Dense(self.size(item.squeeze), activation=item.activation)(y)
        y = layers.Dense(self.size(item.made), activation="sigmoid")(y)
        return layers.Multiply()([x, y])


def _norm(x: Any, kind: str) -> Any:
    if kind == "group":
        return layers.GroupNormalization(GROUPS)(x)
    if kind == "instance":
        return layers.GroupNormalization(-1)(x)
    name = {"batch": "Batch", "layer": "Layer", "rms": "RMS", "unit": "Unit"}[kind]
    return getattr(layers, f"{name}Normalization")()(x)


def _act(x: Any, item: Act) -> Any:
    if item.name == "prelu":
        return layers.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None)(x)
    return activate(x, item.name, "layer" if item.form == "fused" else item.form)
