"""An architecture as a table that people can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from keras_mothernets.graph.architecture import (
        Architecture,
        Chain,
        Node,
        Region,
        Shape,
    )

# Config entries worth a reader's time, in this order.
_SHOWN = (
    "units",
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "dilation_rate",
    "groups",
    "depth_multiplier",
    "output_dim",
    "pool_size",
    "target_shape",
    "rate",
)
_USUAL = {"strides": 1, "dilation_rate": 1, "groups": 1, "depth_multiplier": 1}


def counted(count: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, "layer"), counted(2, "layer")
        ('1 layer', '2 layers')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, padded to equal width, with a rule under the header."""
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def architecture_table(architecture: Architecture) -> str:
    """One line per node: layer, what it does, its settings, output shape, parameters."""
    rows = [
        (entry.name, "Input", entry.dtype, shape_text(entry.shape), "0")
        for entry in architecture.inputs
    ]
    rows += _chain_rows(architecture.tree, indent="")
    head = f"{architecture.name}: {architecture.num_params:,} parameters"
    table = text_table(("layer", "does", "settings", "output", "parameters"), rows)
    return "\n".join([head, table, *_notes(architecture.tree)])


def shape_text(shape: Shape) -> str:
    """A shape as people write it: `32 x 32 x 3`, with `?` for sizes that are not known."""
    return " x ".join("?" if size is None else str(size) for size in shape) or "scalar"


def _notes(tree: Chain) -> list[str]:
    """What a reader must know of the marks in the table, if there are any."""
    regions = list(_regions(tree))
    notes = []
    if any(region.merge is not None for region in regions):
        notes.append(
            "| branch: one of several ways from the line above the first branch to the line"
            " below the last"
        )
    if any(region.merge is None for region in regions):
        notes.append(
            "| kept whole: matched only with an identical skeleton, widened, never deepened; no"
            " single tensor inside carries everything"
        )
    return notes


def _regions(chain: Chain) -> Iterator[Region]:
    for region in chain.regions:
        yield region
        for branch in region.branches:
            yield from _regions(branch)


def _chain_rows(chain: Chain, indent: str) -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    seen: set[tuple[str, ...]] = set()
    for item in chain.items:
        if hasattr(item, "branches"):
            rows += _region_rows(cast("Region", item), indent, seen)
        else:
            rows.append(_node_row(item, indent, seen))
    return rows


def _region_rows(
    region: Region, indent: str, seen: set[tuple[str, ...]]
) -> list[tuple[str, str, str, str, str]]:
    if region.merge is None:
        count = len({node.layer.path for node in region.nodes})
        head = (f"{indent}| kept whole, {counted(count, 'layer')}", "", "", "", "")
        return [head, *(_node_row(node, indent + "|  ", seen) for node in region.nodes)]
    rows = []
    for number, branch in enumerate(region.branches, start=1):
        passes = "" if branch.items else "passes on"
        rows.append((f"{indent}| branch {number} of {len(region.branches)}", passes, "", "", ""))
        rows += _chain_rows(branch, indent + "|  ")
    return [*rows, _node_row(region.merge, indent, seen)]


def _node_row(
    node: Node, indent: str, seen: set[tuple[str, ...]]
) -> tuple[str, str, str, str, str]:
    shared = node.layer.path in seen and not node.fused and node.layer.num_params
    seen.add(node.layer.path)
    settings = "" if node.activation is not None else _settings(node)
    shapes = ", ".join(shape_text(shape) for shape in node.output_shapes)
    count = "shared" if shared else f"{node.num_params:,}"
    return (indent + node.name, node.kind, settings, shapes, count)


def _settings(node: Node) -> str:
    parts = []
    for key in _SHOWN:
        value = node.config.get(key)
        flat = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        if value is None or flat == _USUAL.get(key):
            continue
        if isinstance(value, tuple):
            value = "x".join(str(part) for part in value)
        parts.append(f"{key}={value}")
    return " ".join(parts)
