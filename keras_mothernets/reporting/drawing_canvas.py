"""Draws a layout: the only part of our drawings that knows matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from keras_mothernets.reporting.drawing_layout import (
    FONT_SIZE,
    LINE,
    Layout,
    PlacedBlock,
    Scale,
    text_width,
)
from keras_mothernets.reporting.style import FAINT, INK, save

_MARGIN = 0.2
_NARROWEST = 7.0
_HEAD_SIZE, _LEGEND_SIZE = 11.0, 8.0
_HEAD_LINE, _LEGEND_LINE = 0.24, 0.21
_BOLD, _PLAIN = 0.68, 0.57  # mean width of a letter, in font sizes
_STYLES: dict[str, dict] = {
    "title": {"fontsize": 9.0, "ha": "left", "weight": "bold"},
    "size": {"fontsize": FONT_SIZE, "ha": "center", "color": "#666666"},
    "width": {"fontsize": FONT_SIZE, "ha": "center"},
    "label": {"fontsize": FONT_SIZE, "ha": "center"},
    "times": {"fontsize": FONT_SIZE, "ha": "center", "weight": "bold"},
}


@dataclass(frozen=True)
class Fill:
    """How an area looks, and what that means in the legend."""

    meaning: str
    colour: str
    hatch: str = ""
    edge: str = "white"


@dataclass(frozen=True)
class Area:
    """A part of a block: shares of its width and height from the lower left corner."""

    fill: Fill
    left: float = 0.0
    right: float = 1.0
    low: float = 0.0
    high: float = 1.0


# The parts that a block is painted in.
Paint = Callable[[PlacedBlock, Scale], Sequence[Area]]


class Drawing(Figure):
    """A matplotlib figure that notebooks show, whether or not `pyplot` was imported."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def draw(
    layout: Layout, paint: Paint, *, title: str, notes: Sequence[str], legend: Sequence[Fill]
) -> Figure:
    """Draw a layout.

    Args:
        layout: Where everything stands.
        paint: Tells the parts of a block.
        title: One line at the top; it is broken where it is too long.
        notes: Sentences below the networks.
        legend: What to explain, in this order.
    """
    width = max(layout.width, _NARROWEST)
    head = _wrapped(title, width, _HEAD_SIZE, _BOLD)
    lines = [line for note in notes for line in _wrapped(note, width, _LEGEND_SIZE, _PLAIN)]
    keys = _key_lines(legend, width)
    top = _HEAD_LINE * len(head) + 0.12
    foot = 0.12 + _LEGEND_LINE * (len(keys) + len(lines))
    height = top + layout.height + foot
    figure, axes = _sheet(width, height)
    for number, words in enumerate(head, start=1):
        y = height - _HEAD_LINE * number + 0.06
        axes.text(0, y, words, fontsize=_HEAD_SIZE, weight="bold", color=INK, va="baseline")
    _draw_rows(axes, layout, paint, height - top)
    y = height - top - layout.height - 0.12
    for key_line in keys:
        y -= _LEGEND_LINE
        _draw_keys(axes, key_line, y)
    for words in lines:
        y -= _LEGEND_LINE
        axes.text(0, y + 0.04, words, fontsize=_LEGEND_SIZE, color="#555555", va="baseline")
    return figure


def write(figure: Figure, path: str | Path | None) -> None:
    """Write a drawing if there is a path; its words stay words in `.svg` and `.pdf`.

    Raises:
        MotherNetsError: It cannot be written there.
    """
    if path is not None:
        with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
            save(figure, path)


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure whose coordinates are inches, with a margin around."""
    size = (width + 2 * _MARGIN, height + 2 * _MARGIN)
    figure = Drawing(figsize=size, dpi=150)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-_MARGIN, width + _MARGIN)
    axes.set_ylim(-_MARGIN, height + _MARGIN)
    axes.axis("off")
    return figure, axes


def _draw_rows(axes: Axes, layout: Layout, paint: Paint, top: float) -> None:
    for band in layout.bands:
        colour = "#f1f1f1" if band.number % 2 == 0 else "#e4e4e4"
        at = (band.x, top + band.y)
        axes.add_patch(Rectangle(at, band.width, band.height, facecolor=colour, edgecolor="none"))
    for wire in layout.wires:
        xs, ys = [x for x, _ in wire], [top + y for _, y in wire]
        axes.add_line(Line2D(xs, ys, color=FAINT, linewidth=1.0))
    for placed in layout.blocks:
        for area in paint(placed, layout.scale):
            _draw_area(axes, placed, area, top)
    for merge in layout.merges:
        axes.add_patch(
            Circle((merge.x, top + merge.y), 0.075, facecolor="white", edgecolor=INK,
                   linewidth=0.8, zorder=3)
        )  # fmt: skip
        axes.text(
            merge.x, top + merge.y, merge.symbol, fontsize=FONT_SIZE, ha="center",
            va="center_baseline", color=INK, zorder=4,
        )  # fmt: skip
    for bracket in layout.brackets:
        y, tick = top + bracket.y, 0.04
        xs = [bracket.x, bracket.x, bracket.end, bracket.end]
        axes.add_line(Line2D(xs, [y + tick, y, y, y + tick], color=INK, linewidth=0.9))
    for text in layout.texts:
        style = {"color": INK, "va": "baseline", **_STYLES[text.style]}
        axes.text(text.x, top + text.y, text.words, **style)


def _draw_area(axes: Axes, placed: PlacedBlock, area: Area, top: float) -> None:
    _rectangle(
        axes,
        area.fill,
        placed.x + area.left * placed.width,
        top + placed.y + area.low * placed.height,
        (area.right - area.left) * placed.width,
        (area.high - area.low) * placed.height,
    )


def _rectangle(axes: Axes, fill: Fill, x: float, y: float, width: float, height: float) -> None:
    # The pattern takes the colour of the edge; the frame is drawn once more around it.
    axes.add_patch(
        Rectangle((x, y), width, height, facecolor=fill.colour, edgecolor=fill.edge,
                  hatch=fill.hatch, linewidth=0.0, zorder=2)
    )  # fmt: skip
    axes.add_patch(
        Rectangle((x, y), width, height, facecolor="none", edgecolor=INK, linewidth=0.7, zorder=2)
    )


def _key_lines(legend: Sequence[Fill], width: float) -> list[list[Fill]]:
    """The entries of a legend in lines that are not too wide."""
    lines: list[list[Fill]] = []
    used = 0.0
    for fill in legend:
        if not lines or used + _key_width(fill) > width:
            lines.append([])
            used = 0.0
        lines[-1].append(fill)
        used += _key_width(fill)
    return lines


def _key_width(fill: Fill) -> float:
    return 0.42 + text_width(fill.meaning, _LEGEND_SIZE, em=_PLAIN) + 0.2


def _draw_keys(axes: Axes, fills: Sequence[Fill], y: float) -> None:
    x = 0.0
    for fill in fills:
        _rectangle(axes, fill, x, y + 0.02, 0.32, LINE)
        axes.text(x + 0.4, y + 0.045, fill.meaning, fontsize=_LEGEND_SIZE, color=INK, va="baseline")
        x += _key_width(fill)


def _wrapped(words: str, width: float, size: float, em: float) -> list[str]:
    return textwrap.wrap(words, int(width / text_width("m", size, em=em)))
