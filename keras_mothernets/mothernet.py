"""The MotherNet: the largest network from which all members of a cluster can be grown."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import GraphError, SurgeryError, naming
from keras_mothernets.graph import (
    Architecture,
    Layer,
    Node,
    Shape,
    TensorRef,
    build,
    build_tree,
    copy_layer,
    flat_names,
    live_layers,
    read,
)
from keras_mothernets.member import Member, as_members
from keras_mothernets.rules import Atom, Axis, Product, Spaces, check_rules, rule_for, with_config
from keras_mothernets.surgery import align, correspond, make_plan, meet

_ALL_ORDERS_UP_TO = 3
_SOME_ORDERS_UP_TO = 10
_ROUNDS = 8


def mothernet(members: Sequence[Any], *, name: str = "mothernet", seed: int = 0) -> keras.Model:
    """Build the largest network from which every member can be hatched.

    The members are aligned call by call. What all of them have stays, with the
    smallest width and kernel at each position; what some members lack goes, as
    long as hatching can put it back as an identity.

    Args:
        members: Built Functional or Sequential models, or `km.Member`s, with
            equal inputs and outputs.
        name: Name of the new model.
        seed: Seed of its random initial weights.

    Returns:
        A new, built, uncompiled Functional model. Layers are named as in the
        first member. Settings that the user made (the mean of a
        `Normalization`) are copied from there.

    Raises:
        GraphError: A member cannot be read, or has a layer without a rule.
        SurgeryError: The members have no network in common; the message names
            the first one that does not fit, and the layer.

    Example:
        >>> def net(units, name):
        ...     hidden, head = keras.layers.Dense(units, "relu"), keras.layers.Dense(2)
        ...     return keras.Sequential([keras.Input((4,)), hidden, head], name=name)
        >>> mothernet([net(3, "a"), net(5, "b")]).layers[1].units
        3

    Source: Wasay et al. 2020, construction of the MotherNet: per block the
    fewest layers, per position the fewest filters and the smallest filter.
    Blocks are not given here but follow from the alignment, and identity
    insertion is demanded wherever a member has more.
    """
    entries = as_members(members)
    architectures = [read_member(entry.label, entry.model) for entry in entries]
    common = common_architecture(architectures, name=name)
    model = build(common, name=name, edit=lambda config: _seeded(config, seed))
    _copy_settings(entries, common, model)
    return model


def read_member(label: str, model: keras.Model) -> Architecture:
    """Read a member's architecture under its name, and check that every layer has a rule."""
    with naming(f"Member `{label}`"):
        architecture = replace(read(model), name=label)
        check_rules(architecture)
    return architecture


def common_architecture(
    architectures: Sequence[Architecture], *, name: str = "mothernet"
) -> Architecture:
    """The largest architecture from which all given ones can be grown.

    Args:
        architectures: At least one.
        name: Name of the result.

    Returns:
        The common architecture, from which each member has been proved to grow.

    Raises:
        SurgeryError: There is none.
    """
    candidates: list[_Common] = []
    failure: SurgeryError | None = None
    for order in _orders(architectures):
        try:
            candidates.append(_fold([architectures[number] for number in order]))
        except SurgeryError as error:
            failure = failure or error
    if not candidates:
        assert failure is not None
        raise failure
    best = max(candidates, key=lambda common: common.params)
    found = replace(_settle_widths(best.architecture, architectures), name=name)
    for architecture in architectures:
        with naming(f"Member `{architecture.name}`"):
            make_plan(found, architecture)
    return found


def same_architecture(first: keras.Model, second: keras.Model) -> bool:
    """Whether two models are equal but for names and weights.

    Args:
        first: A built Functional or Sequential model.
        second: Another one.

    Example:
        >>> def net(name):
        ...     return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name=name)
        >>> same_architecture(net("a"), net("b"))
        True
    """
    return equal_architectures(read(first), read(second))


def equal_architectures(first: Architecture, second: Architecture) -> bool:
    """Whether two architectures are equal but for names."""
    if len(first.nodes) != len(second.nodes):
        return False
    if [(e.shape, e.dtype) for e in first.inputs] != [(e.shape, e.dtype) for e in second.inputs]:
        return False
    tensors = {a.tensor: b.tensor for a, b in zip(first.inputs, second.inputs, strict=True)}
    for ours, theirs in zip(first.nodes, second.nodes, strict=True):
        if tuple(tensors[tensor] for tensor in ours.inputs) != theirs.inputs:
            return False
        if meet(ours, theirs) != {} or meet(theirs, ours) != {}:
            return False
        tensors.update(zip(ours.outputs, theirs.outputs, strict=True))
    return tuple(tensors[tensor] for tensor in first.outputs) == second.outputs


@dataclass(frozen=True)
class _Common:
    architecture: Architecture
    params: int


def _orders(architectures: Sequence[Architecture]) -> list[tuple[int, ...]]:
    """Orders in which to fold. Any gives a common network; which is largest can depend on it."""
    count = len(architectures)
    given = tuple(range(count))
    if count <= _ALL_ORDERS_UP_TO:
        return list(itertools.permutations(given))
    by_size = tuple(sorted(given, key=lambda number: architectures[number].num_params))
    return [given, by_size, by_size[::-1]] if count <= _SOME_ORDERS_UP_TO else [by_size]


def _fold(architectures: Sequence[Architecture]) -> _Common:
    common = architectures[0]
    params = common.num_params
    for architecture in architectures[1:]:
        alignment = align(common, architecture, grow_only=False)
        params = alignment.params
        merged = [
            with_config(pair.first, pair.changes or {})
            for pair in alignment.pairs
            if pair.first is not None and pair.second is not None
        ]
        common = _rewire(common, merged)
    return _Common(common, params)


def _rewire(architecture: Architecture, nodes: Sequence[Node]) -> Architecture:
    """A chain of some nodes of an architecture, with shapes computed anew."""
    tensor, shape = architecture.inputs[0].tensor, architecture.inputs[0].shape
    fused = {node.layer.path for node in nodes if node.fused}
    chained = []
    for node in _reshaped_to_fit(nodes):
        if _lost_its_activation(node, fused):
            node = with_config(node, {"activation": "linear"})
        args = (TensorRef(tensor), *node.args[1:])
        out = shape if node.activation is not None else _output_shape(node, shape)
        chained.append(
            replace(node, inputs=(tensor,), input_shapes=(shape,), output_shapes=(out,), args=args)
        )
        tensor, shape = node.outputs[0], out
    return replace(
        architecture,
        nodes=tuple(chained),
        outputs=(tensor,),
        tree=build_tree(chained, [entry.tensor for entry in architecture.inputs], (tensor,)),
        output_structure=keras.tree.map_structure(
            lambda leaf: TensorRef(tensor), architecture.output_structure
        ),
    )


def _lost_its_activation(node: Node, fused: set[tuple[str, ...]]) -> bool:
    """Whether a layer with a fused activation is left without that activation."""
    return (
        node.activation is None
        and node.config.get("activation") is not None
        and node.layer.path not in fused
    )


def _reshaped_to_fit(nodes: Sequence[Node]) -> list[Node]:
    """Give a Dense layer whose output is reshaped the number of units that the reshape needs."""
    result = list(nodes)
    maker: int | None = None
    for number, node in enumerate(result):
        if node.layer.cls is keras.layers.Dense and node.activation is None:
            maker = number
        elif node.layer.cls is keras.layers.Reshape and maker is not None:
            target = node.config["target_shape"]
            if -1 not in target and len(result[maker].output_shapes[0]) == 1:
                result[maker] = with_config(result[maker], {"units": math.prod(target)})
            maker = None
        elif node.activation is None and not rule_for(node).carries_sign:
            maker = maker if rule_for(node).is_transparent else None
    return result


def _output_shape(node: Node, shape: Shape) -> Shape:
    """The output shape of a layer on another input, without building it."""
    layer = _unbuilt(node.layer)
    return tuple(layer.compute_output_shape((None, *shape))[1:])


def _unbuilt(layer: Layer) -> Any:
    try:
        return layer.cls.from_config(dict(layer.config))  # type: ignore[attr-defined]
    except Exception as error:
        raise GraphError(
            f"Layer `{layer.name}` cannot be made from its config", received=str(error)
        ) from error


def _settle_widths(common: Architecture, members: Sequence[Architecture]) -> Architecture:
    """Lower widths until what members insert, and their pairs, leave room for all channels."""
    for _ in range(_ROUNDS):
        limits: dict[tuple[str, ...], int] = {}
        for member in members:
            with naming(f"Member `{member.name}`"):
                for path, limit in _limits(common, member).items():
                    limits[path] = min(limit, limits.get(path, limit))
        nodes = [_at_most(node, limits) for node in common.nodes]
        if all(ours is theirs for ours, theirs in zip(nodes, common.nodes, strict=True)):
            return common
        common = _rewire(common, nodes)
    raise SurgeryError("No widths were found that all members can be grown from")


def _at_most(node: Node, limits: Mapping[tuple[str, ...], int]) -> Node:
    key, limit = rule_for(node).width, limits.get(node.layer.path)
    if key is None or limit is None or limit >= node.config[key]:
        return node
    return with_config(node, {key: limit})


def _limits(common: Architecture, member: Architecture) -> dict[tuple[str, ...], int]:
    """For each layer of the common network the largest width that a member allows."""
    pairs = align(common, member, grow_only=True, check_widths=False).pairs
    found = correspond(common, member, pairs)
    makers: dict[Axis, tuple[str, ...]] = {}
    limits: dict[tuple[str, ...], int] = {}
    for step in found.steps:
        rule = rule_for(step.member)
        if rule.width is None:
            continue
        channel = rule.channel_axis(step.member)
        made, source = step.outputs[0][channel], step.inputs[0]
        room = found.spaces.limits(_last(made, found.spaces))[0]
        if step.how == "matched":
            path: tuple[str, ...] | None = step.mother.layer.path
            if room is not None and isinstance(made, Atom):
                # A reshape may have taken the axis apart since.
                room *= _repeats(made, found.spaces)
        else:
            # What is inserted must pass on all channels of the axis that it reads.
            path = makers.get(_last(source[channel], found.spaces))
            room = None if room is None else room // _repeats(source[channel], found.spaces)
        if path is not None:
            makers[_last(made, found.spaces)] = path
            if room is not None:
                limits[path] = min(room, limits.get(path, room))
    return limits


def _repeats(axis: Axis, spaces: Spaces) -> int:
    """How often an axis runs over its last factor (pixels of a Flatten)."""
    return (spaces.size(axis)[0] or 1) // (spaces.size(_last(axis, spaces))[0] or 1)


def _last(axis: Axis, spaces: Spaces) -> Axis:
    found = spaces.find(axis)
    while isinstance(found, Product):
        found = spaces.find(found.factors[-1])
    return found


def _seeded(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """A config whose initializers draw the same numbers every time."""
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, Mapping):
            inner = dict(value.get("config") or {})
            if "seed" in inner and inner["seed"] is None:
                place = zlib.crc32(f"{config.get('name')}/{key}".encode())
                drawn = np.random.default_rng([seed, place]).integers(0, 2**31)
                config[key] = {**value, "config": {**inner, "seed": int(drawn)}}
    return config


def _copy_settings(members: Sequence[Member], common: Architecture, model: keras.Model) -> None:
    """Copy variables that users set (a Normalization's mean), which no training would find.

    They must be equal in all members, for each member gets the mother's.
    """
    targets = {layer.name: layer for layer in model.layers}
    names = flat_names(common)
    wanted = [
        node for node in common.nodes if rule_for(node).holds_settings and node.layer.variables
    ]
    for number, node in enumerate(wanted):
        owners = [_settings(member)[number] for member in members]
        for member, layer in zip(members, owners, strict=True):
            if not _equal_weights(owners[0], layer):
                raise SurgeryError(
                    f"Member `{member.label}`: layer `{layer.name}` has other settings than"
                    f" in member `{members[0].label}`",
                    expected="the same mean and variance in all members",
                    fix="Adapt the layer once and give all members the same values",
                )
        copy_layer(owners[0], targets[names[node.layer.path]])


def _settings(member: Member) -> list[Any]:
    layers = live_layers(member.model)
    nodes = [node for node in read(member.model).nodes if node.layer.variables]
    return [layers[node.layer.path] for node in nodes if rule_for(node).holds_settings]


def _equal_weights(first: Any, second: Any) -> bool:
    pairs = zip(first.weights, second.weights, strict=True)
    return all(
        np.array_equal(keras.ops.convert_to_numpy(a.value), keras.ops.convert_to_numpy(b.value))
        for a, b in pairs
    )
