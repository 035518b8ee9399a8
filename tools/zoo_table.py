#!/usr/bin/env python
"""How large the networks of the zoo are: docs/ZOO.md, with the published figures beside.

Every network is made at full size as the zoo makes it, but without memory for its weights: what is
counted are their shapes.

    tools/zoo_table.py
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from keras_mothernets import zoo
from keras_mothernets.zoo.v5 import V5_BLOCKS

TABLE = Path(__file__).resolve().parent.parent / "docs" / "ZOO.md"
IMAGE, CLASSES = (32, 32, 3), 10

TITLE = """# How large the networks of the zoo are

Written by `tools/zoo_table.py`. Networks take images of 32 x 32 pixels in three colours, tell ten
classes, and are at full width (`width=1`). *Trained* are the parameters that training changes;
*all* are these and the moving means and variances of BatchNormalization, as `count_params()` says.
*Published* is the figure of the paper that the network is from, in millions and as rounded there;
a dash stands where we know of none."""

# Figures in millions that papers give for the same networks. Simonyan and Zisserman 2015, table 2;
# He et al. 2016, table 6; Huang et al. 2017, table 2; Zagoruyko and Komodakis 2016, tables 4 and 5.
PUBLISHED = {
    "ResNet-20": "0.27",
    "ResNet-32": "0.46",
    "ResNet-44": "0.66",
    "ResNet-56": "0.85",
    "ResNet-110": "1.7",
    "DenseNet-40-12": "1.0",
    "DenseNet-100-12": "7.0",
    "DenseNet-100-24": "27.2",
    "DenseNet-BC-100-12": "0.8",
    "WRN-16-8": "11.0",
    "WRN-22-8": "17.2",
    "WRN-28-10": "36.5",
    "VGG configuration B": "133",
    "VGG configuration C": "134",
    "VGG configuration D (VGG16)": "138",
    "VGG configuration E (VGG19)": "144",
}

# Added by the projections of our ResNets, where He et al. pad with zeros: from 16 channels to 32
# and from 32 to 64, each with scale and offset of its normalisation.
PROJECTIONS = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


@dataclass(frozen=True)
class Size:
    """Number of parameters of a network: those that are trained, and all."""

    name: str
    trained: int
    total: int


def sizes(build: Callable[[], Iterable[keras.Model]]) -> list[Size]:
    """Count the parameters of networks without making their weights.

    In a stateless scope Keras puts off making the values of variables, which here are never asked
    for: a hundred full-size networks would need 9 GB.
    """
    with keras.StatelessScope(initialize_variables=False):
        found = [_size(model) for model in build()]
    keras.utils.clear_session()  # forget the values that were put off
    return found


def _size(model: keras.Model) -> Size:
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return Size(model.name, trained, model.count_params())


def ensemble(name: str) -> list[Size]:
    """The sizes of the members of an ensemble of the zoo."""
    return sizes(lambda: [member.model for member in getattr(zoo, name)(IMAGE, CLASSES)])


def imagenet() -> list[Size]:
    """VGG as its authors made it: for ImageNet, two hidden Dense layers, no normalisation."""
    names = ("V13", "V16", "V16B", "V19")
    labels = [name for name in PUBLISHED if name.startswith("VGG")]
    made: dict[str, Any] = {"batch_norm": False, "head": (4096, 4096)}
    found = sizes(lambda: [zoo.vgg((224, 224, 3), 1000, V5_BLOCKS[n], **made) for n in names])
    return [Size(n, size.trained, size.total) for n, size in zip(labels, found, strict=True)]


def others() -> list[Size]:
    """Networks that are in no ensemble here, but have well-known sizes."""
    bc: dict[str, Any] = {"depth": 100, "bottleneck": True, "name": "DenseNet-BC-100-12"}
    return sizes(
        lambda: [
            zoo.densenet(IMAGE, CLASSES, **bc),
            zoo.wide_resnet(IMAGE, CLASSES, depth=28, widen=10, name="WRN-28-10"),
        ]
    )


def rows(found: Sequence[Size], *, total: bool = False) -> str:
    """A table with a row per network and, for an ensemble, their sum.

    The published figures have a column where there are any.
    """
    cells = [(size.name, f"{size.trained:,}", f"{size.total:,}") for size in found]
    if total:
        trained, all_of_them = sum(s.trained for s in found), sum(s.total for s in found)
        cells.append(("**sum**", f"{trained:,}", f"{all_of_them:,}"))
    header = ("network", "trained", "all")
    if not any(size.name in PUBLISHED for size in found):
        return _table(header, cells)
    return _table((*header, "published"), [(*cell, _published(cell[0])) for cell in cells])


def _published(name: str) -> str:
    return f"{PUBLISHED[name]} M" if name in PUBLISHED else "-"


def summary(found: Sequence[Size]) -> str:
    """A table with a row per kind of variant of VGG16."""
    kinds: dict[str, list[int]] = {}
    for size in sorted(found, key=_kind):
        kinds.setdefault(_kind(size), []).append(size.trained)
    kinds["**all**"] = [size.trained for size in found]
    cells = [
        (kind, str(len(counts)), *(f"{n:,}" for n in _spread(counts)), f"{sum(counts):,}")
        for kind, counts in kinds.items()
    ]
    header = ("changed", "networks", "smallest", "mean", "largest", "sum")
    return _table(header, cells)


def _kind(size: Size) -> str:
    _, way, *layers = size.name.split("-")
    return f"{way}, {'one convolution' if len(layers) == 1 else 'two convolutions'}"


def _spread(counts: list[int]) -> tuple[int, int, int]:
    return min(counts), round(sum(counts) / len(counts)), max(counts)


def _table(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [header, ("---",) + ("---:",) * (len(header) - 1), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# What is said of each table, and how it is made.
SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "V5": (
        "Five VGG networks, as in the paper's table, with normalisation, and with global pooling\n"
        "in place of hidden Dense layers.",
        lambda: rows(ensemble("v5"), total=True),
    ),
    "D5": (
        "`DenseNet-<depth>-<growth>`, without bottlenecks.",
        lambda: rows(ensemble("d5"), total=True),
    ),
    "R10": (
        "The wide ones have twice the filters, which is our choice. He et al. pad shortcuts with\n"
        f"zeros where the channels change; projections add {PROJECTIONS:,} to our plain networks.\n"
        "Without them the numbers round to the published ones.",
        lambda: rows(ensemble("r10"), total=True),
    ),
    "WRN5": (
        "`WRN-<depth>-<factor for the filters>`. Which Wide ResNets the paper used we do not\n"
        "know; these are our choice.",
        lambda: rows(ensemble("wrn5"), total=True),
    ),
    "V25": (
        "VGG16 with one or two of its convolutions, numbered from 1, changed in one way: twice\n"
        "the *filters*, a 5 x 5 *kernel*, or *both*. Which variants is our choice.",
        lambda: rows(ensemble("v25"), total=True),
    ),
    "V100": (
        "A hundred such variants; the first 25 are V25. Parameters that are trained:",
        lambda: summary(ensemble("v100")),
    ),
    "VGG for ImageNet": (
        "Images of 224 x 224 pixels, 1000 classes, two hidden Dense layers of 4096 units, and no\n"
        "normalisation, as its authors made it. B, C, D and E are V13, V16, V16B and V19.",
        lambda: rows(imagenet()),
    ),
    "Other networks with published figures": ("", lambda: rows(others())),
}


def section(name: str) -> str:
    """One section of the document, counted anew."""
    text, table = SECTIONS[name]
    return "\n\n".join(part for part in (f"## {name}", text, table()) if part)


def main(argv: Sequence[str] | None = None) -> int:
    """Count everything, and write the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--table", type=Path, default=TABLE, help="file to write (docs/ZOO.md)")
    path = parser.parse_args(argv).table
    path.write_text("\n\n".join([TITLE, *map(section, SECTIONS)]) + "\n")
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
