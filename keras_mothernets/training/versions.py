"""The versions that a run was begun with: others may round differently."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping

import keras
import tensorflow as tf

DECIDE = ("keras", "tensorflow")  # about the last digits of what is computed


def versions_here() -> dict[str, str]:
    """Versions of all that takes part, by name.

    Example:
        >>> list(versions_here())
        ['keras_mothernets', 'keras', 'tensorflow', 'python']
    """
    # An import statement would, for type checkers, close a circle with all that is public.
    ours = importlib.import_module("keras_mothernets")
    return {
        "keras_mothernets": ours.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
    }


def rounding_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has another version than before and decides about the last digits.

    Args:
        before: Versions by name; what it does not know is passed over.
        now: The same, of today.

    Example:
        >>> rounding_changes({"keras": "3.14"}, {"keras": "3.15", "tensorflow": "2.21"})
        ['keras 3.14, now 3.15']
    """
    return [
        f"{name} {before[name]}, now {now[name]}"
        for name in DECIDE
        if before.get(name) not in (None, now[name])
    ]
