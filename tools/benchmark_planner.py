#!/usr/bin/env python
"""Predicted against measured times: networks that nothing was fitted to, and whole plans.

    tools/benchmark_planner.py jobs --page docs/PLANNING.md     # about 10 minutes
    tools/benchmark_planner.py choice --page docs/PLANNING.md   # about 20 minutes
    tools/benchmark_planner.py many --page docs/PLANNING.md     # about 3 minutes

The device is measured first, into a folder of its own, so that nothing learned before helps. Each
network is predicted, then trained, and nothing is learned from that. Nothing else should run
meanwhile. `choice` runs
what the planner proposes for three budgets, and the other numbers of MotherNets too, on CIFAR-10.
`many` asks for plans and proposals of V100.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results" / "planner"
EPOCHS = 3
PLANS = 3  # how often MotherNets on V5 are trained


def main(argv: list[str] | None = None) -> int:
    """Run one of the benchmarks, keep its table, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    add = parser.add_argument
    add("what", choices=["jobs", "choice", "many", "page"], help="page only writes the page anew")
    add("--page", type=Path, help="page to write")
    add("--data-dir", type=Path, help="where tensorflow-datasets keeps its data (choice)")
    add("--budgets", type=float, nargs="+", default=[40.0, 80.0, 160.0], help="seconds (choice)")
    add("--clusters", type=int, nargs="+", default=[1, 2, 3, 5], help="(choice)")
    add("--seeds", type=int, nargs="+", default=[0], help="(choice)")
    add("--train-size", type=int, default=5000, help="training images (choice)")
    add("--note", default="", help="what a reader must know of the data")
    arguments = parser.parse_args(argv)
    if arguments.what != "page":
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KERAS_MOTHERNETS_CACHE"] = folder
            {"jobs": jobs, "choice": choice, "many": many}[arguments.what](arguments)
    if arguments.page is not None:
        from planner_page import write_page

        write_page(arguments.page, RESULTS)
    return 0


def networks() -> Iterator[tuple[str, Callable[[], Any], int, int]]:
    """Name, maker, batch size and number of examples of each network."""
    from keras_mothernets import zoo

    images = (32, 32, 3)
    for depth, width, batch, rows in (
        (11, 0.125, 32, 2000), (13, 0.125, 128, 4000), (19, 0.125, 128, 4000), (11, 0.25, 64, 1500),
        (16, 0.25, 128, 1500), (13, 0.5, 64, 512), (16, 0.1, 256, 4096),
    ):  # fmt: skip
        make = partial(zoo.vgg, images, 10, vgg_blocks(depth), width=width)
        yield f"VGG{depth}, width {width:g}", make, batch, rows
    for depth, width, batch, rows in (
        (20, 0.5, 64, 1000), (20, 1.0, 128, 640), (32, 0.25, 32, 1000), (32, 0.5, 128, 768),
        (56, 0.25, 64, 768),
    ):  # fmt: skip
        make = partial(zoo.resnet, images, 10, depth=depth, width=width)
        yield f"ResNet{depth}, width {width:g}", make, batch, rows
    for depth, width, batch, rows in ((16, 0.0625, 64, 1500), (22, 0.125, 128, 768)):
        make = partial(zoo.wide_resnet, images, 10, depth=depth, width=width)
        yield f"Wide ResNet{depth}, width {width:g}", make, batch, rows
    for depth, growth, batch, rows in (
        (22, 6, 32, 768), (22, 12, 64, 512), (40, 6, 64, 512), (40, 12, 32, 256),
    ):  # fmt: skip
        make = partial(zoo.densenet, images, 10, depth=depth, growth=growth)
        yield f"DenseNet{depth}, growth {growth}", make, batch, rows
    for hidden, batch, rows in (
        ((128, 128), 32, 12000), ((512, 512), 64, 20000), ((1024,) * 3, 128, 16000),
        ((64,) * 8, 128, 40000), ((2000, 100), 256, 24000),
    ):  # fmt: skip
        make = partial(zoo.mlp, (64,), 10, hidden)
        yield f"MLP {', '.join(map(str, hidden))}", make, batch, rows


def vgg_blocks(depth: int) -> list[list[tuple[int, int]]]:
    """The convolutions of a VGG network."""
    counts = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth]
    filters = (64, 128, 256, 512, 512)
    return [[(3, size)] * count for count, size in zip(counts, filters, strict=True)]


def jobs(arguments: argparse.Namespace) -> None:
    """Predict and train each network alone, then the plan of MotherNets on V5."""
    import keras
    import numpy as np

    import keras_mothernets as km
    from keras_mothernets.planning import DeviceCosts, Predictor
    from keras_mothernets.planning.pace import forget_pace

    begin = time.perf_counter()
    costs = km.measure_device()
    measured_in = time.perf_counter() - begin
    print(f"measured in {measured_in:.0f} s: {costs.overheads}")
    rng = np.random.default_rng(0)

    def prepared(members: list[Any], kind: type, batch: int, rows: int, epochs: int) -> Any:
        shape = km.Member(members[0]).model.input_shape[1:] if kind is km.FullData else (32, 32, 3)
        x = rng.integers(0, 256, (rows, *shape)).astype("uint8")
        if len(shape) == 1:
            x = x.astype("float32") / 255
        y = rng.integers(0, 10, rows)
        held = rows // 8
        method = kind(members)
        compiled(method)
        fit = {"epochs": epochs, "batch_size": batch, "validation_data": (x[:held], y[:held])}
        return method, x, y, fit

    cases = []
    for name, make, batch, rows in networks():
        cases.append((name, batch, rows, *prepared([make()], km.FullData, batch, rows, EPOCHS)))
    for number in range(1, PLANS + 1):
        v5 = km.zoo.v5((32, 32, 3), 10, width=0.125)
        plan = prepared(v5, km.MotherNets, 128, 4000, 10)
        cases.append((f"plan {number}: MotherNets, V5 x 0.125", 128, 4000, *plan))
    table: list[dict[str, Any]] = []
    for name, batch, rows, method, x, y, fit in cases:
        plan, context = prepared_plan(method, x, y, **fit)
        forget_pace(costs.device)
        begin = time.perf_counter()
        by_law = Predictor(DeviceCosts.here(), seconds=0.0)(plan, context)
        told = Predictor(DeviceCosts.here(), seconds=math.inf)(plan, context)
        row = {"network": name, "batch": batch, "examples": rows, "by laws": by_law.total}
        row |= {"measured layers": told.total, "pace": told.pace}
        row["asking took"] = time.perf_counter() - begin
        with _learning_nothing():
            history = method.fit(x, y, verbose=0, **fit)
        row["measured"] = history.ledger.total()
        table.append(row)
        print(row, flush=True)
    _keep("jobs.csv", table)
    (RESULTS / "device.txt").write_text(
        f"{costs.device}; Python {platform.python_version()}, Keras {keras.__version__};"
        f" the device was measured in {measured_in:.0f} s\n"
    )


def choice(arguments: argparse.Namespace) -> None:
    """For each budget train what is proposed, for each number of MotherNets, on CIFAR-10."""
    import keras

    import keras_mothernets as km

    data = km.datasets.load("cifar10", data_dir=arguments.data_dir)
    x, y = data.x_train[: arguments.train_size], data.y_train[: arguments.train_size]
    validation = (data.x_val[: len(x) // 9], data.y_val[: len(x) // 9])
    km.measure_device()
    rows = []
    for seed in arguments.seeds:
        keras.utils.set_random_seed(seed)
        members = km.zoo.v5((32, 32, 3), 10, width=0.125, augment=True)
        method = km.MotherNets(members, seed=seed)
        compiled(method)
        for budget in arguments.budgets:
            found = method.propose(
                x, y, budget=budget, clusters=arguments.clusters, validation_data=validation
            )
            print(f"budget {budget:g} s, seed {seed}\n{found}", flush=True)
            for one in found.options:
                row = _trained(km, members, one, x, y, validation, data, seed)
                rows.append({"budget": budget, "seed": seed, "best": one is found.best, **row})
                print(rows[-1], flush=True)
    _keep("choice.csv", rows)
    (RESULTS / "choice.txt").write_text(
        f"V5 an eighth as wide, CIFAR-10, {len(x):,} training images{arguments.note and '; '}"
        f"{arguments.note}; {len(data.x_test):,} test images\n"
    )


@contextlib.contextmanager
def _learning_nothing() -> Iterator[None]:
    """Inside, nothing is known of the device, so that nothing is learned."""
    known = os.environ["KERAS_MOTHERNETS_CACHE"]
    with tempfile.TemporaryDirectory() as empty:
        os.environ["KERAS_MOTHERNETS_CACHE"] = empty
        yield
    os.environ["KERAS_MOTHERNETS_CACHE"] = known


def many(arguments: argparse.Namespace) -> None:
    """How long it takes to ask for plans of a hundred networks, first and again."""
    import numpy as np

    import keras_mothernets as km

    km.measure_device()
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (10_000, 32, 32, 3)).astype("uint8"), rng.integers(0, 10, 10_000)
    members = km.zoo.v100((32, 32, 3), 10, width=0.125)
    method = km.MotherNets(members)
    compiled(method)
    asked: dict[str, Callable[[Any], Any]] = {
        "`plan`, 20 epochs": lambda one: one.plan(x, y, epochs=20),
        "`plan` again": lambda one: one.plan(x, y, epochs=20),
        "`plan`, 40 epochs": lambda one: one.plan(x, y, epochs=40),
        "`propose` for 20 hours": lambda one: one.propose(x, y, budget="20h"),
        "`propose` again": lambda one: one.propose(x, y, budget="20h"),
        "`propose` for 40 hours": lambda one: one.propose(x, y, budget="40h"),
        "`propose`, a device twice as fast": lambda one: one.propose(x, y, budget="20h", faster=2),
    }
    rows = []
    for question, ask in asked.items():
        if question == "`propose` for 20 hours":  # asked by one who has not asked for a plan
            method = km.MotherNets(members)
            compiled(method)
        begin = time.perf_counter()
        ask(method)
        rows.append({"question": question, "seconds": time.perf_counter() - begin})
        print(rows[-1], flush=True)
    _keep("many.csv", rows)


def compiled(method: Any) -> None:
    """Compile a method as the console command does."""
    from keras_mothernets.training.optimizers import OptimizerOfJob

    optimizer = OptimizerOfJob("sgd", 0.1, 5e-4)
    method.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


def prepared_plan(
    method: Any, x: Any, y: Any, *, epochs: int, batch_size: int, validation_data: Any
) -> tuple[Any, Any]:
    """The plan of a method and what its jobs share."""
    from keras_mothernets.training import read_data

    data = read_data(x, y, validation_data=validation_data)
    return method._prepare(data, epochs, batch_size, "val_loss")


def _trained(
    km: Any, members: Any, one: Any, x: Any, y: Any, validation: Any, data: Any, seed: int
) -> dict[str, Any]:
    method = km.MotherNets(members, n_clusters=one.n_clusters, seed=seed)
    compiled(method)
    begin = time.perf_counter()
    history = method.fit(x, y, epochs=one.epochs, validation_data=validation, verbose=0)
    seconds = time.perf_counter() - begin
    statistics_ = km.EnsembleStatistics.of(
        [km.Member(m, name=n) for m, n in zip(method.members, method.finished_names, strict=True)],
        data.x_test, data.y_test,
    )  # fmt: skip
    return {
        "clusters": one.n_clusters,
        "epochs": one.epochs,
        "effective epochs": one.effective_epochs,
        "predicted": one.seconds,
        "measured": history.ledger.total(),
        "wall": seconds,
        "error": 1 - statistics_.accuracy(),
        "nll": statistics_.nll(),
    }


def _keep(name: str, rows: Sequence[dict[str, Any]]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
