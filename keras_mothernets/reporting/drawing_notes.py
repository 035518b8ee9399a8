"""What a reader must know of the signs in a drawing."""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.reporting.drawing_blocks import REGION, Column, forks_of
from keras_mothernets.reporting.drawing_layout import Layout

_MEANINGS = {
    "+": "+ sum",
    "c": "c concatenation",
    "\N{MULTIPLICATION SIGN}": "\N{MULTIPLICATION SIGN} product",
    "\N{BULLET}": "\N{BULLET} other merge",
}


def notes(layout: Layout, networks: Sequence[Sequence[Column]]) -> list[str]:
    """Sentences about heights, signs and what is left out; only about what there is.

    Args:
        layout: The drawing.
        networks: The stages of each network in it.
    """
    scale = "in proportion to" if layout.scale.is_linear else "by the square root of"
    found = [
        f"Heights are {scale} channels or units (the numbers above). Normalisations, activations"
        " and poolings are not drawn."
    ]
    symbols = {
        fork.symbol for stages in networks for stage in stages for fork in forks_of(stage.items)
    }
    signs = [words for symbol, words in _MEANINGS.items() if symbol in symbols]
    if any("/" in line for placed in layout.blocks for line in placed.block.label):
        signs.append("/2 stride 2")
    if layout.brackets:
        signs.append("x 2 twice in a row, and so on")
    if signs:
        found.append(f"Signs: {'; '.join(signs)}.")
    if any(placed.block.kind == REGION for placed in layout.blocks):
        found.append(
            "An indivisible region has no tensor inside through which everything flows: it can"
            " become wider, but not deeper."
        )
    return found
