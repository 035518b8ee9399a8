"""The picture of what a budget allows."""

from __future__ import annotations

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from keras_mothernets.planning.choice import Proposals
from keras_mothernets.reporting.style import INK, colour, new_figure, save, tidy
from keras_mothernets.training.text import duration_text


def plot_proposals(found: Proposals, path: str | Path, *, title: str = "") -> None:
    """Draw predicted time and effective epochs against the number of clusters.

    Args:
        found: What was proposed.
        path: Where to write the picture; the ending tells the format.
        title: One line at the top.

    Raises:
        MotherNetsError: The picture cannot be written there.
    """
    best = found.best
    counts = [one.n_clusters for one in found.options]
    figure = new_figure(9.0, 3.9)
    left, right = figure.subplots(1, 2)
    minutes = [seconds / 60 for seconds in found.alike]
    left.plot(counts, minutes, "o-", color=colour(0))
    highest = max(minutes)
    if found.budget is not None:
        highest = max(highest, found.budget / 60)
        left.axhline(found.budget / 60, color=colour(1), linestyle="--")
        text = f"budget {duration_text(found.budget)}"
        at = (counts[-1], found.budget / 60)
        left.annotate(
            text, at, (0, 3), textcoords="offset points", ha="right", color=colour(1), fontsize=9
        )
    title_of_times = f"Time of {best.epochs} epochs of each mother"
    tidy(left, title=title_of_times, x="number of MotherNets", y="predicted minutes")
    left.set_ylim(0, highest * 1.2)
    worth = [one.effective_epochs for one in found.options]
    right.plot(counts, worth, "o-", color=colour(2))
    for one, height in zip(found.options, worth, strict=True):
        epochs = f"{one.epochs} epochs" if one is found.options[0] else f"{one.epochs}"
        text = f"{epochs}, best" if one is best else epochs
        at = (one.n_clusters, height)
        right.annotate(
            text, at, (0, 7), textcoords="offset points", ha="center", fontsize=9, color=INK
        )
    what = "in this budget" if found.budget is not None else "in these epochs"
    tidy(
        right,
        title=f"What members learn from {what}",
        x="number of MotherNets",
        y="effective epochs, a mean",
    )
    right.set_ylim(0, max(worth) * 1.2)
    right.margins(x=0.18)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=INK)
    save(figure, path)
