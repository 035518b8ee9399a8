"""What all edits of one model share: read it, build the edited one, give that the function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import GraphError, SurgeryError, naming
from keras_mothernets.graph import Architecture, Node, build, flat_names, read
from keras_mothernets.rules import check_rules
from keras_mothernets.surgery.correspondence import Correspondence
from keras_mothernets.surgery.hatch import fill
from keras_mothernets.surgery.pairs import Pair
from keras_mothernets.surgery.plan import plan_pairs


def readable(model: keras.Model) -> Architecture:
    """Read a model, every layer of which must have a rule."""
    architecture = read(model)
    with naming(f"`{architecture.name}`"):
        check_rules(architecture)
    return architecture


def find(architecture: Architecture, name: str) -> Node:
    """The first call of a layer, by its name; without those of its models if that is enough.

    Raises:
        GraphError: There is no such layer, or there are several.
    """
    whole = [node for node in architecture.nodes if name == node.layer.name and not node.fused]
    short = [node for node in architecture.nodes if name == node.layer.path[-1] and not node.fused]
    candidates = dict.fromkeys(node.layer.name for node in whole or short)
    if len(candidates) > 1:
        raise GraphError(
            f"`{architecture.name}` has several layers `{name}`",
            expected="one of " + ", ".join(f"`{candidate}`" for candidate in candidates),
        )
    if candidates:
        return (whole or short)[0]
    raise GraphError(
        f"`{architecture.name}` has no layer `{name}`",
        expected="one of " + ", ".join(f"`{layer.name}`" for layer in architecture.layers),
    )


def with_layer(node: Node, changes: Mapping[str, Any], suffix: str = "") -> Node:
    """The same call with a layer of another config, and of another name if there is a suffix."""
    layer = node.layer
    path = (*layer.path[:-1], layer.path[-1] + suffix)
    config = MappingProxyType({**layer.config, **changes})
    return replace(node, layer=replace(layer, config=config, path=path, name=layer.name + suffix))


def build_edited(architecture: Architecture) -> keras.Model:
    """Build an edited architecture with all weights zero.

    Raises:
        SurgeryError: A layer does not take what now flows into it; the message names it.
    """
    try:
        return build(architecture, blank=True)
    except GraphError as error:
        raise SurgeryError(
            f"`{architecture.name}` cannot have these sizes: {error.problem}",
            received=error.received,
            fix="Widen all branches that meet there together; behind a Reshape with fixed"
            " sizes nothing can be widened",
        ) from error


def node_pairs(
    edited: Architecture, built: Architecture, sources: Sequence[Node | None]
) -> list[Pair]:
    """Pair each call of what was built with the one it comes from, None for a new one.

    Args:
        edited: The edited architecture.
        built: The same, built and read again: with its own numbers and flat names.
        sources: The origin of each node of `edited`.
    """
    names = flat_names(edited)
    keys = _call_keys(edited.nodes, [names[node.layer.path] for node in edited.nodes])
    origins = dict(zip(keys, sources, strict=True))
    keys = _call_keys(built.nodes, [node.layer.path[-1] for node in built.nodes])
    return [Pair(origins[key], node) for key, node in zip(keys, built.nodes, strict=True)]


def transfer(
    model: keras.Model,
    target: keras.Model,
    found: Correspondence,
    *,
    seed: int = 0,
    calibration: Any = None,
) -> keras.Model:
    """Give a built target the model's function."""
    fill(plan_pairs(found, seed=seed), model, target, calibration=calibration)
    return target


def _call_keys(nodes: Sequence[Node], names: Sequence[str]) -> list[tuple[str, bool, int]]:
    """What tells calls apart in two architectures that differ in nothing but numbers."""
    counts: Counter[tuple[str, bool]] = Counter()
    keys = []
    for node, name in zip(nodes, names, strict=True):
        keys.append((name, node.fused, counts[name, node.fused]))
        counts[name, node.fused] += 1
    return keys
