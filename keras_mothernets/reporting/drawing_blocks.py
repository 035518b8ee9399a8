"""What a drawing of a network shows: its stages, and in them blocks, forks and repeats.

Blocks stand for the layers that hold matrices or kernels. Normalisations, activations and poolings
belong to the block before them and are not drawn; a fork is a region whose branches meet again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from keras import layers

from keras_mothernets.graph import Architecture, Chain, Node, Region, counted
from keras_mothernets.surgery.stages import stages

How = Literal["inherited", "inserted", "branch"]

# They may hold arrays of more than one axis, but they make no channels.
_NO_BLOCKS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
    layers.PReLU,
    layers.RMSNormalization,
)
_SYMBOLS = {"Add": "+", "Concatenate": "c", "Multiply": "\N{MULTIPLICATION SIGN}"}
_OTHER_SYMBOL = "\N{BULLET}"
# The first word that is found in the name of a layer's class tells what kind it is.
_KINDS = {
    "Depthwise": "depthwise convolution",
    "Separable": "separable convolution",
    "Conv": "convolution",
    "Attention": "attention",
    "Dense": "dense",
    "Embedding": "embedding",
    "LSTM": "recurrent",
    "GRU": "recurrent",
    "RNN": "recurrent",
    "Bidirectional": "recurrent",
}
_SHORT = {"depthwise convolution": "dw ", "separable convolution": "sep "}
REGION = "indivisible region"
OTHER = "other"


@dataclass(frozen=True)
class Origin:
    """Where a block of a hatched member comes from.

    Args:
        how: "inherited" from a layer of the mother's; "inserted" as an identity; "branch" on a new
            branch that gives nothing at first.
        kept: How many of its channels are the mother's; 0 where it is not inherited.
        kernel: The mother's kernel size where the member's is larger.
    """

    how: How
    kept: int = 0
    kernel: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Block:
    """A layer, or an indivisible region, as it is drawn; equal ones look alike.

    Args:
        kind: What it is in words, for its colour: "convolution", "dense", ...
        label: Lines of text below it, such as its kernel size.
        channels: Channels or units of its output.
        kernel: Its kernel size, if it has one.
        origin: Where it comes from, in a drawing of a hatching.
    """

    kind: str
    label: tuple[str, ...]
    channels: int
    kernel: tuple[int, ...] = ()
    origin: Origin | None = None

    @property
    def is_wider(self) -> bool:
        """Whether it has the mother's channels and others."""
        origin = self.origin
        return origin is not None and origin.how == "inherited" and origin.kept < self.channels


@dataclass(frozen=True)
class Fork:
    """Branches side by side that meet again.

    Args:
        lanes: The branches that hold blocks.
        has_shortcut: Whether a branch without blocks goes around them.
        symbol: The sign of the merge.
    """

    lanes: tuple[tuple[Sketch, ...], ...]
    has_shortcut: bool
    symbol: str


@dataclass(frozen=True)
class Repeat:
    """Things that come several times in a row, to be drawn once."""

    items: tuple[Sketch, ...]
    count: int


Sketch = Block | Fork | Repeat


@dataclass(frozen=True)
class Column:
    """A stage: what is done at one resolution."""

    size: str
    items: tuple[Sketch, ...]


OriginOf = Callable[[Node | Region], Origin | None]


def columns(architecture: Architecture, origin_of: OriginOf | None = None) -> list[Column]:
    """A network's stages, those without blocks too.

    Args:
        architecture: Any architecture.
        origin_of: Tells where a call or an indivisible region comes from.
    """
    of = origin_of or (lambda item: None)
    return [
        Column(_size_text(stage.size), tuple(_sketches(stage.items, of)))
        for stage in stages(architecture)
    ]


def blocks_of(items: Sequence[Sketch]) -> Iterator[Block]:
    """All blocks, each as often as it is drawn."""
    for item in items:
        if isinstance(item, Block):
            yield item
        elif isinstance(item, Repeat):
            yield from blocks_of(item.items)
        else:
            for lane in item.lanes:
                yield from blocks_of(lane)


def forks_of(items: Sequence[Sketch]) -> Iterator[Fork]:
    """All forks, those within forks too."""
    for item in items:
        if isinstance(item, Repeat):
            yield from forks_of(item.items)
        elif isinstance(item, Fork):
            yield item
            for lane in item.lanes:
                yield from forks_of(lane)


def channels_of(node: Node) -> int:
    """Channels or units of what a call gives, 1 where that is not known."""
    shape = node.output_shapes[0]
    axis = 0 if node.config.get("data_format") == "channels_first" else -1
    return (shape[axis] if shape else 1) or 1


def kernel_of(node: Node) -> tuple[int, ...]:
    """The kernel size of a call's layer, empty if it has none."""
    size = node.config.get("kernel_size", ())
    return tuple(size) if isinstance(size, (tuple, list)) else (size,)


def kernel_text(kernel: Sequence[int]) -> str:
    """A kernel size as it is written below blocks.

    Example:
        >>> kernel_text((3, 3)), kernel_text((5,))
        ('3x3', 'k5')
    """
    return "x".join(map(str, kernel)) if len(kernel) > 1 else f"k{kernel[0]}"


def makes_block(node: Node) -> bool:
    """Whether a call is drawn: its layer holds a matrix or a kernel."""
    if node.activation is not None or issubclass(node.layer.cls, _NO_BLOCKS):
        return False
    return any(len(shape) > 1 for shape in node.layer.variables.values())


def _size_text(size: str) -> str:
    return f"{size} steps" if size.isdecimal() or size == "?" else size


def _sketches(items: Sequence[Node | Region], of: OriginOf) -> Iterator[Sketch]:
    for item in items:
        if isinstance(item, Region):
            found = _fork(item, of) if item.merge is not None else _region_block(item, of)
            if found is not None:
                yield found
        elif makes_block(item):
            yield _block(item, of)


def _block(node: Node, of: OriginOf) -> Block:
    kind = _kind(node)
    return Block(kind, _label(node, kind), channels_of(node), kernel_of(node), of(node))


def _region_block(region: Region, of: OriginOf) -> Block | None:
    if not any(makes_block(node) for node in region.nodes):
        return None  # the arithmetic of an activation, for example
    count = len({node.layer.path for node in region.nodes})
    label = ("indivisible", "region of", counted(count, "layer"))
    block = Block(REGION, label, channels_of(region.nodes[-1]), origin=of(region))
    if block.origin is None or not block.is_wider:
        return block
    return replace(block, label=(*label, f"{block.origin.kept / block.channels:.0%} inherited"))


def _fork(region: Region, of: OriginOf) -> Fork | Block | None:
    assert region.merge is not None
    lanes = [lane for branch in region.branches if (lane := _lane(branch, of))]
    if not lanes:
        return _block(region.merge, of) if makes_block(region.merge) else None
    # The longest lane stands at the bottom, where the network goes on.
    lanes.sort(key=lambda lane: len(list(blocks_of(lane))), reverse=True)
    symbol = _SYMBOLS.get(region.merge.layer.cls.__name__, _OTHER_SYMBOL)
    return Fork(tuple(lanes), len(lanes) < len(region.branches), symbol)


def _lane(branch: Chain, of: OriginOf) -> tuple[Sketch, ...]:
    return tuple(_sketches(branch.items, of))


def _kind(node: Node) -> str:
    name = node.layer.cls.__name__
    return next((kind for word, kind in _KINDS.items() if word in name), OTHER)


def _label(node: Node, kind: str) -> tuple[str, ...]:
    kernel = kernel_of(node)
    if not kernel:
        return (kind,) if kind in ("attention", "dense", "embedding") else _class_label(node)
    lines = [_SHORT.get(kind, "") + kernel_text(kernel)]
    if kind == OTHER:
        lines = [*_class_label(node), *lines]
    strides = node.config.get("strides", 1)
    stride = max(strides) if isinstance(strides, (tuple, list)) else strides
    if stride > 1:
        sign = "\N{MULTIPLICATION SIGN}" if "Transpose" in node.layer.cls.__name__ else "/"
        lines[-1] += f" {sign}{stride}"
    groups = node.config.get("groups") or 1
    return (*lines, f"{groups} groups") if groups > 1 else tuple(lines)


def _class_label(node: Node) -> tuple[str, ...]:
    """The words of a class' name, one on a line: `TimeDistributed` in two lines."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", node.layer.cls.__name__)
    return tuple(words[:3]) or (node.layer.cls.__name__,)
