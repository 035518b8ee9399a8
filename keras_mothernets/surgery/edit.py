"""Growing one model by hand: wider layers, more layers, larger kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import GraphError, SurgeryError, naming
from keras_mothernets.graph import Architecture, Node, build, flat_names, read
from keras_mothernets.rules import Refusal, check_rules, rule_for
from keras_mothernets.surgery.correspondence import correspond
from keras_mothernets.surgery.coupling import follow
from keras_mothernets.surgery.hatch import fill
from keras_mothernets.surgery.insertion import Side, insert
from keras_mothernets.surgery.pairs import Pair
from keras_mothernets.surgery.plan import plan_pairs
from keras_mothernets.surgery.weaving import redirect, tensor_values


def widen(model: keras.Model, sizes: Mapping[str, int], *, seed: int = 0) -> keras.Model:
    """Give layers more units or filters without changing what the model computes.

    Args:
        model: A built Functional or Sequential model; it is not modified.
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
    architecture = _readable(model)
    changes = {}
    for name, size in sizes.items():
        node = _find(architecture, name)
        key = rule_for(node).width
        if key is None:
            raise SurgeryError(
                f"Layer `{name}` ({node.kind}) makes no channels of its own, so it cannot grow"
            )
        old = node.config[key]
        if isinstance(size, bool) or not isinstance(size, int) or size < old:
            raise SurgeryError(
                f"Layer `{name}` can only grow",
                expected=f"a whole number of at least {old}",
                received=repr(size),
            )
        changes[node.layer.path] = rule_for(node).sized(node, size)
    return _grow(model, architecture, changes, seed=seed)


def enlarge_kernels(model: keras.Model, sizes: Mapping[str, int | Sequence[int]]) -> keras.Model:
    """Give convolutions larger kernels without changing what the model computes.

    Args:
        model: A built Functional or Sequential model; it is not modified.
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
    architecture = _readable(model)
    changes = {}
    for name, size in sizes.items():
        node = _find(architecture, name)
        old = node.config.get("kernel_size")
        if old is None:
            raise SurgeryError(f"Layer `{name}` ({node.kind}) has no kernel to enlarge")
        new = tuple(size) if isinstance(size, Sequence) else tuple(size for _ in old)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in new)
        if not whole or len(new) != len(old) or any(n < o for n, o in zip(new, old, strict=True)):
            raise SurgeryError(
                f"The kernel of layer `{name}` can only grow",
                expected=f"whole numbers of at least {tuple(old)}",
                received=repr(size),
            )
        changes[node.layer.path] = {"kernel_size": new}
    return _grow(model, architecture, changes)


def deepen(
    model: keras.Model, after: str, *, copies: int = 1, calibration: Any = None
) -> keras.Model:
    """Insert more layers like one that is there, without changing what the model computes.

    The layer is repeated together with the normalisation, activation and dropout
    that follow it, each as an identity: `conv, norm, relu` becomes
    `conv, norm, relu, conv, norm, relu`.

    Args:
        model: A built Functional or Sequential model; it is not modified.
        after: Name of a layer with weights (Dense, a convolution).
        copies: How many times it is repeated.
        calibration: Inputs of the model, for the statistics of inserted
            BatchNormalization layers; derived from the layers before if not given.

    Returns:
        A new, built, uncompiled, flat Functional model. Inserted layers are
        named like the repeated ones, with `_deeper_1`, `_deeper_2`, ... appended.

    Raises:
        GraphError: The model cannot be read, or has no layer of that name.
        SurgeryError: No identity of that kind exists there; the message says why.

    Example:
        >>> hidden, head = keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, head])
        >>> [layer.name for layer in deepen(model, "hidden").layers][1:3]
        ['hidden', 'hidden_deeper_1']

    Source: Chen et al. 2016, Net2DeeperNet.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise SurgeryError("`copies` must be a whole number of at least 1", received=repr(copies))
    architecture = _readable(model)
    unit = _unit(architecture, after)
    return _insert(model, architecture, unit, copies, calibration)


def _readable(model: keras.Model) -> Architecture:
    architecture = read(model)
    with naming(f"`{architecture.name}`"):
        check_rules(architecture)
    return architecture


def _find(architecture: Architecture, name: str) -> Node:
    for node in architecture.nodes:
        if name in (node.layer.name, node.layer.path[-1]) and not node.fused:
            return node
    raise GraphError(
        f"`{architecture.name}` has no layer `{name}`",
        expected="one of " + ", ".join(f"`{layer.name}`" for layer in architecture.layers),
    )


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
    target = _build(edited)
    return _apply(model, architecture, target, edited, architecture.nodes, seed=seed)


def with_layer(node: Node, changes: Mapping[str, Any], suffix: str = "") -> Node:
    """The same call with a layer of another config, and of another name if there is a suffix."""
    layer = node.layer
    path = (*layer.path[:-1], layer.path[-1] + suffix)
    config = MappingProxyType({**layer.config, **changes})
    return replace(node, layer=replace(layer, config=config, path=path, name=layer.name + suffix))


def _unit(architecture: Architecture, after: str) -> list[Node]:
    """A layer with weights, and what follows it up to the next one."""
    start = _find(architecture, after)
    rule = rule_for(start)
    if rule.width is None or rule.cannot_insert(_as_identity(start)) is not None:
        reason = rule.cannot_insert(_as_identity(start)) or "it has no weights of its own"
        raise SurgeryError(f"Layer `{after}` ({start.kind}) cannot be repeated: {reason}")
    unit = [start]
    while (node := _only_reader(architecture, unit[-1])) is not None:
        follows = rule_for(node)
        if not (follows.carries_sign or follows.is_transparent or node.activation is not None):
            break
        unit.append(node)
    if unit[-1].outputs[0] in architecture.outputs:
        raise SurgeryError(
            f"Layer `{after}` makes the output",
            expected="a hidden layer",
            fix="Repeat a layer before it",
        )
    return unit


def _only_reader(architecture: Architecture, node: Node) -> Node | None:
    tensor = node.outputs[0]
    readers = [other for other in architecture.nodes if tensor in other.inputs]
    return readers[0] if len(readers) == 1 and tensor not in architecture.outputs else None


def _as_identity(node: Node) -> Node:
    """A call like the given one with stride 1 and padding that keeps the resolution."""
    changes: dict[str, Any] = {}
    if "kernel_size" in node.config:
        changes["strides"] = tuple(1 for _ in node.config["kernel_size"])
        if node.config["padding"] == "valid":
            changes["padding"] = "same"
    if "depth_multiplier" in node.config:
        changes["depth_multiplier"] = 1
    shapes = node.output_shapes
    return replace(with_layer(node, changes), input_shapes=shapes, output_shapes=shapes)


def _insert(
    model: keras.Model,
    architecture: Architecture,
    unit: Sequence[Node],
    copies: int,
    calibration: Any,
) -> keras.Model:
    place = architecture.nodes.index(unit[-1]) + 1
    added: list[Node] = []
    start = tensor = unit[-1].outputs[0]
    free = 1 + max(out for node in architecture.nodes for out in node.outputs)
    for copy in range(1, copies + 1):
        for node in unit:
            new = with_layer(_as_identity(node), {}, f"_deeper_{copy}")
            added.append(replace(redirect(new, {node.inputs[0]: tensor}), outputs=(free,)))
            tensor, free = free, free + 1
    _check_insertable(architecture, unit[-1], added)
    rest = [redirect(node, {start: tensor}) for node in architecture.nodes[place:]]
    edited = replace(architecture, nodes=(*architecture.nodes[:place], *added, *rest))
    target = _build(edited)
    old = [*architecture.nodes[:place], *[None] * len(added), *architecture.nodes[place:]]
    return _apply(model, architecture, target, edited, old, calibration=calibration)


def _check_insertable(architecture: Architecture, last: Node, added: Sequence[Node]) -> None:
    value = tensor_values(architecture)[last.outputs[0]]
    shape = last.output_shapes[0]
    side = Side()
    for node in added:
        found = insert(node, value, side, shape[rule_for(node).channel_axis(node)])
        if isinstance(found, Refusal):
            raise SurgeryError(
                f"`{architecture.name}`: layer `{last.name}` cannot be followed by"
                f" `{node.kind}` as an identity: {found}",
                fix="Choose a place after an activation that leaves its own outputs unchanged"
                " (relu), or hatch into a network of your own with twice the width there",
            )
        side = found


def _build(architecture: Architecture) -> keras.Model:
    try:
        return build(architecture, blank=True)
    except GraphError as error:
        raise SurgeryError(
            f"`{architecture.name}` cannot have these sizes: {error.problem}",
            received=error.received,
            fix="Widen all branches that meet there together; behind a Reshape with fixed"
            " sizes nothing can be widened",
        ) from error


def _apply(
    model: keras.Model,
    architecture: Architecture,
    target: keras.Model,
    edited: Architecture,
    sources: Sequence[Node | None],
    *,
    seed: int = 0,
    calibration: Any = None,
) -> keras.Model:
    """Give a built target the model's function; `sources` tells where each edited node is from."""
    built = read(target)
    origins = dict(zip(_call_keys(edited), sources, strict=True))
    pairs = [
        Pair(origins[key], node) for key, node in zip(_call_keys(built), built.nodes, strict=True)
    ]
    plan = plan_pairs(correspond(architecture, built, pairs), seed=seed)
    fill(plan, model, target, calibration=calibration)
    return target


def _call_keys(architecture: Architecture) -> list[tuple[str, bool, int]]:
    """What tells each call in two architectures that differ in nothing but numbers."""
    names = flat_names(architecture)
    keys, seen = [], Counter[tuple[str, bool]]()
    for node in architecture.nodes:
        key = (names[node.layer.path], node.fused)
        keys.append((*key, seen[key]))
        seen[key] += 1
    return keys
