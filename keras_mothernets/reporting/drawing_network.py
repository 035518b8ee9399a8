"""The picture of one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from matplotlib.figure import Figure

from keras_mothernets.graph import counted, read
from keras_mothernets.member import Member, as_model
from keras_mothernets.reporting.drawing_blocks import OTHER, REGION, columns
from keras_mothernets.reporting.drawing_canvas import Area, Fill, draw, write
from keras_mothernets.reporting.drawing_layout import Layout, PlacedBlock, Row, Scale, lay_out
from keras_mothernets.reporting.drawing_notes import notes
from keras_mothernets.reporting.drawing_repeats import collapse_columns, is_deep

_FILLS = {
    "convolution": Fill("convolution", "#0072B2"),
    "depthwise convolution": Fill("depthwise convolution (dw)", "#56B4E9", "//"),
    "separable convolution": Fill("separable convolution (sep)", "#56B4E9", "\\\\"),
    "dense": Fill("dense", "#E69F00", "..", "#222222"),
    "attention": Fill("attention", "#CC79A7", "xx"),
    "recurrent": Fill("recurrent", "#009E73", "--"),
    "embedding": Fill("embedding", "#D55E00", "||"),
    REGION: Fill("indivisible region", "#ffffff", "xxx", "#8a8a8a"),
    OTHER: Fill("other layers", "#cccccc"),
}


def plot_architecture(model: keras.Model | Member, path: str | Path | None = None) -> Figure:
    """Draw a network, from its input on the left to its output on the right.

    Columns are stages, each at one resolution. Blocks are layers with weights: the height tells
    channels or units (which also stand above), kernel sizes stand below. Branches run side by side
    until they meet in a circle, shortcuts run above. In deep networks units that repeat are drawn
    once, with how often they come. A part whose branches cross is one block, an indivisible region.

    Args:
        model: A built Functional or Sequential model, or `km.Member`.
        path: Where to write the picture, if anywhere; the ending tells the format (.png, .svg,
            .pdf).

    Returns:
        A matplotlib `Figure`, which notebooks show.

    Raises:
        GraphError: The model cannot be read.
        MotherNetsError: The picture cannot be written there.

    Example:
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
        >>> figure = plot_architecture(keras.Sequential(layers))
        >>> float(figure.get_figwidth())
        7.4
    """
    architecture = read(as_model(model))
    stages = columns(architecture)
    if is_deep(stages):
        stages = collapse_columns(stages)
    name = model.label if isinstance(model, Member) else architecture.name
    layers = counted(len(architecture.layers), "layer")
    layout = lay_out([Row("", tuple(stages))])
    title = f"{name}: {architecture.num_params:,} parameters in {layers}"
    figure = draw(
        layout, _paint, title=title, notes=notes(layout, [stages]), legend=_legend(layout)
    )
    write(figure, path)
    return figure


def _paint(placed: PlacedBlock, scale: Scale) -> Sequence[Area]:
    return [Area(_FILLS[placed.block.kind])]


def _legend(layout: Layout) -> list[Fill]:
    used = {placed.block.kind for placed in layout.blocks}
    return [fill for kind, fill in _FILLS.items() if kind in used]
