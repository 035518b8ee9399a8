"""Layer vectors: a network as numbers, block by block, so that networks can be compared fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_mothernets.graph import Architecture, Node
from keras_mothernets.rules import rule_for

Entry = tuple[int, ...]
"""A layer: its kernel sizes, then its filters; or its units alone."""

Block = tuple[Entry, ...]


@dataclass(frozen=True)
class Unit:
    """A layer that makes channels, and the calls with variables that come after it.

    Args:
        entry: What the layer vector says of it.
        node: The call of the layer.
        followers: Normalisations and the like up to the next such layer.
    """

    entry: Entry
    node: Node
    followers: tuple[Node, ...] = ()

    @property
    def width(self) -> int:
        """Number of channels that come out."""
        return self.entry[-1]


def read_units(architecture: Architecture) -> tuple[tuple[Unit, ...], ...]:
    """Read a network as blocks of units.

    A block ends where a call stands that could never be inserted as an identity:
    pooling, a stride, Flatten, a reshape. Such calls are the same in all networks
    that share a mother, so blocks of these networks correspond by number. A
    strided convolution is the first of its block. The output layer is a block of
    its own: it always stays.

    Args:
        architecture: Any architecture.

    Returns:
        For each block its units in order; a block may be empty.
    """
    blocks: list[list[Unit]] = [[]]
    last = blocks[0]
    for node in architecture.nodes:
        rule = rule_for(node)
        insertable = rule.is_transparent or node.activation is not None
        if not insertable and rule.cannot_insert(node) is not None:
            blocks.append([])
        if rule.width is not None and node.activation is None:
            last = blocks[-1]
            last.append(Unit(_entry(node), node))
        elif node.num_params and last:
            last[-1] = Unit(last[-1].entry, last[-1].node, (*last[-1].followers, node))
    if last:
        blocks.append([last.pop()])
    return tuple(tuple(block) for block in blocks)


def layer_vector(architecture: Architecture) -> tuple[Block, ...]:
    """The layer vector of a network, before padding.

    Args:
        architecture: Any architecture.

    Returns:
        For each block the entries of its layers: `(*kernel_size, filters)` of a
        convolution, `(units,)` of a Dense layer. Normalisations, activations
        and the like have none.

    Example:
        >>> import keras
        >>> from keras_mothernets.graph import read
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
        >>> layer_vector(read(keras.Sequential(layers)))
        (((8,),), ((2,),))

    Source: Wasay et al. 2020, clustering. There the vector is padded with zeros
    per block and concatenated, which `Layout` does.
    """
    return tuple(tuple(unit.entry for unit in block) for block in read_units(architecture))


def skeleton(architecture: Architecture) -> tuple[object, ...]:
    """What networks have in common that differ in nothing but widths and kernel sizes."""
    inputs = tuple((entry.shape, entry.dtype) for entry in architecture.inputs)
    calls = tuple((node.kind, _without_channels(node)) for node in architecture.nodes)
    return (inputs, architecture.output_shapes, calls)


@dataclass(frozen=True)
class Layout:
    """How layer vectors are padded: each block to the longest of any member.

    The MotherNet of some members then is the entry-by-entry minimum of their
    padded vectors: the fewest layers per block, and per position the smallest
    kernel and the fewest filters, since a layer that some member lacks is zero.

    Args:
        lengths: Number of layers of each block.
        columns: Numbers per layer.

    Example:
        >>> layout = Layout.of([[[(8,), (8,)], [(2,)]], [[(16,)], [(2,)]]])
        >>> layout.array([[(16,)], [(2,)]]).tolist()
        [[16], [0], [2]]
    """

    lengths: tuple[int, ...]
    columns: int
    starts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        starts = np.cumsum([0, *self.lengths])[:-1]
        object.__setattr__(self, "starts", tuple(int(start) for start in starts))

    @classmethod
    def of(cls, vectors: Sequence[Sequence[Sequence[Entry]]]) -> Layout:
        """The smallest layout into which all vectors fit."""
        count = max(len(vector) for vector in vectors)
        lengths = [0] * count
        for vector in vectors:
            for number, block in enumerate(vector):
                lengths[number] = max(lengths[number], len(block))
        sizes = [len(entry) for vector in vectors for block in vector for entry in block]
        return cls(tuple(lengths), max(sizes, default=1))

    def array(self, vector: Sequence[Sequence[Entry]]) -> np.ndarray:
        """A padded vector as an array of shape `(layers, columns)`; widths stand last in a row."""
        rows = np.zeros((sum(self.lengths), self.columns), dtype=np.int64)
        for start, block in zip(self.starts, vector, strict=False):
            for number, entry in enumerate(block):
                rows[start + number, self.columns - len(entry) :] = entry
        return rows


def _entry(node: Node) -> Entry:
    kernel = tuple(int(size) for size in node.config.get("kernel_size", ()))
    width = node.output_shapes[0][rule_for(node).channel_axis(node)]
    return (*kernel, int(width or 0))


def _without_channels(node: Node) -> tuple[int | None, ...]:
    if node.activation is not None:
        return ()
    shape, channel = node.output_shapes[0], rule_for(node).channel_axis(node)
    return (*shape[:channel], *shape[channel + 1 :])
