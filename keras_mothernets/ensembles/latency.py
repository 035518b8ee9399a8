"""How long an exported ensemble takes to answer, on the machine at hand."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP = 3  # answers that are not counted: memory is laid out and kernels are chosen in them
ANSWERS = 30
SECONDS = 3.0  # no further answer is asked for after so long, but for the first `FEWEST`
FEWEST = 5


@dataclass(frozen=True)
class Latency:
    """The time of one answer.

    Args:
        median_ms: Median over the answers, in milliseconds.
        slowest_ms: The slowest of them.
        answers: Number of answers that were measured.
        batch_size: Examples in each.
        machine: Processor and number of cores.
    """

    median_ms: float
    slowest_ms: float
    answers: int
    batch_size: int
    machine: str

    def __str__(self) -> str:
        return (
            f"{self.median_ms:.3g} ms for {self.batch_size} example(s): the median of"
            f" {self.answers} answers, the slowest {self.slowest_ms:.3g} ms; {self.machine}"
        )


def measure_latency(answer: Callable[[], object], batch_size: int) -> Latency:
    """Ask again and again, and look at the clock.

    Args:
        answer: Gives one answer, and returns when it is there.
        batch_size: Number of examples in it.

    Example:
        >>> measure_latency(lambda: time.sleep(0.01), 1).median_ms >= 10
        True
    """
    for _ in range(WARM_UP):
        answer()
    times: list[float] = []
    while len(times) < ANSWERS and (len(times) < FEWEST or sum(times) < SECONDS):
        begin = time.perf_counter()
        answer()
        times.append(time.perf_counter() - begin)
    return Latency(
        median_ms=1000 * statistics.median(times),
        slowest_ms=1000 * max(times),
        answers=len(times),
        batch_size=batch_size,
        machine=f"{platform.machine() or 'unknown processor'}, {os.cpu_count()} cores",
    )
