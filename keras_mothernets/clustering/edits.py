"""Edit distance between padded layer vectors."""

from __future__ import annotations

import numpy as np


def edit_distance(first: np.ndarray, second: np.ndarray) -> int:
    """Levenshtein distance between two sequences of layers, all edits at cost 1.

    Args:
        first: Padded layer vector of shape `(layers, columns)`.
        second: Another one of the same shape; rows are equal or not.

    Returns:
        The least number of layers to insert, delete or replace.

    Example:
        >>> a = np.array([[64], [64], [0], [128]])
        >>> b = np.array([[64], [32], [0], [0]])
        >>> edit_distance(a, b)
        2

    Source: Wasay et al. 2020, clustering: the edit distance between the vector of
    a network and that of its cluster's MotherNet. A unit cost ignores how much
    a layer differs; that is what the distance in parameters is for.
    """
    apart = np.flatnonzero((first != second).any(axis=1))
    # Between sequences of equal length, two differences can never be mended by one edit.
    if len(apart) <= 2:
        return len(apart)
    low, high = int(apart[0]), int(apart[-1]) + 1
    ours = [tuple(row) for row in first[low:high].tolist()]
    theirs = [tuple(row) for row in second[low:high].tolist()]
    before = list(range(len(theirs) + 1))
    for number, row in enumerate(ours, start=1):
        current = [number]
        for place, other in enumerate(theirs):
            replaced = before[place] + (row != other)
            current.append(min(replaced, before[place + 1] + 1, current[place] + 1))
        before = current
    return before[-1]
