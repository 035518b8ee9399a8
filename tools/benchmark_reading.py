#!/usr/bin/env python
"""What a MotherNet costs: reading and aligning 100 networks of VGG16's size, against building them.

Nobody can have the networks for less than building them took. They are variants of VGG16 as in
the paper's V100: more filters, larger kernels or one layer more. Each is built as a user would
build it, read, and freed before the next, so that memory holds one at a time. A second table
shows how alignment grows with the number of members.

    tools/benchmark_reading.py --members 100
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

VGG16 = [[(3, 64)] * 2, [(3, 128)] * 2, [(3, 256)] * 3, [(3, 512)] * 3, [(3, 512)] * 3]
COUNTS = (10, 20, 50, 100)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print it; 1 if one of the two demands does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--members", type=int, default=100, help="number of networks (100)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of alignment (3)")
    parser.add_argument("--width", type=float, default=1.0, help="width multiplier (1)")
    parser.add_argument("--slack", type=float, default=1.25, help="over linear, still good (1.25)")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import keras

    from keras_mothernets.graph import build
    from keras_mothernets.mothernet import common_architecture

    building, reading, members = build_and_read(arguments.members, arguments.width)
    aligning, common = timed(lambda: common_architecture(members))
    making, mother = timed(lambda: build(common))
    ours = reading + aligning + making
    parameters = [member.num_params / 1e6 for member in members]
    print(
        f"{len(members)} networks of {min(parameters):.1f} to {max(parameters):.1f} M parameters, "
        f"Keras {keras.__version__} on {keras.backend.backend()}, {os.cpu_count()} CPU cores\n"
        f"building the networks      {building:8.2f} s\n"
        f"reading them               {reading:8.2f} s\n"
        f"their common architecture  {aligning:8.2f} s (with the proof that each grows from it)\n"
        f"building the MotherNet     {making:8.2f} s ({mother.count_params() / 1e6:.1f} M)\n"
        f"reading plus MotherNet     {ours:8.2f} s, {ours / building:.2f} of building (limit 1)\n"
    )
    growth = print_growth(members, arguments.rounds)
    print(f"growth against linear {growth:.2f}, limit {arguments.slack:g}")
    return int(ours > building or growth > arguments.slack)


def build_and_read(count: int, width: float) -> tuple[float, float, list[Any]]:
    """Seconds to build all networks, seconds to read them, and what was read."""
    from keras_mothernets import zoo
    from keras_mothernets.mothernet import read_member

    draw = random.Random(0)
    building = reading = 0.0
    members = []
    for number in range(count):
        blocks, name = variant(draw), f"v{number}"

        make = partial(zoo.vgg, batch_norm=False, width=width, name=name)
        seconds, model = timed(partial(make, (32, 32, 3), 10, blocks))
        building += seconds
        seconds, member = timed(partial(read_member, name, model))
        reading += seconds
        members.append(member)
        del model
    return building, reading, members


def variant(draw: random.Random) -> list[list[tuple[int, int]]]:
    """VGG16 with more filters or a larger kernel in one or two layers, or one layer more."""
    blocks = [list(block) for block in VGG16]
    for _ in range(draw.choice([1, 2])):
        block = draw.choice(blocks)
        place = draw.randrange(len(block))
        kernel, filters = block[place]
        change = draw.choice(["filters", "kernel", "depth"])
        if change == "filters":
            block[place] = (kernel, int(filters * draw.choice([1.25, 1.5])))
        elif change == "kernel":
            block[place] = (5, filters)
        else:
            block.append(block[-1])
    return blocks


def print_growth(members: Sequence[Any], rounds: int) -> float:
    """Time folds of more and more members; how much the longest is above linear."""
    times = {}
    for count in [count for count in COUNTS if count <= len(members)]:
        chosen = members[:count]
        times[count] = [timed(partial(fold, chosen))[0] for _ in range(rounds + 1)][1:]
    (least, base), *_ = times.items()
    growth = 1.0
    print("members  fold, median       per member   against linear")
    for count, seconds in times.items():
        median = statistics.median(seconds)
        growth = median / statistics.median(base) * least / count
        print(f"{count:7}  {median:8.3f} s  {1000 * median / count:12.2f} ms  {growth:15.2f}")
    return growth


def fold(members: Sequence[Any]) -> Any:
    """The common part of some networks, one aligned after the other, as `mothernet` does."""
    from keras_mothernets.surgery import align, keep_common

    common = members[0]
    for member in members[1:]:
        common = keep_common(common, align(common, member, grow_only=False).pairs)
    return common


def timed(make: Callable[[], Any]) -> tuple[float, Any]:
    """Wall clock seconds of a call, and what it gives."""
    gc.collect()
    start = time.perf_counter()
    made = make()
    return time.perf_counter() - start, made


if __name__ == "__main__":
    sys.exit(main())
