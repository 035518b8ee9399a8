#!/usr/bin/env python
"""What several processes gain: V5 at reduced width, `Processes(n)` against `Local`, in turn.

Local has all cores for one job after the other; a worker has its share of them. The networks are
compared too: with one thread in each, several processes give what one gives, bit for bit;
with all threads in one, sums are made in another order.

    tools/benchmark_processes.py --workers 2 --rounds 3

Every training runs in a process of its own, since threads can be set once. Images are random:
they cost as much as others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDES = ("local", "processes", "one thread")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print it; 1 if results differ that must be equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    add = parser.add_argument
    add("--workers", type=int, default=2, help="processes (2)")
    add("--rounds", type=int, default=3, help="rounds (3)")
    add("--width", type=float, default=0.125, help="width multiplier of V5 (0.125)")
    add("--images", type=int, default=2000, help="training images (2000)")
    add("--epochs", type=int, default=6, help="of the mother (6)")
    add("--member-epochs", type=int, default=3, help="of every member (3)")
    add("--side", choices=SIDES, help=argparse.SUPPRESS)
    add("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.side is not None:
        train(arguments)
        return 0
    return compare(arguments, sys.argv[1:] if argv is None else argv)


def compare(arguments: argparse.Namespace, argv: list[str]) -> int:
    """Both sides in turn, and once with one thread; print what came of it."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    results: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sides = [side for _ in range(arguments.rounds) for side in SIDES[:2]]
        for side in [*sides, SIDES[2]]:
            out = Path(folder, "out.npz")
            subprocess.run(
                [sys.executable, __file__, *argv, "--side", side, "--out", str(out)], check=True
            )
            with np.load(out) as result:
                results[side] = {name: result[name] for name in result.files}
            seconds[side].append(float(results[side].pop("seconds")))
    ratios = [a / b for a, b in zip(seconds["processes"], seconds["local"], strict=True)]
    local, several = (statistics.median(seconds[side]) for side in SIDES[:2])
    threads = max(1, (os.cpu_count() or 1) // arguments.workers)
    print(
        f"V5 at width {arguments.width:g}, {arguments.images:,} images, {arguments.epochs} + "
        f"{arguments.member_epochs} epochs, {os.cpu_count()} CPU cores, {arguments.rounds} rounds\n"
        f"Local, all cores                     median {local:6.1f} s\n"
        f"Processes({arguments.workers}), {threads} thread each          median {several:6.1f} s\n"
        f"Local, one thread                           {seconds['one thread'][0]:6.1f} s\n"
        f"ratio of medians {several / local:.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})\n"
        f"largest relative difference of a loss from Local with all cores: in the first epochs "
        f"{difference(results, 'local', first=True):.1e}, in all {difference(results, 'local'):.1e}"
        f"; weights and losses equal those with one thread: {is_equal(results)}"
    )
    return int(threads == 1 and not is_equal(results))


def difference(
    results: dict[str, dict[str, np.ndarray]], side: str, *, first: bool = False
) -> float:
    """The largest relative difference of a loss of several processes from another side's."""
    mine, theirs = results["processes"], results[side]
    return max(
        float(np.abs(mine[name] / theirs[name] - 1)[: 1 if first else None].max())
        for name in theirs
        if name.endswith("/loss")
    )


def is_equal(results: dict[str, dict[str, np.ndarray]]) -> bool:
    """Whether several processes give what one with one thread gives, bit for bit."""
    mine, theirs = results["processes"], results["one thread"]
    return all(np.array_equal(mine[name], theirs[name]) for name in theirs)


def train(arguments: argparse.Namespace) -> None:
    """One side: train, and keep seconds and weights."""
    import keras
    import tensorflow as tf

    import keras_mothernets as km

    if arguments.side == "one thread":
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    members = km.zoo.v5((32, 32, 3), 10, width=arguments.width)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (arguments.images, 32, 32, 3), "uint8")
    y = rng.integers(0, 10, arguments.images)
    method = km.MotherNets(members, member_epochs=arguments.member_epochs)
    method.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"]
    )
    is_several = arguments.side == "processes"
    executor = km.Processes(arguments.workers) if is_several else km.Local()
    begin = time.perf_counter()
    history = method.fit(x, y, epochs=arguments.epochs, executor=executor, verbose=0)
    seconds = time.perf_counter() - begin
    weights = {
        f"{model.name}/{number}": array
        for model in method.members
        for number, array in enumerate(model.get_weights())
    }
    losses = {name: np.array(values) for name, values in history.history.items()}
    np.savez(
        arguments.out, allow_pickle=False, **{"seconds": np.array(seconds), **losses, **weights}
    )


if __name__ == "__main__":
    sys.exit(main())
