"""What a job costs while it runs: time and memory."""

from __future__ import annotations

from typing import Any

from keras_mothernets.training.checkpoint import Checkpoint
from keras_mothernets.training.clock import Stopwatch
from keras_mothernets.training.memory import PeakMemory


class Meter:
    """Seconds and peak memory since it was made, and those of an earlier process.

    Example:
        >>> sorted(Meter().costs)
        ['cpu_seconds', 'peak_memory', 'wall_seconds']
    """

    def __init__(self) -> None:
        self._watch, self._memory = Stopwatch(), PeakMemory()

    def include(self, checkpoint: Checkpoint) -> None:
        """Count what the job cost until this checkpoint too."""
        self._watch.add(checkpoint.wall_seconds, checkpoint.cpu_seconds)
        self._memory.include(checkpoint.peak_memory)

    @property
    def costs(self) -> dict[str, Any]:
        """The costs so far, named as in `LedgerRow` and `Checkpoint`."""
        return {
            "wall_seconds": self._watch.wall_seconds,
            "cpu_seconds": self._watch.cpu_seconds,
            "peak_memory": self._memory.bytes,
        }
