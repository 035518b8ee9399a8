"""The picture of what members have from their mother."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from matplotlib.figure import Figure

from keras_mothernets.errors import naming
from keras_mothernets.graph import counted
from keras_mothernets.member import Member, as_members
from keras_mothernets.reporting.drawing_blocks import Column, columns
from keras_mothernets.reporting.drawing_canvas import Area, Fill, draw, write
from keras_mothernets.reporting.drawing_layout import Layout, PlacedBlock, Row, Scale, lay_out
from keras_mothernets.reporting.drawing_notes import notes
from keras_mothernets.reporting.drawing_origins import origins
from keras_mothernets.reporting.drawing_repeats import collapse_columns, is_deep
from keras_mothernets.surgery import HatchPlan, explain

_INHERITED = Fill("the mother, and what is inherited from her", "#222222")
_WIDER = Fill("wider: more channels", "#E69F00", "////", "#222222")
_KERNEL = Fill("larger kernel: more taps", "#56B4E9", "xxxx", "#222222")
_INSERTED = Fill("inserted: an identity at first", "#009E73", "....", "#ffffff")
_BRANCH = Fill("new branch: gives nothing at first", "#CC79A7", "\\\\\\\\", "#ffffff")
_FILLS = (_INHERITED, _WIDER, _KERNEL, _INSERTED, _BRANCH)


def plot_hatching(
    mother: keras.Model | Member,
    member: keras.Model | Member | Sequence[keras.Model | Member],
    path: str | Path | None = None,
) -> Figure:
    """Draw a mother, and below her what each member has from her and what is new.

    All networks are drawn as by `plot_architecture`, on one scale, with the stages below each
    other. Colour and pattern tell what is inherited, what is wider, where kernels are larger, what
    is inserted as an identity, and what is a new branch that gives nothing at first. That a layer
    has more inputs because the one before it is wider is not marked.

    Args:
        mother: A built Functional or Sequential model, or `km.Member`.
        member: One that can be hatched from it, or a list of them.
        path: Where to write the picture, if anywhere; the ending tells the format (.png, .svg,
            .pdf).

    Returns:
        A matplotlib `Figure`, which notebooks show.

    Raises:
        GraphError: A model cannot be read.
        SurgeryError: A member cannot be grown from the mother.
        MotherNetsError: The list is empty, or the picture cannot be written there.

    Example:
        >>> def net(units, name):
        ...     hidden, head = keras.layers.Dense(units, "relu"), keras.layers.Dense(2)
        ...     return keras.Sequential([keras.Input((4,)), hidden, head], name=name)
        >>> figure = plot_hatching(net(3, "small"), net(5, "large"))
        >>> figure.axes[0].texts[0].get_text()
        'What large inherits from small: 62.2 % of its parameters'
    """
    members = as_members(list(member) if isinstance(member, (list, tuple)) else [member])
    [above] = as_members([mother])
    plans = []
    for each in members:
        with naming(f"Member `{each.label}`"):
            plans.append(explain(above, each))
    networks = _networks(plans)
    titles = [_mother_title(above, plans[0])]
    titles += [_title(each, plan) for each, plan in zip(members, plans, strict=True)]
    rows = [Row(words, tuple(stages)) for words, stages in zip(titles, networks, strict=True)]
    layout = lay_out(rows)
    figure = draw(
        layout,
        _paint,
        title=_head(above, members, plans),
        notes=notes(layout, networks),
        legend=_legend(layout),
    )
    write(figure, path)
    return figure


def _networks(plans: Sequence[HatchPlan]) -> list[list[Column]]:
    """The stages of the mother and of all members, collapsed where one of them is deep."""
    found = [columns(plans[0].correspondence.mother)]
    found += [columns(plan.correspondence.member, origins(plan)) for plan in plans]
    if any(is_deep(stages) for stages in found):
        found = [collapse_columns(stages) for stages in found]
    return found


def _paint(placed: PlacedBlock, scale: Scale) -> list[Area]:
    """What of a block is whose, from the bottom up and from left to right."""
    block, origin = placed.block, placed.block.origin
    if origin is None:
        return [Area(_INHERITED)]
    if origin.how != "inherited":
        return [Area(_INSERTED if origin.how == "inserted" else _BRANCH)]
    high = scale.height(origin.kept) / placed.height
    areas = []
    right = 1.0
    if origin.kernel is not None:
        right = max(origin.kernel) / max(block.kernel)
        areas.append(Area(_KERNEL, left=right, high=high))
    areas.append(Area(_INHERITED, right=right, high=high))
    if block.is_wider:
        areas.append(Area(_WIDER, low=high))
    return areas


def _legend(layout: Layout) -> list[Fill]:
    used = {area.fill for placed in layout.blocks for area in _paint(placed, layout.scale)}
    return [fill for fill in _FILLS if fill in used]


def _mother_title(mother: Member, plan: HatchPlan) -> str:
    return f"{mother.label}: {plan.correspondence.mother.num_params:,} parameters, the mother"


def _title(member: Member, plan: HatchPlan) -> str:
    words = f"{member.label}: {plan.correspondence.member.num_params:,} parameters"
    words += f", {100 * plan.inherited:.1f} % inherited"
    return words + (f", {counted(len(plan.inserted), 'layer')} inserted" if plan.inserted else "")


def _head(mother: Member, members: Sequence[Member], plans: Sequence[HatchPlan]) -> str:
    if len(members) == 1:
        share = f"{100 * plans[0].inherited:.1f} % of its parameters"
        return f"What {members[0].label} inherits from {mother.label}: {share}"
    return f"What {len(members)} members inherit from {mother.label}"
