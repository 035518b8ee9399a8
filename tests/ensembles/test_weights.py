"""Weights from held-out data: super learner and greedy selection, each against another way."""

import keras
import numpy as np
import pytest
from made_up import classes, numbers
from sklearn.metrics import log_loss, mean_squared_error

from keras_mothernets import (
    MotherNetsError,
    Predictions,
    combine,
    greedy_selection,
    super_learner,
)

WAYS = [super_learner, greedy_selection]


def loss_of(predictions, weights):
    """By scikit-learn, of the weighted mean."""
    mean = np.einsum("m,mec->ec", weights, predictions.values)
    if predictions.labels.ndim == 1:
        return log_loss(predictions.labels, mean, labels=range(mean.shape[1]))
    return mean_squared_error(predictions.labels, mean)


def mixture_weights(truth, steps=20000):
    """Maximum likelihood of a mixture by expectation and maximisation: no gradients, no solver."""
    weights = np.full(len(truth), 1 / len(truth))
    for _ in range(steps):
        weights = (weights[:, None] * truth / (weights @ truth)).mean(axis=1)
    return weights


@pytest.mark.parametrize("seed", range(3))
def test_super_learner_is_the_most_likely_mixture(seed):
    predictions = classes(seed=seed)
    truth = predictions.values[:, np.arange(200), predictions.labels]
    weights = super_learner(predictions)
    np.testing.assert_allclose(weights, mixture_weights(truth), atol=2e-3)
    assert loss_of(predictions, weights) <= loss_of(predictions, mixture_weights(truth)) + 1e-8


def test_super_learner_of_a_regression_beats_a_fine_grid():
    predictions = numbers(members=3)
    weights = super_learner(predictions)
    grid = [(a / 100, b / 100, 1 - a / 100 - b / 100) for a in range(101) for b in range(101 - a)]
    best = min(loss_of(predictions, np.array(point)) for point in grid)
    assert best - 1e-3 < loss_of(predictions, weights) <= best + 1e-9


def test_super_learner_of_members_whose_errors_differ_a_millionfold():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4, 50, 1)) * np.array([1e-3, 2e-3, 1, 1e3])[:, None, None]
    predictions = Predictions.of_numbers(errors, np.zeros((50, 1)))
    weights = super_learner(predictions)
    ratio = loss_of(predictions, weights) / loss_of(predictions, np.eye(4)[0])
    assert 0.5 < ratio < 0.95
    assert weights[3] < 1e-5


def test_super_learner_of_a_member_without_any_error():
    predictions = Predictions.of_numbers([[1.0, 2.0], [1.5, 2.5]], [1.0, 2.0])
    np.testing.assert_allclose(super_learner(predictions), [1, 0], atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("predictions", [classes(), numbers()], ids=["classes", "numbers"])
def test_weights_are_shares_and_never_worse_than_the_best_member(way, predictions):
    weights = way(predictions)
    assert weights.shape == (4,) and (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    best = min(loss_of(predictions, single) for single in np.eye(4))
    assert loss_of(predictions, weights) <= best + 1e-9
    assert loss_of(predictions, np.full(4, 0.25)) > loss_of(predictions, weights)


@pytest.mark.parametrize("way", WAYS)
def test_a_member_that_only_harms_gets_nothing(way):
    rng = np.random.default_rng(0)
    right = rng.uniform(0.6, 0.95, size=(2, 50))
    harmful = 0.3 * right[0]
    weights = way(Predictions.of_classes([right[0], harmful, right[1]], np.ones(50, int)))
    assert weights[1] == 0


@pytest.mark.parametrize("way", WAYS)
def test_one_member_gets_all(way):
    assert way(classes(members=1)).tolist() == [1.0]


def naive_selection(predictions, draws=100):
    """Every ensemble built anew from the list of its members."""
    chosen, path = [], []
    for _ in range(draws):
        scores = []
        for extra in range(predictions.num_members):
            mean = np.mean([predictions.values[i] for i in [*chosen, extra]], axis=0)
            scores.append(
                log_loss(predictions.labels, mean, labels=range(mean.shape[1]))
                if predictions.labels.ndim == 1
                else mean_squared_error(predictions.labels, mean)
            )
        chosen.append(int(np.argmin(scores)))
        path.append(min(scores))
    best = chosen[: int(np.argmin(path)) + 1]
    return np.array([best.count(i) / len(best) for i in range(predictions.num_members)])


@pytest.mark.parametrize("predictions", [classes(seed=3), numbers(seed=3)])
def test_greedy_selection_step_by_step(predictions):
    np.testing.assert_allclose(
        greedy_selection(predictions), naive_selection(predictions), atol=1e-12
    )


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_members_than_allowed(most):
    predictions = classes(members=6, skill=0.7)
    assert np.count_nonzero(greedy_selection(predictions)) > 3
    weights = greedy_selection(predictions, max_members=most)
    assert np.count_nonzero(weights) == most
    if most == 1:
        assert weights.argmax() == np.argmin([loss_of(predictions, one) for one in np.eye(6)])


def test_selection_by_accuracy_finds_members_that_correct_each_other():
    one, two, useless = [0.9, 0.4, 0.9], [0.4, 0.9, 0.9], [0.1, 0.1, 0.9]
    predictions = Predictions.of_classes([useless, one, two], [1, 1, 1])
    weights = greedy_selection(predictions, measure="accuracy")
    assert weights.tolist() == [0, 0.5, 0.5]  # the smallest ensemble that is always right


def test_selection_by_brier_is_that_of_squared_errors():
    predictions = classes(seed=5)
    one_hot = np.eye(3)[predictions.labels]
    as_numbers = Predictions.of_numbers(predictions.values, one_hot)
    np.testing.assert_array_equal(
        greedy_selection(predictions, measure="brier"), greedy_selection(as_numbers)
    )


@pytest.mark.parametrize(
    ("keywords", "fragment"),
    [
        ({"max_members": 0}, "`max_members` must be a whole number of at least 1"),
        ({"max_members": 1.5}, "1.5"),
        ({"measure": "mse"}, "'mse'"),
    ],
)
def test_what_greedy_selection_refuses(keywords, fragment):
    with pytest.raises(MotherNetsError) as caught:
        greedy_selection(classes(), **keywords)
    assert fragment in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_from_networks_to_a_weighted_ensemble(way):
    """The ensemble of the weights has the likelihood that the weights were found for."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(3, size=60)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(3)]
    for model in models:
        model.compile(loss=loss)
    weights = way(models, x, y)
    ensemble = combine(models, "weighted", weights=weights)
    probabilities = ensemble.predict(x, verbose=0).astype(float)
    probabilities /= probabilities.sum(-1, keepdims=True)
    found = log_loss(y, probabilities, labels=[0, 1, 2])
    predictions = Predictions.of(models, x, y)
    assert found == pytest.approx(loss_of(predictions, weights), abs=1e-5)
    assert found <= min(loss_of(predictions, single) for single in np.eye(3)) + 1e-5
