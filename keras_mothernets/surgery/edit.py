"""Growing the layers of one model by hand: more channels, larger kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, read
from keras_mothernets.member import Member, as_model
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery.correspondence import correspond
from keras_mothernets.surgery.coupling import follow
from keras_mothernets.surgery.edited import (
    build_edited,
    find,
    node_pairs,
    readable,
    transfer,
    with_layer,
)


def widen(model: keras.Model | Member, sizes: Mapping[str, int], *, seed: int = 0) -> keras.Model:
    """Give layers more units or filters without changing what the model computes.

    Args:
        model: A built Functional or Sequential model (or `km.Member`); it is not modified.
        sizes: New number of units, filters, output dimensions, or depth
            multiplier, by layer name (names of nested models before it: `"block/conv"`).
        seed: Seed of the choice of copies and of their uneven shares.

    Returns:
        A new, built, uncompiled, flat Functional model.

    Raises:
        GraphError: The model cannot be read, or has no layer of that name.
        SurgeryError: A layer cannot be widened to that size.

    Example:
        >>> hidden, head = keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, head])
        >>> widen(model, {"hidden": 5}).get_layer("hidden").units
        5

    Source: Chen et al. 2016, Net2WiderNet, with uneven shares among copies.
    """
    model = as_model(model)
    architecture = readable(model)
    changes = {}
    for name, size in _entries(sizes):
        node = find(architecture, name)
        key = rule_for(node).width
        if key is None:
            raise SurgeryError(
                f"Layer `{name}` ({node.kind}) makes no channels of its own, so it cannot grow"
            )
        old = node.config[key]
        if not _is_whole(size) or size < old:
            raise SurgeryError(
                f"Layer `{name}` can only grow",
                expected=f"a whole number of at least {old}",
                received=repr(size),
            )
        changes[node.layer.path] = rule_for(node).sized(node, int(size))
    return _grow(model, architecture, changes, seed=seed)


def enlarge_kernels(
    model: keras.Model | Member, sizes: Mapping[str, int | Sequence[int]]
) -> keras.Model:
    """Give convolutions larger kernels without changing what the model computes.

    Args:
        model: A built Functional or Sequential model (or `km.Member`); it is not modified.
        sizes: New kernel size by layer name: one number, or one per spatial axis.

    Returns:
        A new, built, uncompiled, flat Functional model.

    Raises:
        GraphError: The model cannot be read, or has no layer of that name.
        SurgeryError: The layer has no kernel, or the old one has no exact place
            in the new one.

    Example:
        >>> model = keras.Sequential(
        ...     [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, padding="same", name="conv")]
        ... )
        >>> enlarge_kernels(model, {"conv": 5}).get_layer("conv").kernel_size
        (5, 5)

    Source: Wei et al. 2016 (kernel size morphing); the offset is ours, for
    TensorFlow's `same` padding is not symmetric.
    """
    model = as_model(model)
    architecture = readable(model)
    changes = {}
    for name, size in _entries(sizes):
        node = find(architecture, name)
        old = node.config.get("kernel_size")
        if old is None:
            raise SurgeryError(f"Layer `{name}` ({node.kind}) has no kernel to enlarge")
        new = tuple(size) if isinstance(size, Sequence) else tuple(size for _ in old)
        if (
            not all(map(_is_whole, new))
            or len(new) != len(old)
            or any(n < o for n, o in zip(new, old, strict=True))
        ):
            raise SurgeryError(
                f"The kernel of layer `{name}` can only grow",
                expected=f"whole numbers of at least {tuple(old)}",
                received=repr(size),
            )
        changes[node.layer.path] = {"kernel_size": tuple(map(int, new))}
    return _grow(model, architecture, changes)


def _entries(sizes: Any) -> list[tuple[str, Any]]:
    if not isinstance(sizes, Mapping):
        raise SurgeryError(
            "`sizes` must be a dict from layer name to new size", received=repr(sizes)
        )
    return list(sizes.items())


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _grow(
    model: keras.Model,
    architecture: Architecture,
    changes: Mapping[tuple[str, ...], Mapping[str, Any]],
    *,
    seed: int = 0,
) -> keras.Model:
    """Build the model with other layer sizes and give it the old function."""
    nodes = []
    for node in architecture.nodes:
        if node.layer.path in changes and not node.fused:
            old, node = node, with_layer(node, changes[node.layer.path])
            found = rule_for(node).meet(node, old)
            if not isinstance(found, Mapping):
                raise SurgeryError(f"Layer `{node.layer.name}` cannot grow so: {found}")
        nodes.append(node)
    edited = replace(architecture, nodes=tuple(follow(architecture, nodes)))
    target = build_edited(edited)
    built = read(target)
    pairs = node_pairs(edited, built, architecture.nodes)
    return transfer(model, target, correspond(architecture, built, pairs), seed=seed)
