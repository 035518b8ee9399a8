#!/usr/bin/env python
"""Test error of an ensemble against its training time: FullData and MotherNets on CIFAR-10.

The paper's own way at longer budgets; `keras-mothernets compare` has all methods and equal costs.

Trains V5 at reduced width with both methods at several budgets and seeds. Both sides get the same
data, augmentation, optimizer and schedule; FullData gets short budgets too, so that its own best
shows. Test images are looked at once, after training; nothing is chosen on them.

    tools/compare_cifar10.py --data-dir DIR                     # train what is not trained yet
    tools/compare_cifar10.py --plot                             # draw what is there so far
    tools/compare_cifar10.py --page                             # write docs/LONGER_TRAINING.md

Each cell (method, budget, seed) has a run directory of its own: stopped at any time, the same
command goes on. CPU seconds are the measure of time, because they count only this process.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import math
import os
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from compare_report import Cell, draw, read_cells, write_page

from keras_mothernets.errors import MotherNetsError

DEFAULT_BUDGETS = (
    "fulldata:5 fulldata:10 fulldata:20 fulldata:40 "
    "mothernets:10+5 mothernets:20+10 mothernets:20+20 mothernets:40+20"
).split()
ORDER_SEED = 0  # of the fixed random order whose first images are used


@dataclass(frozen=True)
class Budget:
    """How a method spends its time, as written on the command line.

    Args:
        text: "fulldata:20" (epochs of every member), "mothernets:20+10" (epochs of the mother and
            of every member after hatching), or "mothernets-g2:20+10" with two clusters.
    """

    text: str

    def __post_init__(self) -> None:
        method, _, epochs = self.text.partition(":")
        counts = epochs.split("+")
        is_known = method == "fulldata" or method.split("-g")[0] == "mothernets"
        numbers = [*counts, *method.split("-g")[1:]]
        if not is_known or not all(number.isdigit() for number in numbers):
            raise argparse.ArgumentTypeError(f"{self.text!r} is no budget")
        if len(counts) != (1 if method == "fulldata" else 2):
            raise argparse.ArgumentTypeError(f"{self.text!r} has the wrong number of epochs")

    @property
    def method(self) -> str:
        """The method's name in tables and pictures."""
        name, _, clusters = self.text.partition(":")[0].partition("-g")
        if name == "fulldata":
            return "FullData"
        return f"MotherNets, {clusters} clusters" if clusters else "MotherNets"

    @property
    def epochs(self) -> list[int]:
        """Epochs from scratch, then those after hatching, if any."""
        return [int(number) for number in self.text.partition(":")[2].split("+")]

    @property
    def clusters(self) -> int:
        """Number of MotherNets."""
        return int(self.text.partition(":")[0].partition("-g")[2] or 1)


@dataclass(frozen=True)
class Settings:
    """What all cells of one comparison have in common."""

    width: float
    train_size: int
    test_size: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    note: str


def main(argv: list[str] | None = None) -> int:
    """Run the command; 2 after one sentence about what is wrong."""
    arguments = parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if not (arguments.plot or arguments.page):
            train_all(arguments)
        cells = read_cells(arguments.out / "results.csv")
        settings = json.loads((arguments.out / "settings.json").read_text())
        draw(cells, settings, arguments.out / "error_against_time.png")
        print(f"Picture: {arguments.out / 'error_against_time.png'}")
        if arguments.page:
            write_page(cells, settings, arguments.out)
    except MotherNetsError as error:
        print(f"compare_cifar10: {error}", file=sys.stderr)
        return 2
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", type=Path, help="where tensorflow-datasets has cifar10")
    add("--out", type=Path, default=Path("runs/compare_cifar10"), help="folder of all results")
    add("--width", type=float, default=0.125, help="width multiplier of V5 (0.125)")
    add("--train-size", type=int, default=10_000, help="training images (10000)")
    add("--test-size", type=int, default=10_000, help="test images (10000)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--budgets", type=Budget, nargs="+", default=[Budget(text) for text in DEFAULT_BUDGETS],
        metavar="METHOD:EPOCHS", help=" ".join(DEFAULT_BUDGETS))  # fmt: skip
    add("--batch-size", type=int, default=128)
    add("--learning-rate", type=float, default=0.1, help="highest of the cosine (0.1)")
    add("--weight-decay", type=float, default=5e-4, help="decoupled, times learning rate (5e-4)")
    add("--note", default="", help="what a reader must know of the data, for table and picture")
    add("--plot", action="store_true", help="train nothing; draw what is there")
    add("--page", action="store_true", help="train nothing; write docs/LONGER_TRAINING.md")
    return parser.parse_args(argv)


def train_all(arguments: argparse.Namespace) -> None:
    """Train every cell that has no result yet, one seed after the other."""
    settings = Settings(
        **{entry.name: getattr(arguments, entry.name) for entry in fields(Settings)}
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_settings(arguments.out / "settings.json", settings)
    results = arguments.out / "results.csv"
    done = {(cell.method, cell.budget, cell.seed) for cell in read_cells(results)}
    data = None
    for seed in arguments.seeds:
        for budget in arguments.budgets:
            name = budget.text.partition(":")[2]
            if (budget.method, name, seed) in done:
                continue
            data = data or load(arguments.data_dir, settings)
            print(f"== {budget.text} seed {seed}", flush=True)
            folder = arguments.out / "runs" / f"{budget.text.replace(':', '-')}-seed{seed}"
            cell = train_cell(budget, seed, settings, data, folder)
            append(results, cell)
            print(f"== error {cell.ensemble_error:.2%}, {cell.cpu_seconds:.0f} CPU s", flush=True)


def keep_settings(path: Path, settings: Settings) -> None:
    """Write the settings, or refuse to mix two comparisons in one folder."""
    from keras_mothernets import comparison

    comparison.keep_settings(path, asdict(settings))


def load(data_dir: Path | None, settings: Settings) -> tuple[Any, Any, Any, Any]:
    """The first images of a fixed random order, for training and for testing."""
    import numpy as np

    from keras_mothernets import datasets

    data = datasets.load("cifar10", data_dir=data_dir, validation=0)
    order = np.random.default_rng(ORDER_SEED)
    train = order.permutation(len(data.x_train))[: settings.train_size]
    test = order.permutation(len(data.x_test))[: settings.test_size]
    return data.x_train[train], data.y_train[train], data.x_test[test], data.y_test[test]


def train_cell(
    budget: Budget, seed: int, settings: Settings, data: tuple[Any, Any, Any, Any], run_dir: Path
) -> Cell:
    """Train one ensemble, or go on where its run directory stands, and test it."""
    import keras

    import keras_mothernets as km
    from keras_mothernets.reporting import quality_of
    from keras_mothernets.training.optimizers import OptimizerOfJob

    keras.utils.clear_session()
    gc.collect()
    keras.utils.set_random_seed(seed)
    x_train, y_train, x_test, y_test = data
    members = km.zoo.v5(x_train.shape[1:], 10, width=settings.width, augment=True)
    method: Any = km.FullData(members, seed=seed)
    if budget.method != "FullData":
        method = km.MotherNets(
            members,
            n_clusters=budget.clusters,
            member_epochs=budget.epochs[1],
            mother_part=1,  # as in the paper; stopped early she is better, see docs/RESULTS.md
            seed=seed,
        )
    method.compile(
        optimizer=OptimizerOfJob("sgd", settings.learning_rate, settings.weight_decay),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    ledger = method.fit(
        x_train, y_train, epochs=budget.epochs[0], batch_size=settings.batch_size, run_dir=run_dir
    ).ledger
    quality = quality_of(method, x_test, y_test)
    return Cell(
        method=budget.method,
        budget=budget.text.partition(":")[2],
        seed=seed,
        job_epochs=" ".join(f"{row.job}:{row.epochs}" for row in ledger),
        wall_seconds=round(ledger.total(), 1),
        cpu_seconds=round(ledger.total(column="cpu_seconds"), 1),
        member_epochs=round(member_epochs(method, ledger, members), 2),
        ensemble_error=round(1 - quality.accuracy, 5),
        mean_member_error=round(1 - quality.mean_member, 5),
        best_member_error=round(1 - quality.best_member, 5),
        nll=round(quality.nll, 5),
        disagreement=round(quality.disagreement, 5),
    )


def member_epochs(method: Any, ledger: Any, members: list[Any]) -> float:
    """Cost of a run in epochs of the average member, counted in multiplications."""
    from keras_mothernets.graph import forward_flops

    networks = [member.model for member in members]
    if any(row.role == "mother" for row in ledger):
        networks += [group.mothernet for group in method.clusters]
    # The number of parameters tells V5's networks and their mothers apart.
    by_size = {network.count_params(): forward_flops(network) or 0 for network in networks}
    average = math.fsum(by_size[m.model.count_params()] for m in members) / len(members)
    return math.fsum(row.epochs * by_size[row.parameters] for row in ledger) / average


def append(path: Path, cell: Cell) -> None:
    """Add one line to the results; the first one comes with the names of the columns."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [entry.name for entry in fields(Cell)])
        if is_new:
            writer.writeheader()
        writer.writerow(asdict(cell))
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main())
