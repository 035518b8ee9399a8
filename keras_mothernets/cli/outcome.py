"""What a command has come to: for the shell, and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Exit codes; `keras-mothernets --help` tells them.
DONE = 0
USER_ERROR = 2  # that of argparse for bad arguments
LEFT_OUT = 3  # trained, but not all members
INTERRUPTED = 130  # the shell's own for Ctrl-C
READER_GONE = 141  # the shell's own for a pipe that nobody reads


@dataclass(frozen=True)
class Outcome:
    """What a command has come to.

    Args:
        told: What `--json` prints, made of plain values.
        code: The exit code.
    """

    told: Any = None
    code: int = DONE
