"""Sums against the plainest computation: on ranges, on classes, and as members come and go."""

from dataclasses import astuple

import numpy as np
import pytest
from directly import (
    accuracy_of,
    ambiguity_of,
    brier_of,
    diversity_of,
    ece_of,
    mean_of,
    nll_of,
)
from made_up import classes, numbers
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error

from keras_mothernets import EnsembleStatistics, MotherNetsError, Predictions

CLOSE = {"rel": 1e-10, "abs": 1e-10, "nan_ok": True}
RANGES = [(0, 97), (0, 1), (3, 4), (10, 30), (11, 12), (13, 67), (24, 48), (31, 97), (90, 97)]
CHUNKS = [1, 2, 7, 12, 96, 97, 1000, None]


def random_predictions(seed, members=5, examples=97, num_classes=4):
    return classes(members, examples, num_classes, seed)


def selected(predictions, positions):
    return predictions.values[:, positions], predictions.labels[positions]


def check_everything(statistics, values, labels, rng):
    """Every figure that comes from sums, of all members, of a subset, and weighted."""
    count = len(values)
    for members in (list(range(count)), sorted(rng.choice(count, max(1, count // 2), False))):
        members = [int(member) for member in members]
        weights = rng.uniform(0.1, 3.0, size=len(members)).tolist()
        mean = mean_of(values, members, weights)
        parts = statistics.squared_error_decomposition(members, weights=weights)
        alone = [brier_of(values[member], labels) for member in members]
        assert statistics.brier(members, weights=weights) == pytest.approx(
            brier_of(mean, labels), **CLOSE
        )
        assert parts.ensemble == pytest.approx(brier_of(mean, labels), **CLOSE)
        assert parts.mean_member == pytest.approx(np.average(alone, weights=weights), **CLOSE)
        assert parts.ambiguity == pytest.approx(ambiguity_of(values, members, weights), **CLOSE)
        nlls = [nll_of(values[member], labels) for member in members]
        assert statistics.mean_member_nll(members, weights=weights) == pytest.approx(
            np.average(nlls, weights=weights), **CLOSE
        )
        np.testing.assert_allclose(
            statistics.mean_prediction(members, weights=weights), mean.mean(axis=0), atol=1e-12
        )
        if len(members) > 1:
            found = astuple(statistics.diversity(members))
            assert found == pytest.approx(diversity_of(values, labels, members), **CLOSE)
    for member in range(count):
        own = values[member], labels
        assert statistics.accuracy([member]) == pytest.approx(accuracy_of(*own), **CLOSE)
        assert statistics.nll([member]) == pytest.approx(nll_of(*own), **CLOSE)
        assert statistics.brier([member]) == pytest.approx(brier_of(*own), **CLOSE)
        assert statistics.ece([member]) == pytest.approx(ece_of(*own), **CLOSE)


def check_averages(statistics, values, labels):
    """What is computed from the running sum of what members say."""
    mean = mean_of(values, range(len(values)))
    assert statistics.accuracy() == accuracy_score(labels, mean.argmax(axis=1))
    assert statistics.nll() == pytest.approx(nll_of(mean, labels), **CLOSE)
    assert statistics.ece() == pytest.approx(ece_of(mean, labels), **CLOSE)
    right = (values.argmax(axis=-1) == labels).any(axis=0)
    assert statistics.oracle_accuracy() == pytest.approx(right.mean(), **CLOSE)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_ranges_that_are_not_aligned_with_chunks(chunk, seed):
    predictions = random_predictions(seed)
    statistics = EnsembleStatistics(predictions, chunk=chunk)
    rng = np.random.default_rng(seed)
    for start, stop in RANGES:
        values, labels = selected(predictions, np.arange(start, stop))
        part = statistics.range(start, stop)
        assert part.num_examples == stop - start
        check_everything(part, values, labels, rng)
        check_averages(part, values, labels)


@pytest.mark.parametrize("chunk", [1, 5, 16, None])
@pytest.mark.parametrize("seed", [2, 3])
def test_classes_and_classes_within_ranges(chunk, seed):
    predictions = random_predictions(seed, num_classes=3)
    statistics = EnsembleStatistics(predictions, chunk=chunk)
    rng = np.random.default_rng(seed)
    for label in range(3):
        for start, stop in ((0, 97), (17, 80)):
            here = np.flatnonzero(predictions.labels == label)
            here = here[(here >= start) & (here < stop)]
            values, labels = selected(predictions, here)
            for part in (
                statistics.of_class(label).range(start, stop),
                statistics.range(start, stop).of_class(label),
            ):
                assert part.num_examples == len(here)
                check_everything(part, values, labels, rng)
                check_averages(part, values, labels)


@pytest.mark.parametrize(
    ("members", "examples", "num_classes"),
    [(1, 97, 4), (4, 97, 2), (1, 1, 2), (3, 2, 5), (2, 33, 300)],
    ids=["one member", "binary", "one example", "fewer examples than a chunk", "many classes"],
)
def test_sizes(members, examples, num_classes):
    predictions = random_predictions(4, members, examples, num_classes)
    statistics = EnsembleStatistics(predictions, chunk=10)
    rng = np.random.default_rng(4)
    check_everything(statistics, predictions.values, predictions.labels, rng)
    check_averages(statistics, predictions.values, predictions.labels)
    if examples > 30:
        check_everything(statistics.range(4, 27), *selected(predictions, np.arange(4, 27)), rng)


def test_binary_probabilities_of_one_number():
    rng = np.random.default_rng(5)
    yes, labels = rng.uniform(size=(3, 50)), rng.integers(2, size=50)
    statistics = EnsembleStatistics(Predictions.of_classes(yes, labels), chunk=8)
    mean = yes[:, 3:41].mean(axis=0)
    assert statistics.range(3, 41).brier() == pytest.approx(
        2 * ((mean - labels[3:41]) ** 2).mean(), **CLOSE
    )


def test_a_class_without_examples():
    predictions = random_predictions(6, num_classes=4)
    labels = np.where(predictions.labels == 2, 1, predictions.labels)
    statistics = EnsembleStatistics(Predictions.of_classes(predictions.values, labels), chunk=9)
    rng = np.random.default_rng(6)
    for label in (1, 3):  # on both sides of it
        here = np.flatnonzero(labels == label)
        check_everything(statistics.of_class(label), predictions.values[:, here], labels[here], rng)
    with pytest.raises(MotherNetsError, match="No example is left.*examples 0 to 97 of class 2"):
        statistics.of_class(2)


def test_members_that_are_always_or_never_right_alone_have_no_q():
    labels = np.array([1, 1, 0, 1] * 5)
    always = np.where(labels == 1, 0.9, 0.2)
    members = [always, 1 - always, always, np.tile([0.7, 0.1, 0.3, 0.8], 5)]
    predictions = Predictions.of_classes(members, labels)
    statistics = EnsembleStatistics(predictions, chunk=3).range(1, 18)
    for chosen in ([0, 1], [0, 2], [0, 3], [0, 1, 2, 3]):
        values, part = selected(predictions, np.arange(1, 18))
        found = astuple(statistics.diversity(chosen))
        assert found == pytest.approx(diversity_of(values, part, chosen), **CLOSE)


@pytest.mark.parametrize("chunk", [1, 8, None])
def test_regression_on_ranges(chunk):
    predictions = numbers(members=4, examples=75, targets=3, seed=7)
    statistics = EnsembleStatistics(predictions, chunk=chunk)
    for start, stop in ((0, 75), (0, 5), (7, 61), (70, 75)):
        part = statistics.range(start, stop)
        values, targets = predictions.values[:, start:stop], predictions.labels[start:stop]
        for members, weights in ((range(4), [1, 2, 3, 4]), ([2], [1]), ([3, 1], [1, 0.5])):
            mean = mean_of(values, members, weights)
            error = mean_squared_error(targets, mean)
            parts = part.squared_error_decomposition(members, weights=weights)
            assert part.mse(members, weights=weights) == pytest.approx(error, **CLOSE)
            assert parts.ensemble == pytest.approx(error, **CLOSE)
            assert parts.ambiguity == pytest.approx(
                ambiguity_of(values, members, weights) / 3, **CLOSE
            )
            np.testing.assert_allclose(
                part.mean_prediction(members, weights=weights), mean.mean(axis=0), atol=1e-12
            )


def test_a_huge_error_does_not_drown_the_ranges_beside_it():
    predictions = numbers(members=3, examples=400, targets=1, seed=8)
    values = predictions.values.copy()
    values[1, 20] = 1e12
    statistics = EnsembleStatistics(Predictions.of_numbers(values, predictions.labels), chunk=16)
    for start, stop in ((100, 300), (21, 400), (64, 128)):
        mean = values[:, start:stop].mean(axis=0)
        error = mean_squared_error(predictions.labels[start:stop], mean)
        part = statistics.range(start, stop)
        assert part.mse() == pytest.approx(error, rel=1e-10)
        np.testing.assert_allclose(part.mean_prediction(), mean.mean(axis=0), rtol=1e-10)


def test_a_member_that_is_chosen_twice_counts_twice():
    predictions = random_predictions(9)
    part = EnsembleStatistics(predictions, chunk=10).range(5, 88)
    values, labels = selected(predictions, np.arange(5, 88))
    chosen = [3, 0, 3]
    assert part.brier(chosen) == pytest.approx(brier_of(mean_of(values, chosen), labels), **CLOSE)
    assert astuple(part.diversity(chosen)) == pytest.approx(
        diversity_of(values, labels, chosen), **CLOSE
    )
    positions = np.array(chosen)
    assert part.brier(positions) == part.brier(chosen)


@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("chunk", [7, None])
def test_members_come_and_go(asked_before, chunk):
    predictions = random_predictions(10, members=9)
    statistics = EnsembleStatistics(predictions.of_members([0, 1, 2]), chunk=chunk)
    if asked_before:  # then there are sums to extend
        statistics.range(3, 50).brier(), statistics.of_class(1).nll([0])
    rng = np.random.default_rng(10)
    here = [0, 1, 2]
    for new in range(3, 9):
        statistics.add(f"new_{new}", predictions.values[new])
        here.append(new)
        if new % 2:
            statistics.drop(1)
            del here[1]
        assert len(statistics.names) == len(here)
        values = predictions.values[here]
        check_everything(statistics, values, predictions.labels, rng)
        check_everything(statistics.range(9, 80), values[:, 9:80], predictions.labels[9:80], rng)
    mask = predictions.labels == 1
    check_everything(statistics.of_class(1), values[:, mask], predictions.labels[mask], rng)
    check_averages(statistics, values, predictions.labels)
    np.testing.assert_allclose(statistics.predictions.values, values, atol=1e-15)
    assert here == [0, 4, 5, 6, 7, 8]
    assert statistics.names == ("member_1", "new_4", "new_5", "new_6", "new_7", "new_8")
    assert statistics.predictions.names == statistics.names


def test_the_pairs_are_those_of_counts():
    predictions = random_predictions(11)
    pairs = EnsembleStatistics(predictions, chunk=10).range(3, 71).pairs
    values, labels = selected(predictions, np.arange(3, 71))
    named = values.argmax(axis=-1)
    for i in range(5):
        for j in range(5):
            one, other = named[i] == labels, named[j] == labels
            assert pairs.both_right[i, j] == pytest.approx((one & other).mean())
            assert pairs.only_first[i, j] == pytest.approx((one & ~other).mean())
            assert pairs.only_second[i, j] == pytest.approx((~one & other).mean())
            assert pairs.both_wrong[i, j] == pytest.approx((~one & ~other).mean())
            assert pairs.differ[i, j] == pytest.approx((named[i] != named[j]).mean())


def test_error_products_are_those_of_scikit_learns_loss():
    predictions = random_predictions(12)
    products = EnsembleStatistics(predictions, chunk=10).range(2, 95).error_products()
    errors = predictions.values[:, 2:95] - np.eye(4)[predictions.labels[2:95]]
    for i in range(5):
        for j in range(5):
            expected = (errors[i] * errors[j]).sum(axis=1).mean()
            assert products[i, j] == pytest.approx(expected, **CLOSE)


def test_a_selection_stays_as_it_was_when_a_member_comes():
    predictions = random_predictions(13)
    statistics = EnsembleStatistics(predictions.of_members([0, 1]), chunk=10)
    before = statistics.range(5, 60)
    expected = before.brier()
    statistics.add("third", predictions.values[2])
    statistics.drop("member_1")
    assert (before.names, before.brier()) == (("member_1", "member_2"), expected)
    assert statistics.names == ("member_2", "third")


def test_likelihood_and_accuracy_by_scikit_learn():
    predictions = random_predictions(14)
    part = EnsembleStatistics(predictions, chunk=10).range(12, 90)
    values, labels = selected(predictions, np.arange(12, 90))
    assert part.nll([3]) == pytest.approx(log_loss(labels, values[3], labels=range(4)), **CLOSE)
    assert part.accuracy([3]) == accuracy_score(labels, values[3].argmax(axis=1))
    mean = values.mean(axis=0)
    assert part.nll() == pytest.approx(log_loss(labels, mean, labels=range(4)), **CLOSE)
    parts = part.nll_decomposition()
    assert parts.mean_member == pytest.approx(part.mean_member_nll(), **CLOSE)


def good():
    return classes(examples=60)


REFUSED = {
    "not summing": (lambda s: s.add("n", np.full((60, 3), 0.5)), "rows that sum to 1.5"),
    "nan": (lambda s: s.add("n", np.full((60, 3), np.nan)), "Member `n` predicts NaN"),
    "logits": (lambda s: s.add("n", np.full((60, 3), -2.0)), "do not predict probabilities"),
    "other classes": (lambda s: s.add("n", np.full((60, 4), 0.25)), "shape (60, 3)"),
    "fewer classes": (lambda s: s.add("n", np.full((60, 2), 0.5)), "Received: (60, 2)"),
    "other examples": (lambda s: s.add("n", np.full((59, 3), 1 / 3)), "Received: (59, 3)"),
    "words": (lambda s: s.add("n", np.full((60, 3), "x")), "does not predict numbers"),
    "same name": (lambda s: s.add("member_2", good().values[0]), "a name of its own"),
    "no name": (lambda s: s.add("", good().values[0]), "a name of its own"),
    "other labels": (
        lambda s: s.add("n", Predictions.of_classes(good().values[:1], (good().labels + 1) % 3)),
        "first other one in row 0",
    ),
    "two members": (lambda s: s.add("n", good().of_members([0, 1])), "those of one member"),
    "other task": (lambda s: s.add("n", numbers(1, 60, 3)), "1 of a regression"),
    "part": (lambda s: s.range(0, 9).add("n", good().values[0][:9]), "a selection of them"),
    "drop unknown": (lambda s: s.drop("n"), "A member is not known"),
    "drop from part": (lambda s: s.of_class(0).drop(0), "a selection of them"),
    "save part": (lambda s: s.range(0, 9).save("/nowhere"), "a selection of them"),
    "backwards": (lambda s: s.range(9, 3), "9 and 3"),
    "too far": (lambda s: s.range(0, 61), "stop <= 60"),
    "negative": (lambda s: s.range(-1, 3), "`start`"),
    "empty": (lambda s: s.range(5, 5), "5 and 5"),
    "apart": (lambda s: s.range(0, 5).range(5, 9), "No example is left"),
    "no class": (lambda s: s.of_class(3), "0 to 2"),
    "fraction": (lambda s: s.of_class(0.5), "`label`"),
    "two classes": (lambda s: s.of_class(0).of_class(1), "of two classes"),
    "ranking": (lambda s: s.ranking("mse"), "'mse'"),
    "within": (lambda s: s.which_can_go(-0.1), "`within`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(case):
    ask, fragment = REFUSED[case]
    statistics = EnsembleStatistics(good(), chunk=16)
    before = str(statistics), statistics.error_products().tobytes(), statistics.nbytes
    with pytest.raises(MotherNetsError) as caught:
        ask(statistics)
    assert fragment in str(caught.value)
    assert (str(statistics), statistics.error_products().tobytes(), statistics.nbytes) == before
    statistics.add("n", good().values[0])  # it can go on


@pytest.mark.parametrize(
    ("labels", "fragment"), [([0, 3], "labels out of range"), ([0, 1, 0], "differ in length")]
)
def test_labels_that_cannot_be_right(labels, fragment):
    with pytest.raises(MotherNetsError, match=fragment):
        Predictions.of_classes([[[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]], labels)


def test_regressions_have_no_classes_and_one_member_stays():
    statistics = EnsembleStatistics(numbers())
    with pytest.raises(MotherNetsError, match="no classes to select by"):
        statistics.of_class(0)
    with pytest.raises(MotherNetsError, match="has no meaning"):
        statistics.mean_member_nll()
    single = EnsembleStatistics(numbers(members=1))
    with pytest.raises(MotherNetsError, match="cannot go"):
        single.drop(0)
    with pytest.raises(MotherNetsError, match="`chunk`"):
        EnsembleStatistics(numbers(), chunk=0).mse()


def test_adding_numbers_of_a_regression():
    predictions = numbers(members=3, targets=1)
    statistics = EnsembleStatistics(predictions.of_members([0, 1]), chunk=9)
    statistics.mse()
    statistics.add("third", predictions.values[2][:, 0])
    expected = mean_squared_error(predictions.labels, predictions.values.mean(axis=0))
    assert statistics.mse() == pytest.approx(expected, **CLOSE)
