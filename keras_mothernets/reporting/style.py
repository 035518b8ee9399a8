"""How our pictures look: colours, and axes with nothing on them that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from keras_mothernets.errors import MotherNetsError

INK = "#222222"
FAINT = "#8a8a8a"
MOTHER = "#222222"
# Okabe and Ito's colours, which colour-blind readers can tell apart; black is the mother's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00", "#8a8a8a")


def colour(number: int) -> str:
    """The colour of the member or method with this number; they repeat after eight."""
    return COLOURS[number % len(COLOURS)]


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, in inches; it has no window and needs no closing."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def tidy(axes: Axes, *, title: str, x: str, y: str) -> None:
    """Set the texts of a plot and take away frame and clutter.

    Args:
        axes: The plot.
        title: What the picture says, at its top left.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
    """
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10, weight="bold")
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)


def legend_beside(axes: Axes) -> None:
    """Name what is drawn to the right of a plot, where it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def percent_axis(axis: Axis, values: Sequence[float]) -> None:
    """Show fractions as percent, on a logarithmic axis where they differ much.

    Args:
        axis: The x or y axis of a plot.
        values: What is drawn along it, 0 to 1.
    """
    if min(values) > 0 and max(values) > 4 * min(values):
        scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda value, _: f"{100 * value:g}%")


def save(figure: Figure, path: str | Path) -> None:
    """Write a picture; the ending of the file tells the format.

    Raises:
        MotherNetsError: It cannot be written there.
    """
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise MotherNetsError(
            f"The picture cannot be written to `{path}`", received=str(error)
        ) from error
