"""The sums over examples from which measures follow: of a pair of members, and of one."""

from __future__ import annotations

import numpy as np

from keras_mothernets.ensembles.kept_examples import Look
from keras_mothernets.ensembles.task import Task

BINS = 15  # of confidence, of equal width
_INNER_EDGES = np.linspace(0.0, 1.0, BINS + 1)[1:-1]

# What is summed of two members. ERRORS: the product of their errors; over all examples it is the
# Gram matrix G of e = p - y, and w' G w the squared error of the mean with weights w.
# BOTH_RIGHT: 1 where both name the right class. ALIKE: 1 where they name the same.
ERRORS, BOTH_RIGHT, ALIKE = range(3)


def kinds(task: Task) -> int:
    """How many sums are kept of a pair: of a regression only that of errors."""
    return 3 if task is Task.CLASSES else 1


def member_type(task: Task, width: int) -> np.dtype:
    """What is summed of one member.

    `predictions`: its probabilities of all classes, or its numbers. Of a classification `nll`: -log
    of its probability of the truth; and in each bin of confidence `count`, `right` and
    `confidence`. Of a regression `squares` of its numbers, which tell how large they are.
    """
    fields: list[tuple[str, str, tuple[int, ...]]] = [("predictions", "f8", (width,))]
    if task is Task.NUMBERS:
        fields += [("squares", "f8", (width,))]
    else:
        fields += [("nll", "f8", ()), ("confidence", "f8", (BINS,))]
        fields += [("count", "i4", (BINS,)), ("right", "i4", (BINS,))]
    return np.dtype(fields)


def pair_sums(first: Look, second: Look, signs: np.ndarray | None = None) -> np.ndarray:
    """Sums of every pair, (kinds, first members, second members).

    Counts are kept as float64 next to the sums: whole numbers are exact there, and one array can
    be taken from, added and subtracted in one step.

    Args:
        first: Some members.
        second: The same or others, on the same examples.
        signs: 1 or -1 for each example, float32: whether to add it or take it away; all are added
            by default.
    """
    sums = np.empty((kinds(first.task), len(first.values), len(second.values)))
    sums[ERRORS] = products(first.errors, second.errors, signs)
    if first.task is Task.CLASSES:
        sums[BOTH_RIGHT] = products(first.right[..., None], second.right[..., None], signs)
        sums[ALIKE] = products(first.one_hot, second.one_hot, signs)
    return sums


def member_sums(look: Look, signs: np.ndarray | None = None) -> np.ndarray:
    """Sums of every member, (members,), of `member_type`.

    Args:
        look: Some members and examples.
        signs: 1 or -1 for each example, as for `pair_sums`.
    """
    values = look.values
    members, examples, width = values.shape
    signs = np.ones(examples, "float32") if signs is None else signs
    sums = np.empty(members, member_type(look.task, width))
    sums["predictions"] = np.einsum("mec,e->mc", values, signs)
    if look.task is Task.NUMBERS:
        sums["squares"] = np.einsum("mec,mec,e->mc", values, values, signs)
    else:
        sums["nll"] = -np.log(look.truth) @ signs
        confidence = values.max(axis=-1)
        bin_of = np.searchsorted(_INNER_EDGES, confidence, side="left")
        cell_of = (bin_of + BINS * np.arange(members)[:, None]).ravel()
        for name, what in (("confidence", confidence), ("count", 1.0), ("right", look.right)):
            weights = (what * np.broadcast_to(signs, confidence.shape)).ravel()
            counted = np.bincount(cell_of, weights, minlength=members * BINS)
            sums[name] = counted.reshape(members, BINS)
    return sums


def products(first: np.ndarray, second: np.ndarray, signs: np.ndarray | None) -> np.ndarray:
    """Sums of products over examples and classes, (first members, second members).

    In float32 counts are exact up to 2^24, far above the examples of a chunk.

    Args:
        first: (first members, examples, classes).
        second: (second members, examples, classes).
        signs: As for `pair_sums`.
    """
    if signs is not None:
        first = first * signs[:, None]
    return np.asarray(first.reshape(len(first), -1) @ second.reshape(len(second), -1).T)
