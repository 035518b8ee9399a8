#!/usr/bin/env python
"""Kills training processes at random instants and sees whether their runs survive: docs/KILLS.md.

Runs are killed (SIGKILL), go on in another process, are killed again, and so on until a process
comes to the end. The first run is killed at chosen points, inside each file that is written and
before and after its rename; the others at random instants.

    tools/kill_campaign.py --kills 200 --seed 0       # a quarter of an hour on one core
    tools/kill_campaign.py --kills 0                  # the chosen points only; a minute
    tools/kill_campaign.py --draw                     # write the page from what is kept
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import random
import shlex
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # only a process of one thread can be forked
os.environ["OMP_NUM_THREADS"] = "1"

from killed_runs import END, POINT, TIMER, Kill, Life, lives_of, outcome
from killed_training import PHASES, STOPS, Training

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tools" / "results" / "kills" / "kills.csv"
PAGE = ROOT / "docs" / "KILLS.md"
LATER = 0.5  # a process that goes on is killed within this part of an undisturbed run's seconds
MOST = 12  # kills at random instants of one run
NAMES = tuple(entry.name for entry in fields(Life))

HEAD = """# Runs that are killed

Written by `tools/kill_campaign.py` from `tools/results/kills/kills.csv`; the command was

    {command}"""

WORDS = {
    "what": "A run of `MotherNets` is trained in a process that is killed (SIGKILL); another one"
    " goes on, and is killed too, and so on until one comes to the end. The run is small, a mother"
    " and three members with convolutions, batch normalization, dropout and augmentation, but"
    " all that a run has is in it: {epochs} epochs, each with a checkpoint (those of so short"
    " epochs would else be passed over), and the files of each job, of the plan and the ledger.",
    "how": "*By timer*: killed from outside at a random instant. *At a point*: killed at a chosen"
    " call, in the middle of a file, or before or after its rename. *Phase*: what was going on"
    " when the process was killed; a file's name stands for its being written, *clearing* for the"
    " removal of a checkpoint that is not needed any more.",
    "result": "**{kills} kills in {runs} runs: {same} of the runs ended with the weights, histories"
    " and ledger of the undisturbed run, bit for bit; {again} finished jobs were trained or written"
    " again.** Each kill may lose the epoch under way; in all, {lost} were begun a second time."
    " All processes took {seconds:.0f} s of a processor; the longest chain was of {longest} kills.",
}


def campaign(kills: int, seed: int, training: Training, *, at_points: bool) -> Iterator[list[Life]]:
    """The undisturbed run, then those that are killed.

    Args:
        kills: How many kills at random instants there are, at least.
        seed: Of the instants; what they hit depends on the machine too.
        training: What is trained.
        at_points: Whether there is a run that is killed at the chosen points too.

    Yields:
        The processes of each run.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs = (Path(folder) / str(number) for number in itertools.count())
        first = next(runs)
        undisturbed = lives_of(0, first, training, iter(()), None)
        yield undisturbed
        expected, rng = outcome(first), random.Random(seed)
        if at_points:
            yield lives_of(1, next(runs), training, map(Kill, STOPS), expected)
        while kills > 0:
            run = next(runs)
            instants = _instants(rng, undisturbed[0].seconds, min(kills, MOST))
            lives = lives_of(int(run.name), run, training, instants, expected)
            kills -= sum(life.was_killed for life in lives)
            yield lives


def _instants(rng: random.Random, seconds: float, most: int) -> Iterator[Kill]:
    """For each process of a run, its seconds: anywhere in the first, early in the others."""
    for number in range(most):
        yield Kill(seconds=rng.uniform(0, seconds * (LATER if number else 1)))


def write(path: Path, lives: Iterable[Life], *, command: str) -> None:
    """Keep what was found, with the command that found it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        stream.write(f"# {command}\n")
        writer.writerow(NAMES)
        writer.writerows(
            [f"{cell:.3f}" if isinstance(cell, float) else cell for cell in astuple(life)]
            for life in lives
        )


def read(path: Path) -> tuple[list[Life], str]:
    """What `write` kept: the processes and the command."""
    first, *lines = path.read_text().splitlines()
    rows = csv.DictReader(lines)
    kinds: dict[str, Callable[[str], Any]] = {
        "float": float, "int": int, "str": str, "bool": lambda text: text == "True",
    }  # fmt: skip
    types = {entry.name: kinds[str(entry.type)] for entry in fields(Life)}
    lives = [Life(**{name: types[name](row[name]) for name in NAMES}) for row in rows]
    return lives, first.removeprefix("# ")


def page(lives: Sequence[Life], command: str) -> str:
    """The page.

    Args:
        lives: All processes; the first is that of the undisturbed run.
        command: What found this.
    """
    killed = [life for life in lives if life.was_killed]
    runs = {life.run: life.is_same for life in lives[1:]}
    epochs = lives[0].epochs
    chains = Counter(life.run for life in killed)
    words = {
        "epochs": epochs,
        "kills": len(killed),
        "runs": len(runs),
        "same": "all" if all(runs.values()) else sum(runs.values()),
        "again": sum(life.trained_again for life in lives) or "no",
        "lost": lost_epochs(lives),
        "seconds": sum(life.seconds for life in lives),
        "longest": max(chains.values(), default=0),
    }
    texts = [textwrap.fill(text.format(**words), 100) for text in WORDS.values()]
    return (
        "\n\n".join([HEAD.format(command=command), *texts, _phases(killed), _points(killed)]) + "\n"
    )


def lost_epochs(lives: Sequence[Life]) -> int:
    """Epochs that were begun again, in all runs together."""
    runs = len({life.run for life in lives})
    return sum(life.epochs for life in lives) - runs * lives[0].epochs


def _phases(killed: Sequence[Life]) -> str:
    rows = []
    for phase in PHASES:
        here = [life for life in killed if life.phase == phase]
        how = Counter(life.how for life in here)
        same, again = sum(life.is_same for life in here), sum(life.trained_again for life in here)
        seconds = sum(life.seconds for life in here) / max(1, len(here))
        rows.append([phase, how[TIMER], how[POINT], same, again, f"{seconds:.1f}"])
    return _table(
        "phase | kills by timer | at a point | resumed bit-identically | jobs trained again"
        " | process took, mean (s)",
        rows,
    )


def _points(killed: Sequence[Life]) -> str:
    chosen = Counter((life.phase, life.point, life.is_same) for life in killed if life.point)
    rows = [
        [phase, point, count, "yes" if is_same else "no"]
        for (phase, point, is_same), count in chosen.items()
    ]
    return _table("phase | point | kills | resumed bit-identically", rows)


def _table(head: str, rows: Iterable[Sequence[object]]) -> str:
    columns = head.split(" | ")
    lines = [columns, ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def is_good(lives: Sequence[Life]) -> bool:
    """Whether nothing was lost that must not be, and every chosen point was passed."""
    kills = sum(life.was_killed for life in lives)
    return (
        all(life.is_same and not life.trained_again for life in lives)
        and all(life.was_killed or life.how == END for life in lives)
        and lost_epochs(lives) <= kills
    )


def build_parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--kills", type=int, default=200, help="at random instants, at least so many (200)")
    add("--seed", type=int, default=0, help="of the instants (0)")
    add("--no-points", action="store_true", help="no run that is killed at chosen points")
    add("--epochs", type=int, default=3, help="of the mother; members have one less (3)")
    add("--csv", type=Path, default=KEPT, help="where each process is written down")
    add("--page", type=Path, default=PAGE, help="page to write")
    add("--draw", action="store_true", help="train nothing; write the page from the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, and write what came of it; 1 if something was lost."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = build_parser().parse_args(words)
    if not arguments.draw:
        lives: list[Life] = []
        training = Training(arguments.epochs)
        points = not arguments.no_points
        for run in campaign(arguments.kills, arguments.seed, training, at_points=points):
            lives += run
            write(arguments.csv, lives, command=shlex.join(["tools/kill_campaign.py", *words]))
            print(*run, sep="\n", flush=True)
    lives, command = read(arguments.csv)
    arguments.page.write_text(page(lives, command))
    return 0 if is_good(lives) else 1


if __name__ == "__main__":
    sys.exit(main())
