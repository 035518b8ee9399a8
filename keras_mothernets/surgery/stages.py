"""Two networks side by side, stage by stage, for errors that say where they part."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

from keras_mothernets.graph import Architecture, Region, shape_text, text_table
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery.insertion import Item

_COLUMN = 44
_HERE = "<- they part here"


@dataclass
class Stage:
    """A run of layers whose outputs have one spatial size.

    Args:
        size: That size, as people write it; `vector` where there are only channels.
        items: The layers and regions that give outputs of this size.
        start: Place of the first of them in the network's chain.
    """

    size: str
    items: list[Item] = field(default_factory=list)
    start: int = 0


def stages(architecture: Architecture) -> list[Stage]:
    """Read a network as stages; the first begins with the input.

    Args:
        architecture: Any architecture.
    """
    found = [Stage(_size(architecture.inputs[0].shape))]
    for place, item in enumerate(architecture.tree.items):
        node = item.nodes[-1] if isinstance(item, Region) else item
        size = _size(node.output_shapes[0])
        if size != found[-1].size:
            found.append(Stage(size, start=place))
        found[-1].items.append(item)
    return found


def side_by_side(first: Architecture, second: Architecture, place: tuple[int, int]) -> str:
    """Both networks' stages in a table that marks the first one where they part.

    Args:
        first: A network.
        second: Another one.
        place: How many items of each chain correspond before the first that do not.

    Returns:
        Lines of text, one row per stage.
    """
    ours, theirs = stages(first), stages(second)
    marked = _parting(ours, theirs, place)
    rows: list[list[str]] = []
    for number, (left, right) in enumerate(zip_longest(ours, theirs)):
        cells = zip_longest(_lines(left), _lines(right), fillvalue="")
        for line, (our_text, their_text) in enumerate(cells):
            head = line == 0
            rows.append(
                [
                    left.size if head and left else "",
                    our_text,
                    right.size if head and right else "",
                    their_text,
                    _HERE if head and number == marked else "",
                ]
            )
    return text_table((f"`{first.name}`", "", f"`{second.name}`", "", ""), rows)


def _parting(ours: Sequence[Stage], theirs: Sequence[Stage], place: tuple[int, int]) -> int:
    """Number of the row where the sizes differ first, or where the alignment failed."""
    failed = min(_stage_of(ours, place[0]), _stage_of(theirs, place[1]))
    for number, (left, right) in enumerate(zip(ours[:failed], theirs[:failed], strict=True)):
        if left.size != right.size:
            return number
    return failed


def _stage_of(found: Sequence[Stage], place: int) -> int:
    return max(number for number, stage in enumerate(found) if stage.start <= place)


def _size(shape: tuple[int | None, ...]) -> str:
    return shape_text(shape[:-1]) if len(shape) > 1 else "vector"


def _lines(stage: Stage | None) -> list[str]:
    """What a stage holds, equal units that follow each other counted, on lines of text."""
    if stage is None:
        return ["(no such stage)"]
    runs = [(unit, len(list(equal))) for unit, equal in groupby(_units(stage.items))]
    text = ", ".join(unit if count == 1 else f"{count} x ({unit})" for unit, count in runs)
    return textwrap.wrap(text or "-", _COLUMN)


def _units(items: Sequence[Item]) -> list[str]:
    """Each layer that makes channels, or region, with what follows it up to the next."""
    units: list[list[str]] = []
    for item in items:
        if isinstance(item, Region):
            begins = True
        else:
            begins = item.activation is None and rule_for(item).width is not None
        if begins or not units:
            units.append([])
        units[-1].append(_word(item))
    return [" ".join(unit) for unit in units]


def _word(item: Item) -> str:
    if not isinstance(item, Region):
        return item.kind
    if item.merge is None:
        return f"region of {len(item.nodes)}"
    return f"{item.merge.kind} of {len(item.branches)}"
