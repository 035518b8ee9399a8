"""What the two coverage tools share: random weights, deviations, processes, and their tables."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "COVERAGE.md"
DEVIATION = 1e-10
NUDGE = 2.0**-52  # the last digit of a float64
NOT_RUN = "not run"

Row = dict[str, str]


def main(
    description: str,
    section: Section,
    names: Callable[[], list[str]],
    measure: Callable[[str], Iterator[Row]],
    argv: Sequence[str] | None = None,
) -> int:
    """Fill a table row by row, each in a process of its own; 1 if a change was wrong.

    `measure` gives a row piece by piece, so that what is known stays if the process is killed.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these rows only")
    parser.add_argument("--again", action="store_true", help="measure what stands there already")
    parser.add_argument("--minutes", type=float, default=600.0, help="start none later (600)")
    parser.add_argument("--limit", type=float, default=20.0, help="minutes for one row (20)")
    parser.add_argument("--table", type=Path, default=TABLE, help="file to write")
    parser.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.measure:
        start = time.monotonic()
        row: Row = {}
        for piece in measure(arguments.measure):
            row |= {**piece, "seconds": f"{time.monotonic() - start:.0f}"}
            print(json.dumps(row), flush=True)
        return 0
    known = section.read(arguments.table)
    rows = {name: known.get(name) or section.row(name, NOT_RUN) for name in names()}
    end = time.monotonic() + 60 * arguments.minutes
    for name in arguments.only or names():
        done = rows[name][section.columns[1]] != NOT_RUN
        if (not done or arguments.again) and time.monotonic() <= end:
            rows[name] = _in_process(name, 60 * arguments.limit, section)
            print(" | ".join(rows[name].values()), flush=True)
            section.write(arguments.table, rows)
    section.write(arguments.table, rows)
    return int(any("WRONG" in cell for row in rows.values() for cell in row.values()))


def _in_process(name: str, limit: float, section: Section) -> Row:
    command = [sys.executable, sys.argv[0], "--measure", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as stopped:
        return section.unfinished(name, stopped.stdout, f"stopped after {limit / 60:.0f} minutes")
    if done.returncode < 0:
        reason = f"killed by signal {-done.returncode} (no memory left?)"
        return section.unfinished(name, done.stdout, reason)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return section.row(name, f"WRONG: {last}")
    whole: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return section.row(name) | whole


class Section:
    """A section of the coverage document: a heading, a text, and a table.

    Args:
        title: Its heading.
        columns: Columns of the table: the name first, what is said of a row not run second.
        text: Says how to read the table.
    """

    def __init__(self, title: str, columns: Sequence[str], text: str) -> None:
        self.title = title
        self.columns = tuple(columns)
        self.text = text

    def row(self, name: str, why: str = "-") -> Row:
        """A row of which nothing is known but why."""
        known = {self.columns[0]: name, self.columns[1]: why}
        return {column: known.get(column, "-") for column in self.columns}

    def unfinished(self, name: str, printed: str | bytes | None, why: str) -> Row:
        """A row of which the pieces that were printed are known; the next one says why no more."""
        text = printed.decode() if isinstance(printed, bytes) else printed or ""
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        known: Row = rows[-1] if rows else {}
        missing = [column for column in self.columns[1:] if column not in known]
        return self.row(name) | known | {missing[0]: why}

    def read(self, path: Path) -> dict[str, Row]:
        """Rows written before, by name."""
        rows = {}
        for line in _sections(path).get(self.title, "").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            is_row = line.startswith("| ") and cells[0] not in (self.columns[0], "---")
            if is_row and len(cells) == len(self.columns):
                rows[cells[0]] = dict(zip(self.columns, cells, strict=True))
        return rows

    def write(self, path: Path, rows: dict[str, Row]) -> None:
        """Write all rows, and leave the other sections of the file as they are."""
        import importlib.metadata

        run = sum(row[self.columns[1]] != NOT_RUN for row in rows.values())
        lines = [
            self.text,
            "",
            f"Keras {importlib.metadata.version('keras')}; {run} of {len(rows)} rows run.",
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + " --- |" * len(self.columns),
        ]
        for row in rows.values():
            cells = [row[column].replace("|", "/").replace("\n", " ") for column in self.columns]
            lines.append("| " + " | ".join(cells) + " |")
        sections = _sections(path) | {self.title: "\n".join(lines)}
        text = "\n\n".join(f"## {title}\n\n{body.strip()}" for title, body in sections.items())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# What surgery can do\n\n{text}\n")


def _sections(path: Path) -> dict[str, str]:
    """The sections of a file by heading."""
    if not path.exists():
        return {}
    _, *parts = path.read_text().split("\n## ")
    return {part.partition("\n")[0].strip(): part.partition("\n")[2] for part in parts}


def randomise(model: Any, seed: int = 0) -> Any:
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
    return model


def _nudged(model: Any) -> Any:
    """A copy of which every weight is off by one in its last digit, up or down."""
    import keras
    import numpy as np

    from keras_mothernets.graph import clone

    generator = np.random.default_rng(0)
    copy = clone(model, dtype="float64")
    for variable in copy.weights:
        value = keras.ops.convert_to_numpy(variable.value)
        if value.dtype.kind == "f":
            variable.assign(value * (1 + NUDGE * generator.choice([-1, 1], value.shape)))
    return copy


class Reference:
    """What a model computes in float64 on random examples; others are compared with it."""

    def __init__(self, model: Any, examples: int = 1) -> None:
        from keras_mothernets.graph import read
        from keras_mothernets.surgery.verify import random_inputs

        self._inputs = random_inputs(read(model), batch_size=examples, seed=0, dtype="float64")
        self._outputs = self._run(model, self._inputs)
        self.rounding = self._worst(self._run(_nudged(model), self._inputs))
        gc.collect()  # the copy is cyclic

    def deviation(self, other: Any) -> float:
        """As `max_deviation`, with the model's own outputs computed only once."""
        return self._worst(self._run(other, self._inputs))

    def shown(self, deviation: float) -> str:
        """A deviation as text, marked if it is no number, or larger than rounding explains.

        Deep networks with random weights magnify: where the last digit of the weights moves the
        outputs by more than a tenth of the bound, ten times that is the bound.
        """
        if deviation == 0:
            return "0"
        if deviation <= DEVIATION:
            return f"{deviation:.0e}"
        rounded = f"{deviation:.0e} (last digit: {self.rounding:.0e})"
        return rounded if deviation <= 10 * self.rounding else f"WRONG {rounded}"

    def _worst(self, outputs: list[Any]) -> float:
        import numpy as np

        worst = 0.0
        for ours, theirs in zip(self._outputs, outputs, strict=True):
            if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
                return float("nan")
            worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(ours).max()))
        return worst

    def _run(self, model: Any, inputs: Any) -> list[Any]:
        import keras

        from keras_mothernets.graph import clone

        if {variable.dtype for variable in model.weights} != {"float64"}:
            model = clone(model, dtype="float64")
        outputs = model(inputs, training=False)
        return [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(outputs)]


def sentence(error: Exception) -> str:
    """The sentence of an error, without the table of stages below it."""
    return str(error).partition("\n")[0]
