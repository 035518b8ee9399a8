"""The rule of TimeDistributed: the rule of the layer inside, with time as one more axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_mothernets.graph import LINEAR, Node
from keras_mothernets.graph.activations import from_config
from keras_mothernets.rules.recurrent import wrapped
from keras_mothernets.rules.rule import Axes, Refusal, Role, Rule
from keras_mothernets.rules.spaces import Spaces


class TimeDistributedRule(Rule):
    """TimeDistributed: what the layer inside does, at every step of time.

    An activation inside is not split off, so it must be the same in all networks.

    Args:
        find: Gives the rule of a call.
    """

    counts = True
    sizes = ("layer",)
    """Config entries in which sizes stand; the mother has the smallest."""

    def __init__(self, find: Callable[[Node], Rule]) -> None:
        self._find = find

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        ours, theirs = _inside(first), _inside(second)
        if ours.layer.cls is not theirs.layer.cls:
            return Refusal(f"one wraps a {ours.kind}, the other a {theirs.kind}")
        for key in ("activation", "scale", "center"):
            if ours.config.get(key) != theirs.config.get(key):
                return Refusal(f"`{key}` of the wrapped layer is not the same in both")
        changes = self._find(ours).meet(ours, theirs)
        if isinstance(changes, Refusal) or not changes:
            return changes
        entry = first.config["layer"]
        return {"layer": {**entry, "config": {**entry["config"], **changes}}}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        time, *axes = inputs[0]
        spaces.pin(time, "TimeDistributed goes along it")
        for mask in inputs[1:]:
            for axis in mask:
                spaces.pin(axis, "it is a mask")
        inner = _inside(member)
        outputs = self._find(inner).flow(_inside(mother), inner, (tuple(axes),), spaces)
        activation = from_config(inner.config.get("activation"))
        if activation is None or activation.mixes_channels:
            for axis in outputs[0]:
                spaces.pin(axis, "the wrapped layer's activation mixes the channels")
        return ((time, *outputs[0]), *outputs)

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        inner, entry = _inside(node), node.config["layer"]
        rule = self._find(inner)
        if rule.width is None or not rule.is_linear:
            return {}
        size = sizes[1 + rule.channel_axis(inner)]
        if size is None or size == inner.config[rule.width]:
            return {}
        config = {**entry["config"], **rule.sized(inner, size)}
        return {"layer": {**entry, "config": config}}

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        inner = _inside(member)
        return self._find(inner).roles(
            _inside(mother), inner, (inputs[0][1:],), outputs[len(member.outputs) :]
        )

    def rebase(
        self, mother: Node, member: Node, values: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        inner = _inside(member)
        return self._find(inner).rebase(_inside(mother), inner, values)

    def zeros(self, node: Node) -> tuple[str, ...]:
        inner = _inside(node)
        linear = from_config(inner.config.get("activation")) == LINEAR
        return self._find(inner).zeros(inner) if linear else ()


def _inside(node: Node) -> Node:
    """The call of the layer inside, on one step of time."""
    return replace(
        wrapped(node),
        input_shapes=tuple(shape[1:] for shape in node.input_shapes[:1]),
        output_shapes=tuple(shape[1:] for shape in node.output_shapes),
    )
