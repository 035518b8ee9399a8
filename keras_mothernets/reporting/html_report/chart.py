"""A chart of the page: a title, a drawing, and a sentence that says what to see."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from keras_mothernets.reporting.html_report.svg import inline_svg


@dataclass(frozen=True)
class Chart:
    """A drawing with its words.

    Args:
        key: Letters that no other chart of the page has.
        title: What it shows, with units where there are no axes.
        svg: The drawing.
        sentence: What is to be seen in it.
    """

    key: str
    title: str
    svg: Markup
    sentence: str


def chart_of(figure: Figure, key: str, title: str, sentence: str) -> Chart:
    """Make a chart of a figure.

    Args:
        figure: The figure.
        key: As in `Chart`.
        title: As in `Chart`.
        sentence: As in `Chart`.
    """
    return Chart(key, title, inline_svg(figure, key, f"{title}. {sentence}"), sentence)
