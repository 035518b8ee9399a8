"""Temperature scaling, calibrated models, and what an ensemble is worth in independent networks."""

import math

import keras
import numpy as np
import pytest
from made_up import classes, numbers
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from keras_mothernets import (
    EnsembleStatistics,
    MotherNetsError,
    Predictions,
    calibrate,
    combine,
    deep_ensemble_equivalent,
)
from keras_mothernets.ensembles.temperature import at_temperature, calibrated_nll, fit_temperature


class Parrot(ClassifierMixin, BaseEstimator):
    """A classifier of scikit-learn whose inputs are its probabilities."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return self.classes_[x.argmax(-1)]


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
def test_temperature_is_that_of_scikit_learn(power):
    predictions = classes(examples=400)
    sure = predictions.mean() ** power
    sure /= sure.sum(-1, keepdims=True)
    parrot = FrozenEstimator(Parrot().fit(sure, predictions.labels))
    scaled = CalibratedClassifierCV(parrot, method="temperature").fit(sure, predictions.labels)
    temperature = fit_temperature(sure, predictions.labels)
    expected = scaled.predict_proba(sure)
    np.testing.assert_allclose(at_temperature(sure, temperature), expected, atol=1e-5)
    assert abs(temperature - 1) > 0.01


def test_no_temperature_nearby_is_better():
    predictions = classes()
    fitted = fit_temperature(predictions.mean(), predictions.labels)
    losses = [
        log_loss(predictions.labels, at_temperature(predictions.mean(), fitted * factor))
        for factor in (0.5, 0.99, 1.0, 1.01, 2.0)
    ]
    assert min(losses) == losses[2]


def test_a_temperature_undoes_itself():
    """Overconfidence by a power of three is a temperature three times as high."""
    predictions = classes()
    plain = fit_temperature(predictions.mean(), predictions.labels)
    cubed = at_temperature(predictions.mean(), 1 / 3)
    assert fit_temperature(cubed, predictions.labels) == pytest.approx(3 * plain, rel=1e-5)


def test_certain_and_right_everywhere_has_no_endless_temperature():
    sure = np.eye(3)[[0, 1, 2, 1]]
    assert 0.01 <= fit_temperature(sure, np.array([0, 1, 2, 1])) <= 100
    assert fit_temperature(sure, np.array([1, 2, 0, 2])) <= 100


def test_calibrated_likelihood_does_not_depend_on_confidence():
    predictions = classes()
    mean, labels = predictions.mean(), predictions.labels
    found = calibrated_nll(mean, labels)
    assert calibrated_nll(at_temperature(mean, 0.2), labels) == pytest.approx(found, abs=1e-5)
    assert log_loss(labels, at_temperature(mean, 0.2)) > found + 0.1
    assert EnsembleStatistics(predictions).calibrated_nll() == pytest.approx(found, abs=1e-8)


@pytest.mark.slow
def test_calibrated_likelihood_is_measured_on_the_other_half():
    """The same halves, temperatures tried one after the other."""
    predictions = classes(examples=60)
    mean, labels = predictions.mean(), predictions.labels
    order = np.random.default_rng(7).permutation(60)
    temperatures = np.exp(np.linspace(-2, 2, 2001))
    losses = []
    for fitted, other in ((order[:30], order[30:]), (order[30:], order[:30])):
        powers = [mean ** (1 / temperature) for temperature in temperatures]
        tried = [power / power.sum(-1, keepdims=True) for power in powers]
        best = np.argmin([log_loss(labels[fitted], each[fitted]) for each in tried])
        losses.append(log_loss(labels[other], tried[best][other]))
    found = calibrated_nll(mean, labels, splits=1, seed=7)
    assert found == pytest.approx(np.mean(losses), abs=1e-3)
    assert abs(losses[0] - losses[1]) > 0.01


def data(num_classes):
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 4)).astype("float32"), rng.integers(num_classes, size=200)


@pytest.mark.parametrize(
    ("units", "activation", "logits"),
    [(3, "softmax", None), (3, None, True), (1, "sigmoid", None), (1, None, True)],
)
def test_a_calibrated_model_gives_scaled_probabilities(units, activation, logits, tmp_path):
    x, y = data(max(units, 2))
    init = keras.initializers.RandomNormal(stddev=2.0)
    models = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])
        for _ in range(2)
    ]
    for model in models:
        model.layers[-1].kernel.assign(init((4, units)))
    ensemble = combine(models, logits=logits)
    calibrated = calibrate(ensemble, x, y, logits=False)
    plain, scaled = (
        Predictions.of([model], x, y, logits=False, task="classification").values[0]
        for model in (ensemble, calibrated)
    )
    temperature = fit_temperature(plain, y)
    assert temperature > 1.5
    np.testing.assert_allclose(scaled, at_temperature(plain, temperature), atol=1e-5)
    assert log_loss(y, scaled) < log_loss(y, plain) - 0.05
    calibrated.save(tmp_path / "calibrated.keras")
    again = keras.saving.load_model(tmp_path / "calibrated.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), calibrated.predict(x, verbose=0))


def test_a_model_of_logits_is_calibrated_by_its_loss():
    x, y = data(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    calibrated = calibrate(model, x, y)
    np.testing.assert_allclose(calibrated.predict(x, verbose=0).sum(-1), 1, atol=1e-5)
    np.testing.assert_equal(model.get_weights(), before)


def test_a_regression_is_not_calibrated():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(MotherNetsError, match="`calibrate` has no meaning"):
        calibrate(model, np.ones((3, 4)), np.ones(3))


NETWORKS = classes(members=5, examples=600, skill=0.5)


def test_all_the_independent_networks_are_worth_their_number():
    assert deep_ensemble_equivalent(NETWORKS, NETWORKS) == pytest.approx(5)


def test_between_two_numbers_it_is_a_straight_line():
    """Means over all choices, read by NumPy's interpolation."""
    three = NETWORKS.of_members([0, 1, 2])
    losses = [
        np.mean(
            [calibrated_nll(three.values[list(chosen)].mean(0), three.labels) for chosen in choices]
        )
        for choices in (([0], [1], [2]), ([0, 1], [0, 2], [1, 2]), ([0, 1, 2],))
    ]
    pair = NETWORKS.of_members([3, 4])
    target = calibrated_nll(pair.mean(), pair.labels)
    assert losses[0] > target > losses[2]
    expected = np.interp(-target, [-loss for loss in losses], [1, 2, 3])
    assert deep_ensemble_equivalent(pair, three) == pytest.approx(expected, abs=1e-9)


def test_copies_of_a_network_are_worth_one():
    copies = NETWORKS.of_members([0, 0, 0])
    only = NETWORKS.of_members([0])
    assert deep_ensemble_equivalent(copies, only) == 1


def test_an_ensemble_beyond_all_networks_is_worth_endlessly_many():
    assert deep_ensemble_equivalent(NETWORKS, NETWORKS.of_members([0, 1])) == math.inf


def test_weights_count():
    last = NETWORKS.of_members([0])
    assert deep_ensemble_equivalent(NETWORKS, last, weights=[1, 0, 0, 0, 0]) == 1


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ((numbers(), numbers()), "has no meaning"),
        ((NETWORKS, classes()), "other examples"),
    ],
)
def test_what_has_no_equivalent(arguments, fragment):
    with pytest.raises(MotherNetsError, match=fragment):
        deep_ensemble_equivalent(*arguments)
