"""The most memory that a job has held at once."""

from __future__ import annotations

import re
from pathlib import Path

import tensorflow as tf

_PROCESS = Path("/proc/self")
_FORGET_PEAK = "5"  # what Linux takes as the order to begin the peak anew, see `man proc`


class PeakMemory:
    """Highest memory since it was made, and that of an earlier process.

    On a GPU it is what TensorFlow had allotted there, of several the fullest one; else the
    resident memory of the whole process, as Linux counts it. To begin anew, the peak so far is
    forgotten, for all who ask in this process.

    Example:
        >>> memory = PeakMemory()
        >>> memory.include(2**60)
        >>> memory.bytes in (2**60, None)
        True
    """

    def __init__(self) -> None:
        self._earlier: list[int | None] = []
        self._can_tell = _begin_anew()

    def include(self, peak: int | None) -> None:
        """Count an earlier peak too; with one that is not known, none is.

        Args:
            peak: Bytes.
        """
        self._earlier.append(peak)

    @property
    def bytes(self) -> int | None:
        """The peak so far; `None` where it cannot be told."""
        peaks = [*self._earlier, _peak() if self._can_tell else None]
        known = [peak for peak in peaks if peak is not None]
        return max(known) if len(known) == len(peaks) else None


def _gpus() -> list[str]:
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def _begin_anew() -> bool:
    """Forget the peak so far; False where that cannot be done."""
    try:
        for gpu in _gpus():
            tf.config.experimental.reset_memory_stats(gpu)
        if not _gpus():
            (_PROCESS / "clear_refs").write_text(_FORGET_PEAK)
    except (OSError, ValueError):  # no Linux, or not allowed; a GPU without an account
        return False
    return True


def _peak() -> int | None:
    """Bytes; `None` where nobody counts them."""
    try:
        if gpus := _gpus():
            return max(tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus)
        found = re.search(r"^VmHWM:\s*(\d+) kB", (_PROCESS / "status").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(found[1]) * 1024 if found else None
