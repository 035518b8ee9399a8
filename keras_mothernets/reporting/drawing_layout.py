"""Where everything in a drawing stands: sketches become positions, in inches.

Of each network there is a row. It runs from left to right along a wire, on which blocks stand; the
height of a block tells its channels. Stages are columns, of one width in all rows. Where a line is
full, all rows go on in a system below, as in a musical score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from keras_mothernets.reporting.drawing_blocks import (
    REGION,
    Block,
    Column,
    Fork,
    Repeat,
    Sketch,
    blocks_of,
    kernel_text,
)

FONT_SIZE = 7.0  # points, of what is written at blocks
TITLE_SIZE = 9.0
LINE = 0.135  # inches from one line of text to the next
TALLEST = 1.1
ARROW = "\N{RIGHTWARDS ARROW}"

_BAR, _REGION_BAR, _GAP = 0.3, 0.8, 0.13
_WIDEST_LINE, _SMALLEST_REST = 12.0, 2.5
_FORK_IN, _FORK_OUT = 0.12, 0.3
_LANE_GAP, _SHORTCUT, _BRACKET = 0.06, 0.13, 0.2
_COLUMN_PAD, _ROW_GAP, _TITLE_ROW = 0.12, 0.2, 0.24
_LINEAR_UP_TO = 16.0  # times the smallest width; more is drawn as square roots


@dataclass(frozen=True)
class Row:
    """One network of a drawing: what is written above it, and its stages."""

    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Scale:
    """How channels become heights.

    Args:
        most: The largest number of channels, which is drawn as `TALLEST`.
        is_linear: Whether heights are in proportion to channels, or to their square roots.
    """

    most: int
    is_linear: bool

    def height(self, channels: float) -> float:
        """The height of so many channels, in inches.

        Example:
            >>> Scale(64, False).height(16) / Scale(64, False).height(64)
            0.5
        """
        share = channels / self.most
        return TALLEST * (share if self.is_linear else math.sqrt(share))


@dataclass(frozen=True)
class PlacedBlock:
    """A block with its left end, the wire on which it stands, its width and height."""

    block: Block
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Text:
    """Words with the middle (or left end) of their base line."""

    words: str
    x: float
    y: float
    style: str = "label"


@dataclass(frozen=True)
class Merge:
    """The place where branches meet."""

    symbol: str
    x: float
    y: float


@dataclass(frozen=True)
class Bracket:
    """What comes several times, from `x` to `end`."""

    x: float
    end: float
    y: float


@dataclass(frozen=True)
class Band:
    """The ground of one stage in one row."""

    x: float
    y: float
    width: float
    height: float
    number: int


@dataclass
class Layout:
    """All that is drawn, by kind; `y` is 0 at the top and falls."""

    scale: Scale
    width: float = 0.0
    height: float = 0.0
    blocks: list[PlacedBlock] = field(default_factory=list)
    wires: list[tuple[tuple[float, float], ...]] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    brackets: list[Bracket] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def text_width(words: str, size: float = FONT_SIZE, *, em: float = 0.64) -> float:
    """About how wide a line of text is, in inches; rather more than less.

    Args:
        words: The text.
        size: Font size in points.
        em: Mean width of a letter, in font sizes; bold letters and digits are as wide as this.
    """
    return len(words) * size * em / 72


def lay_out(rows: Sequence[Row]) -> Layout:
    """Give everything its place.

    Args:
        rows: The networks, from top to bottom.

    Returns:
        A `Layout` whose `width` and `height` hold all of it.
    """
    rows = _without_empty(rows)
    layout = Layout(_scale(rows))
    _Pen(layout).rows(rows)
    return layout


def _scale(rows: Sequence[Row]) -> Scale:
    widths = [b.channels for row in rows for column in row.columns for b in blocks_of(column.items)]
    most, least = max(widths, default=1), min(widths, default=1)
    return Scale(most, most <= _LINEAR_UP_TO * least)


def _without_empty(rows: Sequence[Row]) -> list[Row]:
    """Take away stages that have blocks in no row."""
    if not _agree(rows):
        return [
            Row(row.title, tuple(column for column in row.columns if column.items)) for row in rows
        ]
    count = len(rows[0].columns)
    used = [n for n in range(count) if any(row.columns[n].items for row in rows)]
    return [Row(row.title, tuple(row.columns[n] for n in used)) for row in rows]


def _agree(rows: Sequence[Row]) -> bool:
    """Whether all rows have the same stages, so that they can stand below each other."""
    return len({tuple(column.size for column in row.columns) for row in rows}) == 1


@dataclass(frozen=True)
class _Box:
    """The room a sketch needs: its width, and what is above and below its wire."""

    width: float
    above: float
    below: float


@dataclass
class _Pen:
    """Measures sketches and writes their places into a layout."""

    layout: Layout

    def rows(self, rows: Sequence[Row]) -> None:
        """Place all rows, system by system."""
        y = 0.0
        for number, system in enumerate(_systems(rows, self._column_widths(rows))):
            for row, widths, span in system:
                title = row.title if number == 0 else f"{row.title.split(':')[0]}, continued"
                title = title if row.title else ""
                y = self._row(title, row.columns[span], widths[span], y) - _ROW_GAP
        self.layout.height = -y - _ROW_GAP

    def _column_widths(self, rows: Sequence[Row]) -> list[list[float]]:
        own = [[self._column_width(column) for column in row.columns] for row in rows]
        if not _agree(rows):
            return own
        common = [max(widths) for widths in zip(*own, strict=True)]
        return [common for _ in rows]

    def _column_width(self, column: Column) -> float:
        content = sum(self._box(item).width for item in column.items)
        return max(content, text_width(column.size)) + 2 * _COLUMN_PAD

    def _row(
        self, title: str, columns: Sequence[Column], widths: Sequence[float], top: float
    ) -> float:
        boxes = [_line(map(self._box, column.items)) for column in columns]
        above, below = (max((getattr(box, side) for box in boxes), default=0.0) for side in _SIDES)
        if title:
            self.layout.texts.append(Text(title, 0.0, top - _TITLE_ROW * 0.7, "title"))
        ground = top - (_TITLE_ROW if title else 0.0)
        wire = ground - LINE - 0.12 - above
        bottom = wire - below - 0.05
        x = 0.0
        for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
            self.layout.bands.append(Band(x, bottom, width, ground - bottom, number))
            self.layout.texts.append(Text(column.size, x + width / 2, ground - LINE, "size"))
            self.layout.wires.append(((x, wire), (x + width, wire)))
            self._chain(column.items, x + _COLUMN_PAD, wire)
            x += width
        self.layout.width = max(self.layout.width, x, text_width(title, TITLE_SIZE))
        return bottom

    def _box(self, item: Sketch) -> _Box:
        if isinstance(item, Block):
            texts = [channels_text(item), *label_lines(item)]
            width = max(_bar(item), *(text_width(words) for words in texts)) + _GAP
            below = 0.04 + LINE * len(label_lines(item))
            return _Box(width, self.layout.scale.height(item.channels) + LINE + 0.03, below)
        if isinstance(item, Repeat):
            inside = _line(map(self._box, item.items))
            width = max(inside.width, text_width(_times_text(item.count)) + _GAP)
            return _Box(width, inside.above, inside.below + _BRACKET)
        lanes = [_line(map(self._box, lane)) for lane in item.lanes]
        width = _FORK_IN + max(lane.width for lane in lanes) + _FORK_OUT
        heights = _lane_heights(lanes)
        above = heights[-1] + lanes[-1].above + (_SHORTCUT if item.has_shortcut else 0.0)
        return _Box(width, above, lanes[0].below)

    def _chain(self, items: Sequence[Sketch], x: float, y: float) -> None:
        for item in items:
            box = self._box(item)
            if isinstance(item, Block):
                self._block(item, x, y, box)
            elif isinstance(item, Fork):
                self._fork(item, x, y, box)
            else:
                self._repeat(item, x, y, box)
            x += box.width

    def _block(self, block: Block, x: float, y: float, box: _Box) -> None:
        bar, middle = _bar(block), x + box.width / 2
        height = self.layout.scale.height(block.channels)
        self.layout.blocks.append(PlacedBlock(block, middle - bar / 2, y, bar, height))
        self.layout.texts.append(Text(channels_text(block), middle, y + height + 0.04, "width"))
        for number, words in enumerate(label_lines(block), start=1):
            self.layout.texts.append(Text(words, middle, y - LINE * number))

    def _repeat(self, repeat: Repeat, x: float, y: float, box: _Box) -> None:
        inside = _line(map(self._box, repeat.items))
        self._chain(repeat.items, x + (box.width - inside.width) / 2, y)
        below = y - inside.below - 0.05
        self.layout.brackets.append(Bracket(x + 0.05, x + box.width - 0.05, below))
        words = _times_text(repeat.count)
        self.layout.texts.append(Text(words, x + box.width / 2, below - LINE, "times"))

    def _fork(self, fork: Fork, x: float, y: float, box: _Box) -> None:
        lanes = [_line(map(self._box, lane)) for lane in fork.lanes]
        begin, end = x + 0.06, x + box.width - 0.17
        self.layout.merges.append(Merge(fork.symbol, end, y))
        body = box.width - _FORK_IN - _FORK_OUT
        for lane, inside, height in zip(fork.lanes, lanes, _lane_heights(lanes), strict=True):
            if height:
                self._way(begin, end, y, y + height)
            self._chain(lane, x + _FORK_IN + (body - inside.width) / 2, y + height)
        if fork.has_shortcut:
            self._way(begin, end, y, y + box.above - 0.05)

    def _way(self, begin: float, end: float, low: float, high: float) -> None:
        self.layout.wires.append(((begin, low), (begin, high), (end, high), (end, low)))


_SIDES = ("above", "below")
_Part = tuple[Row, list[float], slice]


def _systems(rows: Sequence[Row], widths: Sequence[list[float]]) -> Iterator[list[_Part]]:
    """The rows in parts that are no wider than a line, if possible; the last is no small rest."""
    if not _agree(rows):
        yield [(row, own, slice(None)) for row, own in zip(rows, widths, strict=True)]
        return
    start, used = 0, 0.0
    for number, width in enumerate(widths[0]):
        is_full = number > start and used + width > _WIDEST_LINE
        if is_full and sum(widths[0][number:]) > _SMALLEST_REST:
            yield [(row, widths[0], slice(start, number)) for row in rows]
            start, used = number, 0.0
        used += width
    yield [(row, widths[0], slice(start, None)) for row in rows]


def _line(boxes: Iterator[_Box]) -> _Box:
    """The room of boxes one after the other."""
    found = list(boxes)
    sides = (max((getattr(box, side) for box in found), default=0.0) for side in _SIDES)
    return _Box(sum(box.width for box in found), *sides)


def _lane_heights(lanes: Sequence[_Box]) -> list[float]:
    """How high above the first lane's wire the wires of all lanes are."""
    heights = [0.0]
    for lower, upper in zip(lanes, lanes[1:], strict=False):
        heights.append(heights[-1] + lower.above + upper.below + _LANE_GAP)
    return heights


def _bar(block: Block) -> float:
    return _REGION_BAR if block.kind == REGION else _BAR


def _times_text(count: int) -> str:
    return f"x {count}"


def channels_text(block: Block) -> str:
    """What is written above a block: its channels, and the mother's where they were fewer."""
    origin = block.origin
    if block.kind == REGION or origin is None or not block.is_wider:
        return str(block.channels)
    return f"{origin.kept}{ARROW}{block.channels}"


def label_lines(block: Block) -> tuple[str, ...]:
    """What is written below a block, with the mother's kernel where that was smaller."""
    if block.origin is None or block.origin.kernel is None:
        return block.label
    return (f"{kernel_text(block.origin.kernel)}{ARROW}", *block.label)
