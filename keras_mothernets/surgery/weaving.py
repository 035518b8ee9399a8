"""Rebuilds an architecture from what an alignment keeps of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.graph import Architecture, Layer, Node, Region, TensorRef, build_tree
from keras_mothernets.rules import Copy, Role, Spaces, Split, Taps, Value, rule_for, with_config
from keras_mothernets.surgery.correspondence import (
    Correspondence,
    Step,
    correspond,
    step_roles,
)
from keras_mothernets.surgery.pairs import Pair, RegionMatch

# The config entry that says whether a layer has a variable.
_SWITCHES = {"bias": "use_bias", "gamma": "scale", "beta": "center"}

_ROUNDS = 8


@dataclass
class _Cut:
    """What goes and what changes, by the number of a node's first output."""

    gone: set[int] = field(default_factory=set)
    aliases: dict[int, int] = field(default_factory=dict)
    changes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)


def keep_common(architecture: Architecture, pairs: Sequence[Pair]) -> Architecture:
    """The part of an architecture that an alignment matches, with the changes it asks for.

    Args:
        architecture: The first network of the alignment.
        pairs: The steps of the alignment.

    Returns:
        An architecture of the matched calls; what is left out is replaced by
        what flows into it.
    """
    cut = _Cut()
    entry = architecture.inputs[0].tensor
    _collect(pairs, entry, cut)
    return rewire(architecture, cut)


def change_configs(
    architecture: Architecture, changes: Mapping[int, Mapping[str, Any]]
) -> Architecture:
    """The same architecture with other configs, by the number of a call's first output."""
    return rewire(architecture, _Cut(changes=dict(changes)))


def rewire(architecture: Architecture, cut: _Cut) -> Architecture:
    """Leave out nodes and let their readers read what flows into them."""
    nodes: list[Node] = []
    aliases = dict(cut.aliases)
    gone_activations = {
        node.layer.path for node in architecture.nodes if node.fused and node.outputs[0] in cut.gone
    }
    for node in architecture.nodes:
        key = node.outputs[0]
        if key in cut.gone:
            continue
        if key in cut.changes:
            node = _changed(node, cut.changes[key])
        if node.layer.path in gone_activations and not node.fused:
            node = with_config(node, {"activation": "linear"})
        trimmed = _without(node, cut.silent)
        if trimmed is not node and len(trimmed.inputs) == 1:
            aliases[key] = _resolve(trimmed.inputs[0], aliases)
            continue
        nodes.append(redirect(trimmed, aliases))
    nodes = _fit_reshapes(_detach(nodes))
    outputs = tuple(_resolve(tensor, aliases) for tensor in architecture.outputs)
    inputs = [entry.tensor for entry in architecture.inputs]
    woven = replace(
        architecture,
        nodes=tuple(nodes),
        outputs=outputs,
        tree=build_tree(nodes, inputs, outputs),
        output_structure=_redirect_refs(architecture.output_structure, aliases),
    )
    return _with_shapes(woven)


def _detach(nodes: Sequence[Node]) -> list[Node]:
    """Make a fused activation a layer of its own where it now follows another layer."""
    makers = {tensor: node.layer.path for node in nodes for tensor in node.outputs}
    return [
        _standing_alone(node)
        if node.fused and makers.get(node.inputs[0]) != node.layer.path
        else node
        for node in nodes
    ]


def _standing_alone(node: Node) -> Node:
    old = node.layer
    path = (*old.path[:-1], f"{old.path[-1]}_activation")
    config = {"name": path[-1], "activation": old.config["activation"]}
    layer = Layer("/".join(path), path, keras.layers.Activation, MappingProxyType(config))
    return replace(node, layer=layer, fused=False)


def _collect(pairs: Sequence[Pair], entry: int, cut: _Cut) -> int:
    """Note what goes; returns the tensor at the end of the chain."""
    for pair in pairs:
        item = pair.first
        if item is None:
            continue
        nodes = item.nodes if isinstance(item, Region) else (item,)
        out = nodes[-1].outputs[0]
        if pair.second is None:
            cut.gone.update(node.outputs[0] for node in nodes)
            cut.aliases[out] = entry
        elif isinstance(pair.inside, RegionMatch):
            _collect_region(pair, pair.inside, entry, cut)
        elif pair.changes:
            cut.changes[out] = pair.changes
        entry = out
    return entry


def _collect_region(pair: Pair, inside: RegionMatch, entry: int, cut: _Cut) -> None:
    region = pair.first
    assert isinstance(region, Region)
    for inner in inside.nodes:
        if inner.changes and isinstance(inner.first, Node):
            cut.changes[inner.first.outputs[0]] = inner.changes
    if inside.merge is None or region.merge is None:
        return
    if inside.merge.changes:
        cut.changes[region.merge.outputs[0]] = inside.merge.changes
    tensors = list(dict.fromkeys(region.merge.inputs))
    for branch in inside.branches:
        if branch.first is None:
            continue
        if branch.second is None:
            for item in region.branches[branch.first].items:
                nodes = item.nodes if isinstance(item, Region) else (item,)
                cut.gone.update(node.outputs[0] for node in nodes)
            cut.silent.add(tensors[branch.first])
        else:
            _collect(branch.pairs, entry, cut)


def _changed(node: Node, changes: Mapping[str, Any]) -> Node:
    node = with_config(node, changes)
    target = changes.get("target_shape")
    if target is not None:
        shape = tuple(None if size == -1 else size for size in target)
        node = replace(node, output_shapes=(shape,))
    return node


def _without(node: Node, silent: set[int]) -> Node:
    """A merge without the branches that go."""
    if not silent & set(node.inputs):
        return node
    kept = [number for number, tensor in enumerate(node.inputs) if tensor not in silent]
    args = tuple(
        [leaf for leaf in value if not (isinstance(leaf, TensorRef) and leaf.tensor in silent)]
        if isinstance(value, (list, tuple))
        else value
        for value in node.args
    )
    return replace(
        node,
        inputs=tuple(node.inputs[number] for number in kept),
        input_shapes=tuple(node.input_shapes[number] for number in kept),
        args=args,
    )


def redirect(node: Node, aliases: Mapping[int, int]) -> Node:
    """The same call with other tensors read."""
    return replace(
        node,
        inputs=tuple(_resolve(tensor, aliases) for tensor in node.inputs),
        args=_redirect_refs(node.args, aliases),
        kwargs=_redirect_refs(dict(node.kwargs), aliases),
    )


def _redirect_refs(structure: Any, aliases: Mapping[int, int]) -> Any:
    return keras.tree.map_structure(
        lambda leaf: (
            TensorRef(_resolve(leaf.tensor, aliases)) if isinstance(leaf, TensorRef) else leaf
        ),
        structure,
    )


def tensor_values(architecture: Architecture) -> dict[int, Value]:
    """What is known of the numbers in every tensor of a network."""
    values = {entry.tensor: Value() for entry in architecture.inputs}
    for node in architecture.nodes:
        rule, known = rule_for(node), [values[tensor] for tensor in node.inputs]
        found = rule.merge_value(node, known) if rule.merge else rule.value(node, known[0])
        values.update(dict.fromkeys(node.outputs, found))
    return values


def _resolve(tensor: int, aliases: Mapping[int, int]) -> int:
    while tensor in aliases:
        tensor = aliases[tensor]
    return tensor


def _with_shapes(architecture: Architecture, rounds: int = _ROUNDS) -> Architecture:
    """Compute all shapes anew: by following the network's channels beside itself.

    Layers whose outputs meet in a sum may have got different widths, each the smallest at
    its own place. They are lowered until they agree.
    """
    pairs = [Pair(node, node) for node in architecture.nodes]
    found = correspond(architecture, architecture, pairs, settles=rounds > 0)
    settled = dict(_settled(found))
    if settled:
        nodes = [
            with_config(node, settled[node.layer.path]) if node.layer.path in settled else node
            for node in architecture.nodes
        ]
        return _with_shapes(replace(architecture, nodes=tuple(nodes)), rounds - 1)
    if found.spaces.lowered:  # by a layer whose config tells no width
        return _with_shapes(architecture, 0)
    shapes = {entry.tensor: entry.shape for entry in architecture.inputs}
    layers: dict[tuple[str, ...], Layer] = {}
    nodes = []
    for step in found.steps:
        node = step.member
        for tensor, axes in zip(node.outputs, step.outputs, strict=False):
            shapes[tensor] = tuple(found.spaces.size(axis)[0] for axis in axes)
        layer = layers.setdefault(node.layer.path, _with_variables(step, found.spaces))
        resized = replace(
            node,
            layer=layer,
            input_shapes=tuple(shapes[tensor] for tensor in node.inputs),
            output_shapes=tuple(shapes[tensor] for tensor in node.outputs),
        )
        nodes.append(rule_for(node).resized(node, resized))
    inputs = [entry.tensor for entry in architecture.inputs]
    tree = build_tree(nodes, inputs, architecture.outputs)
    return replace(architecture, nodes=tuple(nodes), tree=tree)


def _settled(found: Correspondence) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Layers that must be narrower than they are, with the config entries that make them so."""
    for step in found.steps:
        rule, node = rule_for(step.member), step.member
        if node.fused or node.activation is not None:
            continue
        if rule.width is None:
            sizes = [[found.spaces.size(axis)[0] for axis in axes] for axes in step.outputs]
            if changes := rule.follow(node, *sizes):
                yield node.layer.path, changes
        else:
            size = found.spaces.size(rule.made_axis(node, step.outputs))[0]
            if size is not None and size < node.config[rule.width]:
                yield node.layer.path, rule.sized(node, size)


def _with_variables(step: Step, spaces: Spaces) -> Layer:
    """A layer with the shapes that its variables have under its config."""
    layer = step.member.layer
    if not layer.variables:
        return layer
    shapes = {}
    config = _config_inside(layer)
    for name, roles in step_roles(step).items():
        if name in layer.variables and config.get(_SWITCHES.get(name, ""), True):
            axes = zip(roles, layer.variables[name], strict=True)
            shapes[name] = tuple(
                _axis_size(config, position, role, size, spaces)
                for position, (role, size) in enumerate(axes)
            )
    return replace(layer, variables=MappingProxyType(shapes))


def _config_inside(layer: Layer) -> Mapping[str, Any]:
    """The config of a layer; of what it wraps, for a wrapper."""
    config: Mapping[str, Any] = layer.config
    while isinstance(config.get("layer"), Mapping) and "config" in config["layer"]:
        config = config["layer"]["config"]
    return config


def _axis_size(
    config: Mapping[str, Any], position: int, role: Role, size: int, spaces: Spaces
) -> int:
    if isinstance(role, Taps):
        taps = config["kernel_size"]
        # The second kernel of a separable convolution has taps of its own, all of size one.
        return taps[position] if size != 1 else 1
    if isinstance(role, (Copy, Split)):
        return spaces.size(role.axis)[0] or size
    return size


def _fit_reshapes(nodes: Sequence[Node]) -> list[Node]:
    """Give a Dense layer whose output is reshaped the number of units that the reshape needs."""
    result = list(nodes)
    makers: dict[int, int] = {}
    for number, node in enumerate(result):
        rule = rule_for(node)
        if node.layer.cls is keras.layers.Dense and node.activation is None:
            makers[node.outputs[0]] = number
        elif node.layer.cls is keras.layers.Reshape and node.inputs[0] in makers:
            target = node.config["target_shape"]
            maker = makers[node.inputs[0]]
            if -1 not in target and len(result[maker].output_shapes[0]) == 1:
                result[maker] = with_config(result[maker], {"units": math.prod(target)})
        elif node.activation is not None or rule.carries_sign or rule.is_transparent:
            if node.inputs[0] in makers:
                makers[node.outputs[0]] = makers[node.inputs[0]]
    return result
