"""Rules of raw operations that pick, add or reorder axes: `x[:, 0]`, `keras.ops.transpose`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis
from keras_mothernets.rules.rule import Axes, Refusal, Rule, Value
from keras_mothernets.rules.spaces import Spaces

_WHOLE = slice(None)


class GetItemRule(Rule):
    """`x[...]`: an axis taken whole passes, one that is cut must stay as it is."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if repr(_keys(first)) != repr(_keys(second)):
            return Refusal("they take different parts of a tensor")
        return {}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        keys = _spelled_out(member)
        if not keys or keys[0] != _WHOLE:
            raise SurgeryError("A slice must leave the batch axis alone")
        left = list(inputs[0])
        out: list[Axis] = []
        for key in keys[1:]:
            if key is None:
                out.append(spaces.fixed(1, 1, "a slice makes it"))
                continue
            axis = left.pop(0)
            if key == _WHOLE:
                out.append(axis)
                continue
            spaces.pin(axis, "a slice takes a part of it")
            if isinstance(key, slice):
                place = len(out)
                sizes = mother.output_shapes[0][place], member.output_shapes[0][place]
                out.append(spaces.fixed(*sizes, "it is part of an axis"))
        return ((*out, *left),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class TransposeRule(Rule):
    """`keras.ops.transpose`: the axes in another order, the batch axis first."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        rank = len(inputs[0]) + 1
        order = [axis % rank for axis in member.config["axes"] or range(rank)[::-1]]
        if order[0] != 0:
            raise SurgeryError("A transposition must leave the batch axis in front")
        return (tuple(inputs[0][axis - 1] for axis in order[1:]),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class ExpandDimsRule(Rule):
    """`keras.ops.expand_dims`: one more axis of size one."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axis = member.config["axis"]
        rank = len(inputs[0]) + 2
        places = [axis % rank] if isinstance(axis, int) else []
        if not places or not places[0]:
            raise SurgeryError(
                "`expand_dims` must add one axis, behind that of the batch", received=str(axis)
            )
        out = list(inputs[0])
        out.insert(places[0] - 1, spaces.fixed(1, 1, "`expand_dims` makes it"))
        return (tuple(out),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class SqueezeRule(Rule):
    """`keras.ops.squeeze`: axes of size one go away."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        rank = len(inputs[0]) + 1
        given = member.config["axis"]
        axes = [given] if isinstance(given, int) else list(given or ())
        gone = {axis % rank for axis in axes}
        if not gone or 0 in gone:
            raise SurgeryError(
                "`squeeze` must name the axes that go, and leave that of the batch",
                received=str(given),
            )
        for place in gone:
            spaces.pin(inputs[0][place - 1], "`squeeze` takes it away")
        return (tuple(axis for place, axis in enumerate(inputs[0], 1) if place not in gone),)

    def value(self, node: Node, value: Value) -> Value:
        return value


class SwapAxesRule(Rule):
    """`keras.ops.swapaxes`: two axes change places."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        rank = len(inputs[0]) + 1
        one, other = (member.config[key] % rank - 1 for key in ("axis1", "axis2"))
        if min(one, other) < 0:
            raise SurgeryError("`swapaxes` must leave the batch axis in front")
        axes = list(inputs[0])
        axes[one], axes[other] = axes[other], axes[one]
        return (tuple(axes),)

    def value(self, node: Node, value: Value) -> Value:
        return value


def _keys(node: Node) -> tuple[Any, ...]:
    key = node.args[1] if len(node.args) > 1 else node.kwargs["key"]
    return tuple(key) if isinstance(key, (tuple, list)) else (key,)


def _spelled_out(node: Node) -> list[Any]:
    """One key per axis: an ellipsis becomes as many whole axes as it stands for."""
    keys = list(_keys(node))
    if not all(key is None or key is ... or isinstance(key, (int, slice)) for key in keys):
        raise SurgeryError(
            "A slice is not made of whole numbers",
            expected="integers, slices, `None` and `...`",
            received=repr(tuple(keys)),
        )
    if ... in keys:
        rank = len(node.input_shapes[0]) + 1
        place = keys.index(...)
        used = sum(key is not None and key is not ... for key in keys)
        keys[place : place + 1] = [_WHOLE] * (rank - used)
    return keys
