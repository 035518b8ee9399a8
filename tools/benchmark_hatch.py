#!/usr/bin/env python
"""What hatching costs: all of V5 at full size, against cloning the same five models.

The rival is the least anyone can do to get a second model with given weights:
`keras.models.clone_model` and `set_weights`. Both sides are timed in turn, in rounds; the first
round warms up and does not count.

    tools/benchmark_hatch.py --rounds 5
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print it; 1 if hatching costs more than `--limit` times the rival."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--width", type=float, default=1.0, help="width multiplier of V5 (1)")
    parser.add_argument("--limit", type=float, default=2.0, help="ratio that is still good (2)")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import keras

    import keras_mothernets as km

    members = km.zoo.v5((32, 32, 3), 10, width=arguments.width)
    mother = km.mothernet(members)

    def hatch_all() -> list[Any]:
        return [km.hatch(mother, member.model) for member in members]

    def clone_all() -> list[Any]:
        clones = []
        for member in members:
            clone = keras.models.clone_model(member.model)
            clone.set_weights(member.model.get_weights())
            clones.append(clone)
        return clones

    rounds = [(seconds(hatch_all), seconds(clone_all)) for _ in range(arguments.rounds + 1)][1:]
    hatching, cloning = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratios = [first / second for first, second in rounds]
    parameters = sum(member.model.count_params() for member in members)
    print(
        f"V5 at width {arguments.width:g}, {parameters / 1e6:.1f} M parameters, "
        f"{arguments.rounds} rounds, Keras {keras.__version__}, {os.cpu_count()} CPU cores\n"
        f"hatch all five           median {hatching:6.2f} s\n"
        f"clone_model, set_weights median {cloning:6.2f} s\n"
        f"ratio of medians {hatching / cloning:.2f} "
        f"(rounds {min(ratios):.2f} to {max(ratios):.2f}), limit {arguments.limit:g}"
    )
    return int(hatching / cloning > arguments.limit)


def seconds(make: Callable[[], list[Any]]) -> float:
    """Wall clock seconds of one call; what it makes is freed before the next."""
    gc.collect()
    start = time.perf_counter()
    made = make()
    elapsed = time.perf_counter() - start
    del made
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
