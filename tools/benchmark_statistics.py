#!/usr/bin/env python
"""Ensemble statistics from sums against recomputing them, and their size: docs/STATISTICS.md.

Predictions are made up, for nothing here depends on what they are. Linear algebra runs in one
thread on both sides, so that a busy machine is no one's advantage.

    tools/benchmark_statistics.py                  # writes docs/STATISTICS.md; some minutes
    tools/benchmark_statistics.py --full           # and builds 1,000 members x 100,000 examples
    tools/benchmark_statistics.py --members 20 --examples 2000 --questions 50 --page /tmp/page.md
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics as spread
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # linear algebra reads it when NumPy is imported
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_mothernets import EnsembleStatistics, Predictions
from keras_mothernets.ensembles.diversity import Diversity
from keras_mothernets.ensembles.task import Task

PAGE = Path(__file__).resolve().parent.parent / "docs" / "STATISTICS.md"
CLASSES = 10
LEAST_RATIO = 100.0
MOST_OFF = 0.10  # of predicted bytes
FULL = (1000, 100_000)
SMALL_CHUNK = 8
RIVAL = "recomputed from predictions"

Answer = tuple[Diversity, np.ndarray]


@dataclass(frozen=True)
class Question:
    """All pairwise measures of some members on some examples.

    Args:
        members: Positions, (members,).
        start: First example.
        stop: Example after the last.
    """

    members: np.ndarray
    start: int
    stop: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the page; 1 if a demand does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="also 1,000 members, 100,000 examples")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args(argv)
    speed, ratio = compare(arguments)
    print(speed)
    adding = adding_table(arguments)
    print(adding)
    members, examples = arguments.members, arguments.examples
    sizes = [(members, examples), (2 * members, 2 * examples), (4 * members, 4 * examples)]
    sizes += [FULL] if arguments.full else []
    memory, off = memory_table(sizes)
    print(memory)
    command = f"tools/benchmark_statistics.py{' --full' if arguments.full else ''}"
    arguments.page.write_text(page(command, speed, adding, memory))
    return int(ratio < LEAST_RATIO or off > MOST_OFF)


def made_up(members: int, examples: int, classes: int = CLASSES, seed: int = 0) -> Predictions:
    """Random probabilities, made member by member so that they are never there twice."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=examples)
    values = np.empty((members, examples, classes))
    for row in values:
        rng.standard_exponential(out=row)
        row[np.arange(examples), labels] *= 4.0
        row /= row.sum(axis=-1, keepdims=True)
    names = tuple(f"member_{number}" for number in range(members))
    return Predictions(values, labels, names, Task.CLASSES)


def questions(members: int, examples: int, count: int) -> list[Question]:
    """Subsets of 2 to all members, each size as likely; ranges between two random ends."""
    rng = np.random.default_rng(1)
    asked = []
    for _ in range(count):
        size = rng.integers(2, members + 1)
        start, stop = np.sort(rng.choice(examples + 1, size=2, replace=False))
        chosen = np.sort(rng.choice(members, size=size, replace=False))
        asked.append(Question(chosen, int(start), int(stop)))
    return asked


def from_sums(statistics: EnsembleStatistics, question: Question) -> Answer:
    """As a user would ask."""
    selected = statistics.range(question.start, question.stop)
    return selected.diversity(question.members), selected.error_products(question.members)


def from_predictions(predictions: Predictions, question: Question) -> Answer:
    """The same from the predictions: matrix products and nothing in a loop."""
    values = predictions.values[question.members, question.start : question.stop]  # a copy
    labels = predictions.labels[question.start : question.stop]
    members, examples, classes = values.shape
    named = values.argmax(axis=-1)
    right = (named == labels).astype("float32")
    one_hot = (named[:, :, None] == np.arange(classes)).astype("float32").reshape(members, -1)
    values[:, np.arange(examples), labels] -= 1.0
    errors = values.reshape(members, -1)
    products = errors @ errors.T / examples
    first, second = np.triu_indices(members, k=1)
    both = (right @ right.T)[first, second].astype("float64") / examples
    alike_named = (one_hot @ one_hot.T)[first, second].astype("float64")
    differ = 1.0 - alike_named / examples
    accuracy = right.mean(axis=1, dtype="float64")
    one, other = accuracy[first], accuracy[second]
    only_one, only_other = one - both, other - both
    neither = 1.0 - one - other + both
    alike, unlike = both * neither, only_one * only_other
    with np.errstate(divide="ignore", invalid="ignore"):
        q_statistic = (alike - unlike) / (alike + unlike)
        correlation = (alike - unlike) / np.sqrt(one * (1 - one) * other * (1 - other))
    exactly_one = float((only_one + only_other).mean())
    diversity = Diversity(
        disagreement=float(differ.mean()),
        right_wrong_disagreement=exactly_one,
        double_fault=float(neither.mean()),
        q_statistic=mean_of_finite(q_statistic),
        correlation=mean_of_finite(correlation),
        kohavi_wolpert_variance=exactly_one * (members - 1) / (2 * members),
    )
    return diversity, products


def answer(
    way: Callable[[Any, Question], Answer],
    source: Any,
    asked: Sequence[Question],
    answers: list[Answer],
) -> None:
    """Answer all questions in one way."""
    answers.extend(way(source, question) for question in asked)


def largest_difference(some: Sequence[Answer], others: Sequence[Answer]) -> float:
    """Over all figures that have a value."""
    return max(
        float(np.nanmax(np.abs(np.subtract(one, other))))
        for ours, theirs in zip(some, others, strict=True)
        for one, other in ((astuple(ours[0]), astuple(theirs[0])), (ours[1], theirs[1]))
    )


def mean_of_finite(values: np.ndarray) -> float:
    """Mean of the pairs that have a value."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def compare(arguments: argparse.Namespace) -> tuple[str, float]:
    """All ways on the same questions; the text, and the best median of the ratios."""
    predictions = made_up(arguments.members, arguments.examples)
    asked = questions(arguments.members, arguments.examples, arguments.questions)
    ours = {
        "chunks by default": EnsembleStatistics(predictions),
        f"chunks of {SMALL_CHUNK}": EnsembleStatistics(predictions, chunk=SMALL_CHUNK),
    }
    building = {name: seconds_of(each.error_products) for name, each in ours.items()}
    times: dict[str, list[float]] = {name: [] for name in [*ours, RIVAL]}
    furthest = 0.0
    for _ in range(arguments.repeats):
        theirs: list[Answer] = []
        times[RIVAL].append(
            seconds_of(partial(answer, from_predictions, predictions, asked, theirs))
        )
        for name, statistics in ours.items():
            answer(from_sums, statistics, asked[:50], [])  # what is filled on first use
            answers: list[Answer] = []
            times[name].append(seconds_of(partial(answer, from_sums, statistics, asked, answers)))
            furthest = max(furthest, largest_difference(answers, theirs))
    lines = [
        f"{arguments.members:,} members x {arguments.examples:,} examples x {CLASSES} classes;"
        f" {len(asked):,} questions, {arguments.repeats} repeats of all ways in turns:",
        "",
        f"| | seconds for {len(asked):,} questions | times as fast | sums (MiB) | made in (s) |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| {RIVAL} | {in_words(times[RIVAL])} | 1 | | |",
    ]
    best = 0.0
    for name, statistics in ours.items():
        ratios = [their / our for our, their in zip(times[name], times[RIVAL], strict=True)]
        best = max(best, spread.median(ratios))
        lines.append(
            f"| from sums, {name} ({statistics.aggregates.chunk} examples) |"
            f" {in_words(times[name])} | {in_words(ratios, '.0f')} |"
            f" {statistics.nbytes / 2**20:.0f} | {building[name]:.2f} |"
        )
    held = predictions.values.nbytes / 2**20
    lines += ["", f"Predictions take {held:.0f} MiB. Answers agree within {furthest:.0e}."]
    return "\n".join(lines), best


def adding_table(arguments: argparse.Namespace) -> str:
    """Seconds to add a member, as members and as examples double."""
    members, examples = arguments.members // 2, arguments.examples // 2
    lines = ["| members | examples | milliseconds, median (least to most) | least, to row before |"]
    lines += ["| ---: | ---: | ---: | ---: |"]
    for sizes in (
        [(members * 2**step, arguments.examples) for step in range(5)],
        [(arguments.members, examples * 2**step) for step in range(5)],
    ):
        before = None
        for size in sizes:
            times = adding(*size, arguments.repeats)
            growth = "" if before is None else f"{min(times) / before:.2f}"
            before = min(times)
            shown = in_words([1000 * one for one in times], ".1f")
            lines.append(f"| {size[0]:,} | {size[1]:,} | {shown} | {growth} |")
    return "\n".join(lines)


def adding(members: int, examples: int, repeats: int) -> list[float]:
    """Seconds to add one to so many members, with sums of ranges and of classes."""
    statistics = EnsembleStatistics(made_up(members, examples), chunk=64)
    statistics.error_products()
    statistics.of_class(0).error_products()
    new = made_up(1, examples, seed=2).values[0]
    times = []
    for number in range(repeats + 1):
        times.append(seconds_of(partial(statistics.add, f"new_{number}", new)))
        statistics.drop(f"new_{number}")
    return times[1:]


def predicted_bytes(members: int, examples: int, classes: int, chunk: int) -> int:
    """The formula of the page."""
    boundaries = -(-examples // chunk) + 1
    pairs = 24 * members * (members + 1) // 2
    alone = (8 * classes + 8 + 15 * 16) * members
    return 2 * (boundaries * (pairs + alone) + 8 * examples)


def memory_table(sizes: Sequence[tuple[int, int]]) -> tuple[str, float]:
    """Bytes of the sums as predicted and as measured; the table, and the largest difference."""
    lines = [
        "| members | examples | chunk | predictions (MiB) | sums, predicted (MiB) | arrays (MiB)"
        " | process (MiB) | off | building (s) |"
    ]
    lines += ["| ---: |" + " ---: |" * 8]
    worst = 0.0
    for members, examples in sizes:
        # A process of its own: memory that was freed before would hide what is taken.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            chunk, measured, grown, building = alone.submit(built, members, examples).result()
        predicted = predicted_bytes(members, examples, CLASSES, chunk)
        off = max(abs(found - predicted) / predicted for found in (measured, grown))
        worst = max(worst, off)
        sizes_shown = (8 * members * examples * CLASSES, predicted, measured, grown)
        shown = " | ".join(f"{each / 2**20:,.1f}" for each in sizes_shown)
        lines.append(
            f"| {members:,} | {examples:,} | {chunk} | {shown} | {off:.1%} | {building:.1f} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines), worst


def built(members: int, examples: int) -> tuple[int, int, int, float]:
    """Make the sums of both orders: chunk, bytes of arrays, growth of the process, seconds."""
    small = EnsembleStatistics(made_up(2, 100))  # what is loaded on first use
    small.error_products(), small.of_class(0).error_products()
    statistics = EnsembleStatistics(made_up(members, examples))
    chunk = statistics.aggregates.chunk
    before = resident()
    building = seconds_of(statistics.error_products)
    building += seconds_of(statistics.of_class(0).error_products)
    return chunk, statistics.nbytes, resident() - before, building


def resident() -> int:
    """Bytes of memory that this process holds, by the system."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def seconds_of(make: Callable[[], object]) -> float:
    """Processor seconds of a call: on a busy machine the clock on the wall measures others too."""
    start = time.process_time()
    make()
    return time.process_time() - start


def in_words(values: Sequence[float], form: str = ".3f") -> str:
    """Median and range."""
    low, high = min(values), max(values)
    return f"{spread.median(values):{form}} ({low:{form}} to {high:{form}})"


def machine() -> str:
    """What this ran on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, a load of {load:.1f} at the end; Python"
        f" {platform.python_version()}, NumPy {np.__version__}"
    )


HEAD = """# Statistics from sums

Written by `{command}` on {machine}. Linear algebra has one thread on both sides.

`EnsembleStatistics` reads predictions once and keeps sums. What is asked then is a question to the
sums: all measures of diversity, the Brier score of any weighted subset and its decomposition, every
member's accuracy, likelihood and calibration, on any range of examples or any class. Accuracy,
likelihood and calibration of an *average* of members do not add up over members; they take a pass
over the predictions, as before.

## What can be asked

```python
import keras_mothernets as km

# Of each member (examples, classes); of networks: km.EnsembleStatistics.of(members, x, y).
one, two = [[0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]]
predictions = km.Predictions.of_classes([one, two], [0, 1], ["one", "two"])
statistics = km.EnsembleStatistics(predictions)
print(statistics)
print(statistics.diversity())
print(statistics.of_class(1).brier(["two"]), statistics.range(0, 1).accuracy())
print(statistics.ranking("nll"), statistics.which_can_go(within=0.01))
```

| question | call |
| --- | --- |
| How good is each member, and all together? | `print(statistics)` |
| How good are these three, with these weights? | `nll(names, weights=...)`, `brier`, `ece`, ... |
| Do they err in different places? | `diversity()`, `oracle_accuracy()` |
| On one class? On the last examples? | `of_class(3)`, `range(9000)`: the same questions again |
| Who is best alone, and who can go? | `ranking()`, `which_can_go(within=0.001)` |
| What does one more member bring? | `add(name, predictions)`, and ask again |
| Which weights? | `km.greedy_selection(statistics)`, `km.super_learner(statistics)` |

`save` and `load` keep them in a folder. Choose on held-out data, and measure what was chosen on
other data.

## Why running sums

Sums are kept at every boundary between chunks of examples, from the first example on. A range is
the difference of two boundaries, whatever its length, and up to half a chunk of single examples at
each end, which are read from the predictions (kept in full, and mapped from disk where they are
large; the class that each member names is kept besides, in a byte up to 256 classes). A tree of
chunks, as Data Canopy has it, would add up to twice the logarithm of their number instead,
and hold twice as many sums. A difference can lose digits: none that matter with probabilities,
whose sums are bounded; of a regression, a range whose squared errors are less than 1e-5 of
all is found and summed anew from its examples.

The examples of a class lie one after the other in a second order of the examples, sorted by class,
with sums of its own: classes, and classes within ranges, are ranges there. That takes twice the
memory, and sums per class would take as many times as there are classes.

## Questions

A question is a random subset (2 to all members, each size as likely) on a random range. Its answer
is everything about pairs: the six measures of diversity, and the products of errors of each pair,
from which Brier scores of all weights follow. The rival has the predictions in memory, copies
those of the subset and range, and finds the same by three matrix products. Medians, and
least to most. Times are processor seconds: the machine was shared. Small chunks leave fewer single
examples to mend, and pay for it with memory (of the sums of ranges alone, in the table).

"""

MEMORY = """
## Memory

For m members, n examples, c classes and chunks of s examples the sums take

    2 (orders) x ((ceil(n / s) + 1) x (24 m (m + 1) / 2 + (8 c + 248) m) + 8 n) bytes

24 bytes for a pair of members: product of errors, both right, same class; of a member
itself summed predictions (8 c), log-likelihood (8), and 15 bins of confidence with count, right and
confidence (16 each); and the numbers of the examples in each order. An order's sums are made when
it is first asked for. By default s is 4 m / c, at least 32, with which the pairs take about
three quarters of the bytes of the predictions (8 m n c). *Arrays* are the bytes of the arrays that
hold the sums, *process* is what the process grew by, by the system; *off* is the larger difference
of the two from what is predicted. A member that is added makes small arrays merge; for that
moment up to 64 MiB are there twice.

"""


def page(command: str, speed: str, adding: str, memory: str) -> str:
    """The text of docs/STATISTICS.md."""
    head = HEAD.format(command=command, machine=machine())
    adds = "\n\n## Adding a member\n\nOne pass over its predictions and those of the others, for"
    adds += " the sums of ranges and of classes (chunks of 64). Linear in both:\n\n"
    return f"{head}{speed}{adds}{adding}\n{MEMORY}{memory}\n"


if __name__ == "__main__":
    sys.exit(main())
