"""Measures computed from predictions in the plainest way, example by example and pair by pair."""

import math
from itertools import combinations

import numpy as np


def mean_of(values, members, weights=None):
    weights = [1.0] * len(members) if weights is None else weights
    total = np.zeros_like(values[0])
    for member, weight in zip(members, weights, strict=True):
        total = total + weight / sum(weights) * values[member]
    return total


def brier_of(probabilities, labels):
    total = 0.0
    for row, label in zip(probabilities, labels, strict=True):
        target = [float(each == label) for each in range(len(row))]
        total += sum((p - t) ** 2 for p, t in zip(row, target, strict=True))
    return total / len(labels)


def nll_of(probabilities, labels):
    picked = [row[label] for row, label in zip(probabilities, labels, strict=True)]
    return -sum(math.log(max(p, 1e-7)) for p in picked) / len(labels)


def accuracy_of(probabilities, labels):
    named = [list(row).index(max(row)) for row in probabilities]
    return sum(a == b for a, b in zip(named, labels, strict=True)) / len(labels)


def ece_of(probabilities, labels, bins=15):
    gaps = [0.0] * bins
    for row, label in zip(probabilities, labels, strict=True):
        confidence = max(row)
        place = next(b for b in range(bins) if confidence <= (b + 1) / bins or b == bins - 1)
        gaps[place] += float(list(row).index(confidence) == label) - confidence
    return sum(abs(gap) for gap in gaps) / len(labels)


def ambiguity_of(values, members, weights=None):
    weights = [1.0] * len(members) if weights is None else weights
    mean = mean_of(values, members, weights)
    distances = [((values[member] - mean) ** 2).sum(axis=1).mean() for member in members]
    return sum(w * d for w, d in zip(weights, distances, strict=True)) / sum(weights)


def diversity_of(values, labels, members):
    """Disagreement, that of being right, double fault, Q, correlation, variance over members."""
    named = [[list(row).index(max(row)) for row in values[member]] for member in members]
    right = [[a == b for a, b in zip(one, labels, strict=True)] for one in named]
    n = len(labels)
    found = []
    for i, j in combinations(range(len(members)), 2):
        pairs = list(zip(right[i], right[j], strict=True))
        a, b, c, d = (pairs.count(case) for case in ((1, 1), (1, 0), (0, 1), (0, 0)))
        q = (a * d - b * c) / (a * d + b * c) if a * d + b * c else math.nan
        spread = (a + b) * (c + d) * (a + c) * (b + d)
        rho = (a * d - b * c) / math.sqrt(spread) if spread else math.nan
        differ = sum(x != y for x, y in zip(named[i], named[j], strict=True)) / n
        found.append((differ, (b + c) / n, d / n, q, rho))
    columns = np.array(found).T
    means = [np.nan if np.isnan(column).all() else np.nanmean(column) for column in columns]
    return [*means, np.array(right).var(axis=0).mean()]
