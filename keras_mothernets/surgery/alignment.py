"""Which calls of two networks correspond, and which only one of them has.

Two chains are aligned like two texts, so that what they share is worth the
most parameters and all the rest can be inserted; see `search.py` for how.

What two layers share is valued by the smaller of their sizes. Where a layer before
them gets narrower, they share less than that, so that another alignment may give a
larger mother: `mothernet.py` tries several. In rare cases none of them is the largest
(an exhaustive search over small trees, in tests/surgery, tells how rare).
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, shape_text
from keras_mothernets.rules import Refusal, Value
from keras_mothernets.surgery.pairs import Alignment, Taste
from keras_mothernets.surgery.search import NO_HEADS, Goal, Search, head
from keras_mothernets.surgery.stages import side_by_side


def align(
    first: Architecture,
    second: Architecture,
    *,
    grow_only: bool,
    check_widths: bool = True,
    taste: Taste = "params",
) -> Alignment:
    """Find the alignment of two networks that shares the most parameters.

    Args:
        first: A network; with `grow_only` the mother.
        second: Another network; with `grow_only` the member.
        grow_only: Whether every call of the first must match and only the
            second may have calls of its own (hatching). Otherwise both may (their
            common sub-architecture).
        check_widths: Whether the first network's widths are final, so that what
            is inserted into the second must be at least as wide.
        taste: What the alignment seeks first.

    Returns:
        The `Alignment`.

    Raises:
        SurgeryError: There is none; the message says where the two part and why.
    """
    check_interface(first, second)
    goal = Goal(grow_only, check_widths and grow_only, taste)
    shape = first.inputs[0].shape
    # The width of a head is fixed: while widths are sought, only heads can meet each other.
    heads = NO_HEADS if goal.check_widths else (head(first.tree), head(second.tree))
    search = Search(first.tree, second.tree, goal, Value(), shape, heads)
    found = search.run()
    if isinstance(found, Refusal):
        verb = "be grown into" if grow_only else "share a mother with"
        raise SurgeryError(
            f"`{first.name}` cannot {verb} `{second.name}`: {found}",
            fix="Make the two agree there, or put them into different clusters",
            details=side_by_side(first, second, search.parting),
        )
    return found


def check_interface(first: Architecture, second: Architecture) -> None:
    """Raise `SurgeryError` unless two networks take and give tensors of the same shapes."""
    ours = [(entry.shape, entry.dtype) for entry in first.inputs]
    theirs = [(entry.shape, entry.dtype) for entry in second.inputs]
    if ours != theirs:
        raise SurgeryError(
            f"`{first.name}` and `{second.name}` have different inputs",
            expected=_inputs_text(first),
            received=_inputs_text(second),
            fix="All networks that share a mother must take the same input",
        )
    if first.output_shapes != second.output_shapes:
        raise SurgeryError(
            f"`{first.name}` and `{second.name}` have different outputs",
            expected=_shapes_text(first.output_shapes),
            received=_shapes_text(second.output_shapes),
            fix="All networks that share a mother must have the same head",
        )


def _inputs_text(architecture: Architecture) -> str:
    return ", ".join(f"{shape_text(entry.shape)} {entry.dtype}" for entry in architecture.inputs)


def _shapes_text(shapes: Sequence[tuple[int | None, ...]]) -> str:
    return ", ".join(shape_text(shape) for shape in shapes)
