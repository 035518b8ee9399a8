#!/usr/bin/env python
"""The pictures of docs/CONCEPTS.md, in docs/pictures.

    tools/concept_pictures.py

Networks and clusters are read by the package itself; nothing is trained.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import keras_mothernets as km

PLACE = Path(__file__).resolve().parent.parent / "docs" / "pictures"
MOTHER, MEMBER, PAST = "#1b4965", "#62b6cb", "#cae9ff"
INK = "#222222"


def hatching() -> Figure:
    """A mother, and what three small members have from her."""
    blocks = {
        "deep": [[(3, 16)] * 2, [(3, 32)] * 2],
        "wide": [[(3, 32)], [(3, 64)]],
        "large_kernels": [[(5, 16)], [(5, 32)]],
    }
    members = [km.zoo.vgg((8, 8, 1), 10, each, name=name) for name, each in blocks.items()]
    return km.plot_hatching(km.mothernet(members), members)


def clusters() -> Figure:
    """The ensemble V5 in one cluster and in two, and what each member inherits there."""
    members = km.zoo.v5((32, 32, 3), 10)
    figure, both = matplotlib.pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for axes, count in zip(both, (1, 2), strict=True):
        found = km.cluster(members, count)
        _bars(axes, members, found)
        axes.set_title("one cluster: one mother" if count == 1 else "two clusters: two mothers")
    both[0].set_ylabel("% of its parameters\nthat come from the mother")
    figure.tight_layout()
    return figure


def _bars(axes: Axes, members: Sequence[km.Member], found: Sequence[km.Cluster]) -> None:
    place = 0.0
    ticks, names = [], []
    for cluster, colour in zip(found, (MOTHER, "#bc6c25"), strict=False):
        first = place
        for index, share in zip(cluster.indices, cluster.shared, strict=True):
            axes.bar(place, 100 * share, color=colour, width=0.7)
            axes.text(place, 100 * share + 2, f"{100 * share:.0f}", ha="center", color=INK)
            ticks.append(place)
            names.append(members[index].label)
            place += 1
        mother = cluster.mothernet.count_params() / 1e6
        text = f"mother: {mother:.1f} M"
        axes.text((first + place - 1) / 2, 118, text, ha="center", color=colour, weight="bold")
        axes.plot([first - 0.4, place - 0.6], [114, 114], color=colour, linewidth=2)
        place += 0.7
    axes.set_xticks(ticks, names)
    axes.set_ylim(0, 130)
    axes.set_yticks([0, 50, 100])
    _bare(axes)


def jobs() -> Figure:
    """A plan as jobs that wait for each other, and the run of it on two workers."""
    figure, (plan, run) = matplotlib.pyplot.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1, 1.25))
    plan.set_title("a plan: jobs, and who waits for whom")
    _box(plan, (0, 1), "mother\n20 epochs", MOTHER, "white")
    for row, name in enumerate(("a", "b", "c")):
        _box(plan, (2, 2 - row), f"{name}: hatch,\n2 epochs", MEMBER, INK)
        plan.annotate("", (1.52, 2 - row), (0.48, 1), arrowprops={"arrowstyle": "->", "color": INK})
    plan.set_xlim(-0.6, 2.6)
    plan.set_ylim(-0.5, 2.5)
    plan.axis("off")
    run.set_title("a run of it, with two workers")
    bars = (
        (1, 0, 5, MOTHER, "mother"),
        (1, 5, 1.8, MEMBER, "a"),
        (0, 5, 1.2, MEMBER, "b"),
        (0, 6.2, 1.0, MEMBER, "c"),
    )
    for row, begin, length, colour, name in bars:
        run.barh(row, length, left=begin, height=0.55, color=colour, edgecolor="white")
        ink = "white" if colour == MOTHER else INK
        run.text(begin + length / 2, row, name, ha="center", va="center", color=ink)
    run.axvline(5, color=INK, linestyle=":", linewidth=1)
    run.text(5.05, 1.55, "hatching", color=INK)
    run.set_yticks([0, 1], ["worker 2", "worker 1"])
    run.set_xticks([])
    run.set_xlabel("time")
    run.set_ylim(-0.5, 1.9)
    _bare(run)
    figure.tight_layout()
    return figure


def ensemble() -> Figure:
    """Three members on one example, and what the three ways to combine them say."""
    members = np.array([[0.55, 0.35, 0.10], [0.20, 0.70, 0.10], [0.50, 0.30, 0.20]])
    weights = np.array([0.2, 0.6, 0.2])
    votes = np.bincount(members.argmax(-1), minlength=3) / len(members)
    panels = {
        "member 1": members[0],
        "member 2": members[1],
        "member 3": members[2],
        "average": members.mean(0),
        "weighted\n0.2, 0.6, 0.2": weights @ members,
        "vote": votes,
    }
    figure, row = matplotlib.pyplot.subplots(1, 6, figsize=(9, 2.5), sharey=True)
    for axes, (name, values) in zip(row, panels.items(), strict=True):
        axes.bar(range(3), values, color=PAST if "member" in name else MEMBER)
        axes.bar(values.argmax(), values.max(), color=MEMBER if "member" in name else MOTHER)
        axes.set_title(name, fontsize=10)
        axes.set_xticks(range(3), ["cat", "dog", "bird"], fontsize=8)
        axes.set_ylim(0, 0.85)
        _bare(axes)
    row[0].set_ylabel("probability")
    figure.tight_layout()
    return figure


def _box(axes: Axes, middle: tuple[float, float], text: str, colour: str, ink: str) -> None:
    corner = (middle[0] - 0.45, middle[1] - 0.33)
    axes.add_patch(FancyBboxPatch(corner, 0.9, 0.66, "round,pad=0.03", color=colour))
    axes.text(*middle, text, ha="center", va="center", color=ink, fontsize=9)


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)


if __name__ == "__main__":
    matplotlib.use("agg")
    import matplotlib.pyplot

    PLACE.mkdir(exist_ok=True)
    for draw in (hatching, clusters, jobs, ensemble):
        path = PLACE / f"{draw.__name__}.png"
        draw().savefig(path, dpi=130, facecolor="white", bbox_inches="tight")
        print(f"Wrote {path}")
