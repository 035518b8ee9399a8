"""A matplotlib figure as a piece of SVG inside a page, which follows the page's colours."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_mothernets.reporting.style import COLOURS, FAINT, INK, tidy

WIDTH, HEIGHT = 5.0, 3.2  # inches; one point is about a pixel on a phone
LONGEST_NAME = 18  # letters of a member's name in a drawing
_GRID = "#e4e4e4"  # of `style.tidy`
# Lines that all members share where there are too many for colours of their own.
CROWD = COLOURS[5]
# What the style sheet of the page calls our colours; it has others for dark pages.
_ON_PAGE = {
    INK: "currentColor",
    "#000000": "currentColor",
    _GRID: "var(--grid)",
    FAINT: "var(--faint)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(COLOURS[:-1])},
}
_IDS = (r'\bid="', r"url\(#", r'href="#')


def page_figure(height: float = HEIGHT) -> Figure:
    """An empty figure as wide as a phone.

    Args:
        height: Inches.
    """
    return Figure(figsize=(WIDTH, height), layout="constrained")


def plain_axes(axes: Axes, *, x: str, y: str) -> None:
    """Axes as in our other pictures, without a title: the page gives that.

    Args:
        axes: The plot.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
    """
    tidy(axes, title="", x=x, y=y)


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend above a plot.

    Args:
        axes: The plot.
        columns: Entries side by side.
    """
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=columns, frameon=False, fontsize=8.5,
        handlelength=1.6, columnspacing=1.0,
    )  # fmt: skip


def short_name(name: str) -> str:
    """A name that leaves room for the drawing beside it.

    Example:
        >>> short_name("wide"), short_name("a_network_with_a_long_name_2")
        ('wide', 'a_network…ng_name_2')
    """
    if len(name) <= LONGEST_NAME:
        return name
    half = LONGEST_NAME // 2
    return f"{name[:half]}…{name[-half:]}"


def inline_svg(figure: Figure, key: str, words: str) -> Markup:
    """Draw a figure as SVG that can stand in a page next to others.

    Its texts stay texts, its background is the page's, its colours are those of the style sheet,
    and it names nothing outside of itself.

    Args:
        figure: The figure.
        key: Letters that no other figure of the page has.
        words: What it shows, for those who do not see it.
    """
    stream = io.StringIO()
    rules: Any = {"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 9.0}
    with matplotlib.rc_context(rules):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>|<!--.*?-->", "", text, flags=re.S
    )
    text = text.replace("xlink:href=", "href=")
    for pattern in _IDS:
        text = re.sub(pattern, lambda found: f"{found[0]}{key}-", text)
    view = re.search(r'viewBox="[^"]*"', text)
    assert view is not None, "matplotlib writes one"
    body = text[text.index(">") + 1 :]
    body = re.sub(r"font-family:[^;\"]*;?", "", body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r"(\.\d{3})\d+", r"\1", body) if "<image" not in body else body
    for colour, name in _ON_PAGE.items():
        body = re.sub(re.escape(colour), name, body, flags=re.I)
    head = Markup('<svg {view} role="img" aria-label="{words}">').format(
        view=Markup(view[0]), words=words
    )
    return head + Markup(body)
