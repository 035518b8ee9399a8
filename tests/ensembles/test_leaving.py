"""Ranking, who can go, and weights: from sums, against trying everything out."""

from itertools import combinations

import numpy as np
import pytest
from directly import accuracy_of, brier_of, ece_of, mean_of, nll_of
from made_up import classes, numbers
from sklearn.metrics import mean_squared_error

from keras_mothernets import (
    EnsembleStatistics,
    MotherNetsError,
    Predictions,
    greedy_selection,
    super_learner,
)


def loss(predictions, members, weights=None):
    mean = mean_of(predictions.values, members, weights)
    if predictions.labels.ndim == 1:
        return brier_of(mean, predictions.labels)
    return mean_squared_error(predictions.labels, mean)


def smallest(predictions, within):
    """All subsets, the smallest first and the best of a size first."""
    everyone = range(predictions.num_members)
    most = loss(predictions, everyone) * (1 + within)
    for size in range(1, len(everyone) + 1):
        found = min(combinations(everyone, size), key=lambda chosen: loss(predictions, chosen))
        if loss(predictions, found) <= most * (1 + 1e-12):
            return found
    raise AssertionError


@pytest.mark.parametrize("within", [0.0, 0.001, 0.1])
@pytest.mark.parametrize(
    "predictions",
    [classes(7, 80, seed=1), classes(6, 60, skill=4.0), numbers(6), classes(1, 20)],
    ids=["alike", "uneven", "numbers", "one"],
)
def test_who_can_go_against_all_subsets(predictions, within):
    stay = smallest(predictions, within)
    expected = [f"member_{i + 1}" for i in range(predictions.num_members) if i not in stay]
    statistics = EnsembleStatistics(predictions, chunk=16)
    assert statistics.which_can_go(within) == expected


def test_who_can_go_on_a_range_is_asked_of_the_range():
    predictions = classes(6, 200, seed=2, skill=3.0)
    part = Predictions.of_classes(predictions.values[:, 11:60], predictions.labels[11:60])
    found = EnsembleStatistics(predictions, chunk=16).range(11, 60).which_can_go(0.01)
    assert found == EnsembleStatistics(part).which_can_go(0.01)


def test_of_many_members_those_that_stay_are_as_good():
    predictions = classes(40, 150, seed=3, skill=3.0)
    statistics = EnsembleStatistics(predictions)
    go = statistics.which_can_go()
    stay = [i for i in range(40) if f"member_{i + 1}" not in go]
    assert len(go) > 10
    assert loss(predictions, stay) <= 1.001 * loss(predictions, range(40))
    none = min(loss(predictions, [i for i in stay if i != leaver]) for leaver in stay)
    assert none > 1.001 * loss(predictions, range(40))  # not one more


def test_of_many_members_one_leaves_after_the_other():
    predictions = classes(18, 60, seed=8, skill=2.0)
    most = 1.01 * loss(predictions, range(18))
    stay = fewest = list(range(18))
    while len(stay) > 1:
        stay = min(([i for i in stay if i != j] for j in stay), key=lambda s: loss(predictions, s))
        fewest = stay if loss(predictions, stay) <= most else fewest
    expected = [f"member_{i + 1}" for i in range(18) if i not in fewest]
    assert EnsembleStatistics(predictions).which_can_go(0.01) == expected
    assert len(expected) > 5


def test_many_equal_members_can_all_go_but_one():
    values = np.repeat(classes(1, 50).values, 30, axis=0)
    statistics = EnsembleStatistics(Predictions.of_classes(values, classes(1, 50).labels))
    assert len(statistics.which_can_go(0.0)) == 29


@pytest.mark.parametrize(
    ("measure", "of"),
    [("brier", brier_of), (None, brier_of), ("nll", nll_of), ("ece", ece_of)],
)
def test_ranking(measure, of):
    predictions = classes(6, 90, seed=4)
    ranked = EnsembleStatistics(predictions, chunk=16).ranking(measure)
    direct = [of(row, predictions.labels) for row in predictions.values]
    assert list(ranked) == [f"member_{i + 1}" for i in np.argsort(direct)]
    assert list(ranked.values()) == pytest.approx(sorted(direct), abs=1e-12)


def test_ranking_by_accuracy_has_the_largest_first():
    predictions = classes(6, 90, seed=5)
    ranked = EnsembleStatistics(predictions).ranking("accuracy")
    direct = [accuracy_of(row, predictions.labels) for row in predictions.values]
    assert list(ranked.values()) == pytest.approx(sorted(direct, reverse=True))


def test_ranking_of_a_regression():
    predictions = numbers(4)
    ranked = EnsembleStatistics(predictions).ranking()
    direct = [loss(predictions, [i]) for i in range(4)]
    assert list(ranked.values()) == pytest.approx(sorted(direct))


@pytest.mark.parametrize("most", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_selection_by_brier_draw_by_draw(seed, most):
    predictions = classes(6, 80, seed=seed, skill=0.8)
    chosen, path = [], []
    for _ in range(100):
        allowed = set(chosen) if most and len(set(chosen)) >= most else set(range(6))
        scores = {extra: loss(predictions, [*chosen, extra]) for extra in sorted(allowed)}
        chosen.append(min(scores, key=scores.get))
        path.append(scores[chosen[-1]])
    best = chosen[: int(np.argmin(path)) + 1]
    expected = np.bincount(best, minlength=6) / len(best)
    for source in (predictions, EnsembleStatistics(predictions, chunk=16)):
        found = greedy_selection(source, measure="brier", max_members=most)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("measure", ["nll", "accuracy", "brier"])
def test_greedy_selection_of_a_range(measure):
    predictions = classes(5, 120, seed=6, skill=0.8)
    part = Predictions.of_classes(predictions.values[:, 30:101], predictions.labels[30:101])
    statistics = EnsembleStatistics(predictions, chunk=16).range(30, 101)
    np.testing.assert_array_equal(
        greedy_selection(statistics, measure=measure), greedy_selection(part, measure=measure)
    )


def projected_descent(products, steps=20000):
    """Smallest w' G w on the simplex by multiplying weights: no least squares, no solver."""
    weights = np.full(len(products), 1 / len(products))
    rate = 1 / np.abs(products).max()
    for _ in range(steps):
        weights = weights * np.exp(-rate * (products @ weights))
        weights /= weights.sum()
    return weights


@pytest.mark.parametrize("seed", range(3))
def test_super_learner_by_brier(seed):
    predictions = classes(seed=seed, skill=0.9)
    errors = predictions.values - np.eye(3)[predictions.labels]
    found = projected_descent(np.einsum("mec,nec->mn", errors, errors) / 200)
    for source in (predictions, EnsembleStatistics(predictions, chunk=16)):
        weights = super_learner(source, measure="brier")
        assert weights.sum() == pytest.approx(1)
        assert loss(predictions, range(4), weights) <= loss(predictions, range(4), found) + 1e-9
        np.testing.assert_allclose(weights, found, atol=1e-2)


def test_super_learner_of_a_regression_from_sums():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4, 50, 1)) * np.array([1e-3, 2e-3, 1, 1e3])[:, None, None]
    predictions = Predictions.of_numbers(errors, np.zeros((50, 1)))
    np.testing.assert_allclose(
        super_learner(EnsembleStatistics(predictions)), super_learner(predictions), atol=1e-8
    )


def test_super_learner_by_likelihood_takes_statistics_too():
    predictions = classes()
    statistics = EnsembleStatistics(predictions)
    np.testing.assert_array_equal(super_learner(statistics), super_learner(predictions))


def test_a_member_without_any_error():
    predictions = Predictions.of_numbers([[1.0, 2.0], [1.5, 2.5]], [1.0, 2.0])
    weights = super_learner(EnsembleStatistics(predictions))
    np.testing.assert_allclose(weights, [1, 0], atol=1e-12)


@pytest.mark.parametrize("way", [super_learner, greedy_selection])
def test_what_weights_refuse(way):
    statistics = EnsembleStatistics(classes())
    with pytest.raises(MotherNetsError, match="`x` was given next to predictions"):
        way(statistics, np.ones(3))
    with pytest.raises(MotherNetsError, match="'mse'"):
        way(statistics, measure="mse")
