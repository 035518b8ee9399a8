#!/usr/bin/env python
"""What surgery can do with the networks of keras.applications: writes docs/COVERAGE.md.

Every network is built without weights at a small size, gets random weights and statistics, and is
then read, widened by an uneven factor, deepened, enlarged and put under a MotherNet with its
widened version. Each change is measured in float64 on one random image. One process per network,
so that memory is given back; what is in the table already is not measured again, so a long run
can be stopped and started.

    tools/coverage_applications.py --minutes 15
    tools/coverage_applications.py --only ResNet50 --again
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "COVERAGE.md"

# (height and width of the image) where 64 is not allowed.
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetLarge": 331}
SIDE = 64
CLASSES = 5
FACTOR = 1.3
DEVIATION = 1e-10

COLUMNS = ("network", "layers", "read", "widened", "deepened", "mother of itself", "mother")
NOT_RUN = "not run"


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the table; 1 if a change was neither exact nor refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks only")
    parser.add_argument("--again", action="store_true", help="measure what stands there already")
    parser.add_argument("--minutes", type=float, default=60.0, help="start none later (60)")
    parser.add_argument("--limit", type=float, default=10.0, help="minutes for one network (10)")
    parser.add_argument("--table", type=Path, default=TABLE, help="file to write")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return 0
    rows = read_table(arguments.table)
    end = time.monotonic() + 60 * arguments.minutes
    for name in arguments.only or architectures():
        done = rows.get(name, {}).get("read", NOT_RUN) != NOT_RUN
        if (done and not arguments.again) or time.monotonic() > end:
            rows.setdefault(name, not_run(name))
            continue
        rows[name] = in_process(name, 60 * arguments.limit)
        print(" | ".join(rows[name].values()), flush=True)
        write_table(arguments.table, rows)
    write_table(arguments.table, rows)
    return int(any("WRONG" in cell for row in rows.values() for cell in row.values()))


def architectures() -> list[str]:
    """All functions of keras.applications that build a network, the small ones first."""
    import inspect

    import keras

    found = vars(keras.applications).items()
    names = [name for name, value in found if inspect.isfunction(value)]
    return sorted(names, key=lambda name: (name in LAST, name not in FIRST, name))


# A good part of the table in a few minutes, and what takes longest.
FIRST = "ResNet50 ResNet50V2 MobileNetV2 EfficientNetB0 VGG19 MobileNetV3Small DenseNet121".split()
LAST = (
    "ConvNeXtBase ConvNeXtSmall ConvNeXtTiny ConvNeXtLarge ConvNeXtXLarge EfficientNetB5"
    " EfficientNetB6 EfficientNetB7 EfficientNetV2L EfficientNetV2M NASNetLarge ResNet152"
    " ResNet152V2 DenseNet201 InceptionResNetV2"
).split()


def in_process(name: str, limit: float) -> dict[str, str]:
    """Measure one network in a process of its own."""
    command = [sys.executable, __file__, "--measure", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return not_run(name, f"stopped after {limit / 60:.0f} minutes")
    if done.returncode:
        return not_run(name, f"WRONG: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
    row: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def not_run(name: str, why: str = NOT_RUN) -> dict[str, str]:
    """The row of a network of which nothing is known."""
    known = {"network": name, "read": why}
    return {column: known.get(column, "-") for column in COLUMNS}


def measure(name: str) -> dict[str, str]:
    """Build a network, change it in all ways, and say how far each is from the original."""
    import keras

    import keras_mothernets as km
    from keras_mothernets.graph import read
    from keras_mothernets.mothernet import same_architecture

    side = SIDES.get(name, SIDE)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=CLASSES, classifier_activation=None
    )
    randomise(model)
    row = not_run(name)
    row["read"] = outcome(lambda: read(model), lambda _: "yes")
    if row["read"] != "yes":
        return row
    architecture = read(model)
    row["layers"] = str(len(architecture.layers))
    unknown = without_rule(architecture)
    if unknown:
        row["read"] = "yes, but no rule for " + ", ".join(unknown)
        return row

    def deviation(changed: Any) -> float:
        return km.max_deviation(model, changed, batch_size=1)

    widened, row["widened"] = first_that_works(
        widenable(architecture), lambda layer, size: km.widen(model, {layer: size}), deviation
    )
    _, row["deepened"] = first_that_works(
        deepenable(architecture), lambda layer, _: km.deepen(model, after=layer), deviation
    )

    def mother_of(member: Any) -> str:
        mother = km.mothernet([model, member])
        same = same_architecture(mother, model)
        exact = 0.0
        if member is not model:
            randomise(mother, seed=1)
            exact = km.max_deviation(mother, km.hatch(mother, member), batch_size=1)
        kind = "the network" if same else f"{mother.count_params():,} parameters"
        return f"{kind}, {shown(exact)}" if member is not model else kind

    row["mother of itself"] = outcome(lambda: mother_of(model), str)
    if widened is not None:
        row["mother"] = outcome(lambda: mother_of(widened), str)
    return row


def randomise(model: Any, seed: int = 0) -> None:
    """Give all weights and running statistics random values of a healthy size."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if "seed" in variable.name or variable.path.startswith("normalization"):
            continue
        if variable.name in ("gamma", "moving_variance"):
            value = generator.uniform(0.6, 1.4, shape)
        elif len(shape) < 2:
            value = 0.1 * generator.normal(size=shape)
        else:
            depthwise = len(shape) == 4 and shape[-1] == 1
            inputs = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            value = generator.normal(size=shape) * np.sqrt(2 / inputs)
        variable.assign(value)


def without_rule(architecture: Any) -> list[str]:
    """Kinds of layers that surgery refuses to touch."""
    from keras_mothernets.errors import GraphError
    from keras_mothernets.rules import rule_for

    unknown = []
    for node in architecture.nodes:
        try:
            rule_for(node)
        except GraphError:
            unknown.append(node.kind)
    return sorted(set(unknown))


def widenable(architecture: Any) -> list[tuple[str, int]]:
    """Layers that make channels, with their size times an uneven factor, the early ones first."""
    from keras_mothernets.rules import rule_for

    found = []
    for node in architecture.nodes:
        key = rule_for(node).width
        if key in ("filters", "units") and not node.fused:
            found.append((node.layer.name, int(node.config[key] * FACTOR) + 1))
    return found[:-1]  # the last one is the head


def deepenable(architecture: Any) -> list[tuple[str, int]]:
    """Layers that make channels and stand before a ReLU."""
    from keras_mothernets.rules import rule_for

    return [
        (node.layer.name, 0)
        for node in architecture.nodes[:-1]
        if rule_for(node).width in ("filters", "units") and not node.fused
    ]


def first_that_works(
    places: Sequence[tuple[str, int]],
    change: Callable[[str, int], Any],
    deviation: Callable[[Any], float],
    tries: int = 12,
) -> tuple[Any, str]:
    """Change a network at the first place that allows it; if none does, say why the first not."""
    from keras_mothernets.errors import MotherNetsError

    step = max(1, len(places) // tries)
    reason = "no layer for it"
    for number, (layer, size) in enumerate(places[::step]):
        try:
            changed = change(layer, size)
        except MotherNetsError as error:
            reason = f"refused: {error}" if number == 0 else reason
            continue
        return changed, f"`{layer}`, {shown(deviation(changed))}"
    return None, reason


def outcome(make: Callable[[], Any], show: Callable[[Any], str]) -> str:
    """What came of a call, or why it was refused."""
    from keras_mothernets.errors import MotherNetsError

    try:
        return show(make())
    except MotherNetsError as error:
        return f"refused: {error}"


def shown(deviation: float) -> str:
    """A deviation as text, marked if it is too large (or no number)."""
    if deviation == 0:
        return "0"
    return f"{deviation:.0e}" if deviation <= DEVIATION else f"WRONG {deviation:.0e}"


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a table written before, by network."""
    if not path.exists():
        return {}
    rows = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == len(COLUMNS) and cells[0][0].isupper():
            rows[cells[0]] = dict(zip(COLUMNS, cells, strict=True))
    return rows


def write_table(path: Path, rows: dict[str, dict[str, str]]) -> None:
    """Write all rows, with a word on how to read them."""
    import importlib.metadata

    run = [row for row in rows.values() if row["read"] not in (NOT_RUN,)]
    lines = [
        "# What surgery can do with keras.applications",
        "",
        "Written by `tools/coverage_applications.py`. Networks have random weights and statistics,"
        f" images of {SIDE} x {SIDE} pixels (or the smallest size that the network takes) and"
        f" {CLASSES} classes. Numbers are the largest difference of the outputs before and after,"
        " relative to the largest output, computed in float64 on one random image. *Widened*: one"
        f" layer times {FACTOR}, rounded up; *deepened*: one layer repeated as an identity; of a"
        " dozen places spread over the network the first that allows it. *Mother of itself*: what"
        " the MotherNet of the network and itself is; *mother*: that of the network and its"
        " widened version, and how far the hatched version is from it.",
        "",
        f"Keras {importlib.metadata.version('keras')}; {len(run)} of {len(rows)} networks run.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
    ]
    for name in sorted(rows):
        cells = [rows[name][column].replace("|", "/").replace("\n", " ") for column in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
