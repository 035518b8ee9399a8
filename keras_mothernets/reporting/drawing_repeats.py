"""Deep networks repeat themselves: what comes many times in a row is drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keras_mothernets.reporting.drawing_blocks import Column, Fork, Repeat, Sketch, blocks_of

MOST_BLOCKS = 20  # of a network all of whose blocks are drawn
_LONGEST_PATTERN = 6
_FEWEST_BLOCKS = 3  # that are drawn as one; units with branches are from two on


def collapse_columns(columns: Sequence[Column]) -> list[Column]:
    """Draw repeated units of every stage once, with how often they come."""
    return [replace(column, items=collapse(column.items)) for column in columns]


def is_deep(columns: Sequence[Column]) -> bool:
    """Whether a network has too many blocks to draw them all."""
    return sum(len(list(blocks_of(column.items))) for column in columns) > MOST_BLOCKS


def collapse(items: Sequence[Sketch]) -> tuple[Sketch, ...]:
    """Replace runs of equal patterns by one `Repeat` each, inside branches too.

    Args:
        items: What stands one after the other.

    Example:
        >>> from keras_mothernets.reporting.drawing_blocks import Block
        >>> layer, other = Block("dense", ("dense",), 8), Block("dense", ("dense",), 4)
        >>> [getattr(item, "count", 1) for item in collapse([other] + [layer] * 18)]
        [1, 18]
    """
    found: list[Sketch] = []
    start = 0
    while start < len(items):
        length, count = _best_pattern(items[start:])
        pattern = tuple(_inside(item) for item in items[start : start + length])
        found += [Repeat(pattern, count)] if count > 1 else pattern
        start += length * count
    return tuple(found)


def _inside(item: Sketch) -> Sketch:
    if isinstance(item, Fork):
        return replace(item, lanes=tuple(collapse(lane) for lane in item.lanes))
    return item


def _best_pattern(items: Sequence[Sketch]) -> tuple[int, int]:
    """Length and count of the pattern at the start that saves most blocks; 1, 1 if none does."""
    best, most_saved = (1, 1), 0
    for length in range(1, min(_LONGEST_PATTERN, len(items) // 2) + 1):
        pattern = items[:length]
        count = _times(items, length)
        has_units = length > 1 or isinstance(pattern[0], Fork)
        if count < (2 if has_units else _FEWEST_BLOCKS):
            continue
        saved = (count - 1) * len(list(blocks_of(pattern)))
        if saved > most_saved:
            best, most_saved = (length, count), saved
    return best


def _times(items: Sequence[Sketch], length: int) -> int:
    count = 1
    while items[count * length : (count + 1) * length] == items[:length]:
        count += 1
    return count
