"""How many parameters a network has that is known by its layer vector only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_mothernets.clustering.vectors import Layout, Unit, read_units
from keras_mothernets.graph import Architecture, Node
from keras_mothernets.rules import Copy, Spaces, Split, Taps, rule_for, with_config


class Sizes:
    """Counts parameters of networks that are like one member but smaller.

    Args:
        architecture: The member; it says what layers there are, with a bias or without.
        layout: How its layer vector is padded.

    Example:
        >>> import keras
        >>> from keras_mothernets.clustering.vectors import layer_vector
        >>> from keras_mothernets.graph import read
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
        >>> network = read(keras.Sequential(layers))
        >>> layout = Layout.of([layer_vector(network)])
        >>> Sizes(network, layout).count(layout.array([[(3,)], [(2,)]]))
        23
    """

    def __init__(self, architecture: Architecture, layout: Layout) -> None:
        blocks = read_units(architecture)
        self._rows: list[tuple[int, Unit]] = [
            (start + number, unit)
            for start, block in zip(layout.starts, blocks, strict=False)
            for number, unit in enumerate(block)
        ]
        of_units = sum(
            node.num_params for _, unit in self._rows for node in (unit.node, *unit.followers)
        )
        self._constant = architecture.num_params - of_units
        self._known: dict[tuple[int, int, tuple[int, ...]], int] = {}

    def count(self, vector: np.ndarray) -> int:
        """Parameters of the network that a padded vector describes; zero rows are no layers."""
        total, made, member_made = self._constant, 0, 0
        for number, (row, unit) in enumerate(self._rows):
            read = _channels(unit.node)
            # A Flatten in between reads each channel once per position.
            inputs = made * read // member_made if member_made else read
            entry = tuple(vector[row].tolist())[-len(unit.entry) :]
            if entry[-1]:
                key = (number, inputs, entry)
                if key not in self._known:
                    self._known[key] = _unit_params(unit, inputs, entry)
                total += self._known[key]
                made = entry[-1]
            member_made = unit.width
        return total


def _unit_params(unit: Unit, inputs: int, entry: tuple[int, ...]) -> int:
    *kernel, width = entry
    rule = rule_for(unit.node)
    assert rule.width is not None
    own = unit.node.config[rule.width]
    # A depthwise convolution has a multiplier where others have filters.
    changes: dict[str, Any] = {rule.width: width if own == unit.width else max(width // inputs, 1)}
    if kernel:
        changes["kernel_size"] = tuple(kernel)
    total = _node_params(with_config(unit.node, changes), unit.node, inputs)
    return total + sum(_node_params(node, node, width) for node in unit.followers)


def _node_params(smaller: Node, node: Node, inputs: int) -> int:
    """Parameters of a call on another number of input channels, as its rule describes them."""
    rule, spaces = rule_for(node), Spaces()
    channel = rule.channel_axis(node)
    axes = tuple(
        spaces.new(inputs if position == channel else size, size)
        for position, size in enumerate(node.input_shapes[0])
    )
    outputs = rule.flow(smaller, node, [axes], spaces)
    roles = rule.roles(smaller, node, [axes], outputs)
    total = 0
    for name, shape in node.layer.variables.items():
        sizes = list(shape)
        for position, role in enumerate(roles.get(name, ())):
            if isinstance(role, Taps):
                sizes[position] = smaller.config["kernel_size"][position]
            elif isinstance(role, (Copy, Split)):
                sizes[position] = spaces.size(role.axis)[0] or shape[position]
        total += math.prod(sizes)
    return total


def _channels(node: Node) -> int:
    """Number of channels that a call reads; 1 where it reads none (Embedding)."""
    channel, shape = rule_for(node).channel_axis(node), node.input_shapes[0]
    return int(shape[channel] or 1) if channel < len(shape) else 1
