"""Measures against scikit-learn, counts written out, and identities."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import classes, numbers
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    matthews_corrcoef,
    mean_squared_error,
    zero_one_loss,
)

from keras_mothernets import EnsembleStatistics, MotherNetsError, Predictions

SUBSETS = [None, [0], [2, 0], [1, 1, 3], ["member_4", "member_2"]]
WEIGHTS = {1: [2], 2: [1, 3], 3: [0.2, 0, 5], 4: [1, 2, 3, 4]}
C, N = classes(), numbers()


def averaged(predictions, subset, weights=None):
    """The mean of the chosen members, one after the other."""
    chosen = [int(one[-1]) - 1 if isinstance(one, str) else one for one in (subset or [0, 1, 2, 3])]
    weights = weights or [1] * len(chosen)
    total = sum(w * predictions.values[i] for w, i in zip(weights, chosen, strict=True))
    return total / sum(weights)


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learn(subset, weighted):
    weights = WEIGHTS[len(subset or range(4))] if weighted else None
    mean = averaged(C, subset, weights)
    statistics = EnsembleStatistics(C)
    found = {
        name: getattr(statistics, name)(subset, weights=weights)
        for name in ("accuracy", "nll", "brier")
    }
    assert found["accuracy"] == accuracy_score(C.labels, mean.argmax(-1))
    assert found["nll"] == pytest.approx(log_loss(C.labels, mean), abs=1e-12)
    brier = brier_score_loss(C.labels, mean, scale_by_half=False, labels=[0, 1, 2])
    assert found["brier"] == pytest.approx(brier, abs=1e-12)
    mse = mean_squared_error(N.labels, averaged(N, subset, weights))
    assert EnsembleStatistics(N).mse(subset, weights=weights) == pytest.approx(mse, abs=1e-12)


def test_brier_of_two_classes_is_twice_what_scikit_learn_halves():
    yes = np.array([0.9, 0.2, 0.6, 0.4])
    labels = np.array([1, 0, 0, 1])
    found = EnsembleStatistics(Predictions.of_classes([yes], labels)).brier()
    assert found == pytest.approx(2 * brier_score_loss(labels, yes), abs=1e-14)


def test_a_certain_error_counts_as_one_in_ten_million():
    statistics = EnsembleStatistics(Predictions.of_classes([[0.0], [1.0]], [1]))
    assert statistics.nll([0]) == pytest.approx(math.log(1e7))
    assert statistics.nll() == pytest.approx(math.log(2), abs=1e-6)


def counted_ece(probabilities, labels, edges):
    """Bin after bin, example after example."""
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if low < row.max() <= high or (low == edges[0] and row.max() == low)
        ]
        if inside and high > low:
            confidence = sum(sure for sure, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15, 40])
@pytest.mark.parametrize("adaptive", [False, True])
def test_calibration_error_against_a_count(bins, adaptive):
    mean = averaged(C, None)
    steps = [step / bins for step in range(bins + 1)]
    edges = np.quantile(mean.max(-1), steps) if adaptive else steps
    found = EnsembleStatistics(C).ece(bins=bins, adaptive=adaptive)
    assert found == pytest.approx(counted_ece(mean, C.labels, edges), abs=1e-12)
    assert 0 < found < 1


@pytest.mark.parametrize(("adaptive", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_calibration_error_is_the_area_of_scikit_learns_curve(adaptive, strategy):
    mean = averaged(C, None)
    sure = mean.max(-1)
    right = mean.argmax(-1) == C.labels
    accuracy, confidence = calibration_curve(right, sure, n_bins=10, strategy=strategy)
    edges = np.linspace(0, 1, 11) if not adaptive else np.quantile(sure, np.linspace(0, 1, 11))
    counts = np.histogram(sure, edges)[0]
    expected = np.average(np.abs(accuracy - confidence), weights=counts[counts > 0])
    found = EnsembleStatistics(C).ece(bins=10, adaptive=adaptive)
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_bin_holds_its_upper_edge():
    yes, labels = np.array([0.625, 0.75, 0.875]), np.array([1, 0, 1])
    found = EnsembleStatistics(Predictions.of_classes([yes], labels)).ece(bins=4)
    assert found == pytest.approx((abs(1 - 0.625 - 0.75) + abs(1 - 0.875)) / 3, abs=1e-14)


def test_equal_confidences_share_a_bin_whatever_their_order():
    yes, labels = np.array([0.7] * 6 + [0.9] * 4), np.array([1, 0, 1, 0, 1, 1, 1, 0, 1, 1])
    order = np.random.default_rng(0).permutation(10)
    found = [
        EnsembleStatistics(Predictions.of_classes([p], y)).ece(bins=5, adaptive=True)
        for p, y in ((yes, labels), (yes[order], labels[order]))
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-14)
    assert found[0] == pytest.approx(0.6 * abs(4 / 6 - 0.7) + 0.4 * abs(0.75 - 0.9), abs=1e-12)


def counted_pair(first, second, labels):
    """The four counts of Kuncheva & Whitaker, one example at a time."""
    counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for one, two, label in zip(first, second, labels, strict=True):
        counts[bool(one == label), bool(two == label)] += 1
    return counts[True, True], counts[True, False], counts[False, True], counts[False, False]


@pytest.mark.parametrize("subset", [[0, 1], [3, 1], [0, 1, 2], None], ids=str)
def test_diversity_against_counts_of_pairs(subset):
    chosen = subset or range(4)
    named = [C.values[i].argmax(-1) for i in chosen]
    q, rho, fault, exactly_one, differ = [], [], [], [], []
    for first, second in combinations(named, 2):
        a, b, c, d = counted_pair(first, second, C.labels)
        assert min(a, b, c, d) > 0
        q.append((a * d - b * c) / (a * d + b * c))
        rho.append(matthews_corrcoef(first == C.labels, second == C.labels))
        fault.append(d / 200)
        exactly_one.append((b + c) / 200)
        differ.append(zero_one_loss(first, second))
    found = EnsembleStatistics(C).diversity(subset)
    assert found.q_statistic == pytest.approx(np.mean(q), abs=1e-12)
    assert found.correlation == pytest.approx(np.mean(rho), abs=1e-12)
    assert found.double_fault == pytest.approx(np.mean(fault), abs=1e-12)
    assert found.right_wrong_disagreement == pytest.approx(np.mean(exactly_one), abs=1e-12)
    assert found.disagreement == pytest.approx(np.mean(differ), abs=1e-12)
    assert found.disagreement > found.right_wrong_disagreement


@pytest.mark.parametrize("subset", [[0, 1], [3, 1, 0], None], ids=str)
def test_kohavi_wolpert_variance_by_its_definition(subset):
    chosen = subset or range(4)
    right = np.stack([C.values[i].argmax(-1) == C.labels for i in chosen])
    expected = right.var(axis=0).mean()  # p (1 - p) over the members, for each example
    found = EnsembleStatistics(C).diversity(subset).kohavi_wolpert_variance
    assert found == pytest.approx(expected, abs=1e-12)


def test_equal_members_have_no_diversity():
    twins = Predictions.of_classes(C.values[[0, 0]], C.labels)
    found = EnsembleStatistics(twins).diversity()
    assert (found.disagreement, found.kohavi_wolpert_variance) == (0, 0)
    assert found.q_statistic == found.correlation == pytest.approx(1)


def test_pairs_without_a_value_are_left_out():
    labels = np.array([1, 1, 1, 1])
    always, half, other = [0.9] * 4, [0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.9, 0.1]
    found = EnsembleStatistics(Predictions.of_classes([always, half], labels)).diversity()
    assert math.isnan(found.q_statistic) and math.isnan(found.correlation)
    found = EnsembleStatistics(Predictions.of_classes([always, half, other], labels)).diversity()
    assert (found.q_statistic, found.correlation) == (0, 0)  # of the pair of independent ones


def test_the_oracle_needs_one_member_that_is_right():
    right = [
        any(C.values[i, e].argmax() == C.labels[e] for i in (0, 2)) for e in range(len(C.labels))
    ]
    statistics = EnsembleStatistics(C)
    assert statistics.oracle_accuracy([0, 2]) == sum(right) / 200
    assert statistics.oracle_accuracy([0]) == statistics.accuracy([0])
    assert statistics.oracle_accuracy() > max(statistics.accuracy([i]) for i in range(4))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    members=st.integers(1, 6),
    weights=st.lists(st.floats(0.01, 10), min_size=6, max_size=6),
)
def test_losses_are_mean_member_minus_ambiguity(seed, members, weights):
    weights = weights[:members]
    shares = np.array(weights) / sum(weights)
    for predictions, score, whole in (
        (classes(members, 40, 5, seed), "brier", "squared_error_decomposition"),
        (classes(members, 40, 5, seed), "nll", "nll_decomposition"),
        (numbers(members, 40, 3, seed), "mse", "squared_error_decomposition"),
    ):
        statistics = EnsembleStatistics(predictions)
        parts = getattr(statistics, whole)(weights=weights)
        alone = [getattr(statistics, score)([i]) for i in range(members)]
        together = getattr(statistics, score)(weights=weights)
        assert parts.ensemble == pytest.approx(parts.mean_member - parts.ambiguity, abs=1e-12)
        assert parts.ensemble == pytest.approx(together, abs=1e-12)
        assert parts.mean_member == pytest.approx(shares @ alone, abs=1e-12)
        assert parts.ambiguity >= 0
        assert members == 1 or parts.ambiguity > 1e-6


def test_jensens_gap_is_not_negative_beside_certain_errors():
    predictions = Predictions.of_classes([[1.5e-7, 0.0], [0.0, 0.0]], [1, 1])
    parts = EnsembleStatistics(predictions).nll_decomposition()
    assert parts.ambiguity >= 0
    assert parts.ensemble == pytest.approx(parts.mean_member - parts.ambiguity, abs=1e-12)


def test_the_table_has_a_row_for_each_member_and_one_for_all():
    lines = str(EnsembleStatistics(C)).splitlines()
    assert lines[0].split() == ["accuracy", "nll", "brier", "ece"]
    assert [line.split()[0] for line in lines[1:]] == [*C.names, "ensemble"]
    assert str(EnsembleStatistics(N)).splitlines()[0].split() == ["mse"]


REFUSED = {
    "accuracy": (N, lambda s: s.accuracy(), "`accuracy` has no meaning"),
    "nll": (N, lambda s: s.nll(), "Received: a regression"),
    "diversity": (N, lambda s: s.diversity(), "`diversity` has no meaning"),
    "jensen": (N, lambda s: s.nll_decomposition(), "has no meaning"),
    "mse": (C, lambda s: s.mse(), "Expected: predictions of a regression"),
    "single": (C, lambda s: s.diversity([0]), "at least two"),
    "none": (C, lambda s: s.accuracy([]), "at least one member"),
    "position": (C, lambda s: s.nll([4]), "0 to 3"),
    "negative": (C, lambda s: s.nll([-1]), "Received: -1"),
    "name": (C, lambda s: s.nll(["vgg"]), "'vgg'"),
    "word": (C, lambda s: s.nll("member_1"), "must be a list"),
    "weights": (C, lambda s: s.brier([0, 1], weights=[1, 2, 3]), "2 finite numbers"),
    "bins": (C, lambda s: s.ece(bins=0), "`bins`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_refused(case):
    predictions, ask, fragment = REFUSED[case]
    with pytest.raises(MotherNetsError) as caught:
        ask(EnsembleStatistics(predictions))
    assert fragment in str(caught.value)
