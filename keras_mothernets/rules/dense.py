"""Rules of layers that multiply the last axis by a matrix: Dense; and of Embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_mothernets.graph import Node
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Keep,
    Refusal,
    Role,
    Rule,
    Split,
    Statistics,
    with_channels,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces


class DenseRule(Rule):
    """Dense: rows of the kernel read the last input axis, columns make the output axis."""

    width = "units"
    flags = ("use_bias",)
    free = frozenset({"activation"})
    is_linear = True

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        made = spaces.new(mother.config["units"], member.config["units"])
        return ((*inputs[0][:-1], made),)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        made = Copy(outputs[0][-1], odd=True)
        return {"kernel": (Split(inputs[0][-1]), made), "bias": (made,)}

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("kernel", "bias")

    def cannot_insert(self, node: Node) -> Refusal | None:
        return None

    def identity_node(self, node: Node, channels: int) -> Node:
        virtual = with_config(node, {"units": channels, "use_bias": False})
        shape = with_channels(node.input_shapes[0], len(node.input_shapes[0]) - 1, channels)
        return replace(virtual, input_shapes=(shape,), output_shapes=(shape,))

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        return {"kernel": np.eye(channels)}


class EmbeddingRule(Rule):
    """Embedding: columns of the table make a new last axis; the vocabulary stays."""

    width = "output_dim"

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        for axis in inputs[0]:
            spaces.pin(axis, "an Embedding reads it as positions of tokens")
        made = spaces.new(mother.config["output_dim"], member.config["output_dim"])
        return ((*inputs[0], made),)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {"embeddings": (Keep(), Copy(outputs[0][-1]))}
