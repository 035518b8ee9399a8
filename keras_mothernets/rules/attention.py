"""Rules of attention: MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention, Dot.

Heads are channels like others: a copied head attends in the same way, and the
output projection splits its rows among the copies. The numbers inside a head
are contracted, query against key, and divided by the square root of how many
there are. So the query's columns are split among copies, and scaled by what the
member's root is larger than the mother's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import Node
from keras_mothernets.rules.arguments import flag_of, same_places, tensors_of
from keras_mothernets.rules.axes import Axis, Product
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Refusal,
    Role,
    Rule,
    Split,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces

_PLACE = "attention runs along it"
_ARGUMENTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


class HeadsRule(Rule):
    """What MultiHeadAttention and GroupQueryAttention share.

    Axes inside the layer come after the outputs: heads of the query, heads of
    key and value, numbers in a key, numbers in a value, then what the output
    projection makes.
    """

    flags = ("use_bias",)
    free = frozenset({"dropout", "flash_attention"})
    counts = True
    sizes: tuple[str, ...] = ()
    """Config entries that tell sizes; the mother has the smallest."""

    key_size = ""
    """The config entry under whose square root scores are divided."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        reason = same_places(first, second, _ARGUMENTS)
        if reason is not None:
            return reason
        sizes = {key: first.config[key] for key in self.sizes}
        changes = super().meet(first, with_config(second, sizes))
        if isinstance(changes, Refusal):
            return changes
        smaller = self.smaller(first, second)
        return {**changes, **{k: size for k, size in smaller.items() if size != sizes[k]}}

    def smaller(self, first: Node, second: Node) -> dict[str, int]:
        """Sizes of the largest layer from which both can be grown."""
        return {key: min(first.config[key], second.config[key]) for key in self.sizes}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        query, key, value = (inputs[place] for place in _read_places(member))
        for axes in (query, key, value):
            for axis in axes[:-1]:
                spaces.pin(axis, _PLACE)
        query_heads, heads, key_axis, value_axis = self.inside(mother, member, spaces)
        _pin_masks(member, inputs, query_heads, spaces)
        made = self.made(mother, member, query, spaces)
        outputs: list[Axes] = [(*query[:-1], *made)]
        if flag_of(member, "return_attention_scores"):
            outputs.append((query_heads, *query[:-1], *key[:-1]))
        return (*outputs, (query_heads, heads, key_axis, value_axis, *made))

    def inside(self, mother: Node, member: Node, spaces: Spaces) -> tuple[Axis, Axis, Axis, Axis]:
        """Fresh axes: heads of the query, heads of key and value, key size, value size."""
        raise NotImplementedError

    def made(self, mother: Node, member: Node, query: Axes, spaces: Spaces) -> Axes:
        """Fresh axes that the output projection makes: as many channels as the query has."""
        return (spaces.new(*spaces.size(query[-1])),)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        query, key, value = (inputs[place][-1] for place in _read_places(member))
        query_heads, heads, key_axis, value_axis, *made = outputs[-1]
        out = tuple(Copy(axis) for axis in made)
        columns: dict[str, tuple[Axis, tuple[Role, Role]]] = {
            "query": (query, (Copy(query_heads), Split(key_axis))),
            "key": (key, (Copy(heads), Copy(key_axis))),
            "value": (value, (Copy(heads), Copy(value_axis))),
            "gate": (query, (Copy(query_heads), Copy(value_axis))),
        }
        roles: dict[str, tuple[Role, ...]] = {
            "attention_output/kernel": (Split(query_heads), Split(value_axis), *out),
            "attention_output/bias": out,
        }
        for name, (read, own) in columns.items():
            roles[f"{name}/kernel"] = (Split(read), *own)
            roles[f"{name}/bias"] = own
        return roles

    def rebase(
        self, mother: Node, member: Node, values: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        ours, theirs = mother.config[self.key_size], member.config[self.key_size]
        if ours == theirs:
            return values
        dtype = str(values["query/kernel"].dtype)
        factor = _inverse_root(ours, dtype) / _inverse_root(theirs, dtype)
        scaled = {name: value * factor for name, value in values.items() if "query/" in name}
        return {**values, **scaled}

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("attention_output/kernel", "attention_output/bias")


class MultiHeadAttentionRule(HeadsRule):
    """MultiHeadAttention: number of heads, key size and value size may all grow."""

    sizes = ("num_heads", "key_dim", "value_dim")
    key_size = "key_dim"

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        ours, theirs = (_output_shape(node) for node in (first, second))
        if ours is None or theirs is None or len(ours) != len(theirs):
            return super().meet(first, second)
        least = tuple(min(pair) for pair in zip(ours, theirs, strict=True))
        alike = with_config(second, {"output_shape": first.config["output_shape"]})
        changes = super().meet(first, alike)
        if isinstance(changes, Refusal) or least == ours:
            return changes
        return {**changes, "output_shape": least}

    def inside(self, mother: Node, member: Node, spaces: Spaces) -> tuple[Axis, Axis, Axis, Axis]:
        heads, key, value = (
            spaces.new(mother.config[size], member.config[size]) for size in self.sizes
        )
        return heads, heads, key, value

    def made(self, mother: Node, member: Node, query: Axes, spaces: Spaces) -> Axes:
        ours, theirs = _output_shape(mother), _output_shape(member)
        if ours is None or theirs is None:
            return super().made(mother, member, query, spaces)
        return tuple(spaces.new(*pair) for pair in zip(ours, theirs, strict=True))

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        old = _output_shape(node)
        new = None if old is None else tuple(sizes[-len(old) :])
        return {} if new == old else {"output_shape": new}


class GroupQueryAttentionRule(HeadsRule):
    """GroupQueryAttention: heads of the query stand in groups, one per head of key and value."""

    sizes = ("head_dim", "num_query_heads", "num_key_value_heads")
    key_size = "head_dim"

    def smaller(self, first: Node, second: Node) -> dict[str, int]:
        groups = min(node.config["num_key_value_heads"] for node in (first, second))
        in_group = min(_in_group(node) for node in (first, second))
        head = min(node.config["head_dim"] for node in (first, second))
        return {
            "head_dim": head,
            "num_query_heads": groups * in_group,
            "num_key_value_heads": groups,
        }

    def inside(self, mother: Node, member: Node, spaces: Spaces) -> tuple[Axis, Axis, Axis, Axis]:
        groups = spaces.new(
            mother.config["num_key_value_heads"], member.config["num_key_value_heads"]
        )
        in_group = spaces.new(_in_group(mother), _in_group(member))
        head = spaces.new(mother.config["head_dim"], member.config["head_dim"])
        return Product((groups, in_group)), groups, head, head


class AttentionRule(Rule):
    """Attention: query and key are multiplied without weights between, so both are pinned.

    The value's channels pass. Where value and key are one tensor they are pinned too.
    """

    free = frozenset({"dropout"})

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        query, value, key = _triple(member, inputs)
        for axes in (query, value, key):
            for axis in axes[:-1]:
                spaces.pin(axis, _PLACE)
        for place in tensors_of(member, "mask"):
            for axis in inputs[place]:
                spaces.pin(axis, "it is a mask")
        self.contract(member, query[-1], key[-1], spaces)
        outputs: list[Axes] = [(*query[:-1], value[-1])]
        if flag_of(member, "return_attention_scores"):
            outputs.append((*query[:-1], *key[:-1]))
        return tuple(outputs)

    def contract(self, member: Node, query: Axis, key: Axis, spaces: Spaces) -> None:
        """Note what summing over the channels of query and key asks of them."""
        for axis in (query, key):
            spaces.pin(axis, "attention sums over it, which counts every copy")


class AdditiveAttentionRule(AttentionRule):
    """AdditiveAttention: its scale has a weight per channel, which copies share."""

    def contract(self, member: Node, query: Axis, key: Axis, spaces: Spaces) -> None:
        if member.config["use_scale"]:
            spaces.join(query, key)
        else:
            super().contract(member, query, key, spaces)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {"scale": (Split(_triple(member, inputs)[0][-1]),)}


class DotRule(Rule):
    """Dot: what is summed over is pinned, the other channels pass."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axes = member.config["axes"]
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        out: list[Axis] = []
        for axis, given in zip(pair, inputs, strict=True):
            place = axis % (len(given) + 1) - 1
            spaces.pin(given[place], "Dot sums over it, which counts every copy")
            out += [other for number, other in enumerate(given) if number != place]
        # Of two vectors Keras keeps an axis of size one.
        return (tuple(out) or (spaces.fixed(1, 1, "Dot makes it"),),)


def _read_places(node: Node) -> tuple[int, int, int]:
    """Places among the inputs of query, key and value; the key is the value where not given."""
    (query,), (value,) = tensors_of(node, "query"), tensors_of(node, "value")
    key = tensors_of(node, "key") or (value,)
    return query, key[0], value


def _pin_masks(node: Node, inputs: Sequence[Axes], heads: Axis, spaces: Spaces) -> None:
    for argument in _ARGUMENTS[3:]:
        for place in tensors_of(node, argument):
            for axis in inputs[place]:
                spaces.pin(axis, "it is a mask")
            # A mask of `(heads, queries, keys)` tells heads apart.
            if len(inputs[place]) > 2 and spaces.size(inputs[place][0]) != (1, 1):
                spaces.pin(heads, "a mask tells the heads apart")


def _triple(node: Node, inputs: Sequence[Axes]) -> tuple[Axes, Axes, Axes]:
    places = tensors_of(node, "inputs")
    query, value = inputs[places[0]], inputs[places[1]]
    return query, value, inputs[places[2]] if len(places) > 2 else value


def _output_shape(node: Node) -> tuple[int, ...] | None:
    shape = node.config["output_shape"]
    return None if shape is None else tuple(shape)


def _inverse_root(size: int, dtype: str) -> float:
    """The factor on scores as Keras has it: backends round it, TensorFlow to float32 always."""
    factor = keras.ops.cast(1.0 / math.sqrt(float(size)), dtype)
    return float(keras.ops.convert_to_numpy(factor))


def _in_group(node: Node) -> int:
    return int(node.config["num_query_heads"]) // int(node.config["num_key_value_heads"])
