"""The sums over examples from which measures follow: of a pair of members, and of one."""

from __future__ import annotations

import numpy as np

from keras_mothernets.ensembles.kept_examples import Look
from keras_mothernets.ensembles.task import Task

BINS = 15  # of confidence, of equal width
_INNER_EDGES = np.linspace(0.0, 1.0, BINS + 1)[1:-1]


def pair_type(task: Task) -> np.dtype:
    """What is summed of two members: 16 bytes of a classification, 8 of a regression.

    `errors`: product of their errors; summed over the examples it is the Gram matrix G of
    e = p - y, and w' G w the squared error of the mean with weights w. `both_right`: 1 where both
    name the right class. `alike`: 1 where they name the same.
    """
    fields = [("errors", "f8")]
    if task is Task.CLASSES:
        fields += [("both_right", "i4"), ("alike", "i4")]
    return np.dtype(fields)


def member_type(task: Task, width: int) -> np.dtype:
    """What is summed of one member.

    `predictions`: its probabilities of all classes, or its numbers. `nll`: -log of its probability
    of the truth. In each bin of confidence `count`, `right` and `confidence`.
    """
    fields: list[tuple[str, str, tuple[int, ...]]] = [("predictions", "f8", (width,))]
    if task is Task.CLASSES:
        fields += [("nll", "f8", ()), ("confidence", "f8", (BINS,))]
        fields += [("count", "i4", (BINS,)), ("right", "i4", (BINS,))]
    return np.dtype(fields)


def pair_sums(first: Look, second: Look, signs: np.ndarray | None = None) -> np.ndarray:
    """Sums of every pair, (first members, second members), of `pair_type`.

    Args:
        first: Some members.
        second: The same or others, on the same examples.
        signs: 1 or -1 for each example: whether to add it or take it away; all added by default.
    """
    sums = np.empty((len(first.values), len(second.values)), pair_type(first.task))
    sums["errors"] = products(first.errors, second.errors, signs)
    if first.task is Task.CLASSES:
        sums["both_right"] = products(first.right[..., None], second.right[..., None], signs)
        sums["alike"] = products(first.one_hot, second.one_hot, signs)
    return sums


def member_sums(look: Look, signs: np.ndarray | None = None) -> np.ndarray:
    """Sums of every member, (members,), of `member_type`.

    Args:
        look: Some members and examples.
        signs: 1 or -1 for each example, as for `pair_sums`.
    """
    values = look.values
    members, examples, width = values.shape
    signs = np.ones(examples) if signs is None else signs
    sums = np.empty(members, member_type(look.task, width))
    sums["predictions"] = np.einsum("mec,e->mc", values, signs)
    if look.task is Task.CLASSES:
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

    Args:
        first: (first members, examples, classes).
        second: (second members, examples, classes).
        signs: As for `pair_sums`.

    In float32 counts are exact up to 2^24, far above the examples of a chunk.
    """
    if signs is not None:
        first = first * signs.astype(first.dtype)[:, None]
    return np.asarray(first.reshape(len(first), -1) @ second.reshape(len(second), -1).T)
