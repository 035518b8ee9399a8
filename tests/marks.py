"""Marks for tables of tests of which a few stand for all in `tools/test --quick`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def quick_ones(names: Iterable[str], quick: Collection[str]) -> list[Any]:
    """Parameters of a test: those named stay in the quick run, the others are slow.

    Args:
        names: All names.
        quick: Those that stay; each must be among the names.
    """
    names = list(names)
    assert set(quick) <= set(names)
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]
