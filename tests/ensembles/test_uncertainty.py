"""Uncertainties, against direct computation by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from exported import by_numpy
from keras import ops

from keras_mothernets import EnsembleStatistics, Predictions
from keras_mothernets.ensembles import uncertainty

RANDOM = np.random.default_rng(0)


def random_members(count: int, classes: int = 4, examples: int = 50) -> np.ndarray:
    return RANDOM.dirichlet(np.full(classes, 0.5), size=(count, examples)).astype("float32")


def computed(probabilities: np.ndarray, weights: list[float] | None) -> dict[str, np.ndarray]:
    count = len(probabilities)
    shares = np.full(count, 1 / count) if weights is None else np.array(weights) / np.sum(weights)
    values = ops.convert_to_tensor(probabilities.transpose(1, 0, 2))
    outputs = {
        "probabilities": uncertainty.weighted_mean(values, shares),
        "member_probabilities": values,
        "predictive_entropy": uncertainty.entropy(uncertainty.weighted_mean(values, shares)),
        "mutual_information": uncertainty.mutual_information(values, shares),
        "disagreement": uncertainty.disagreement(values, shares),
    }
    return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


ONE_HOT = np.eye(3, dtype="float32")
CASES = {
    "random": (random_members(5), None),
    "weights": (random_members(4), [3.0, 1.0, 0.5, 0.5]),
    "a weight of zero": (random_members(3), [1.0, 0.0, 1.0]),
    "all the weight on one": (random_members(3), [0.0, 1.0, 0.0]),
    "one member": (random_members(1), None),
    "certain and alike": (np.stack([ONE_HOT, ONE_HOT]), None),
    "certain and apart": (np.stack([ONE_HOT, ONE_HOT[[1, 2, 0]]]), None),
    "undecided": (np.full((3, 2, 4), 0.25, "float32"), None),
    "ties": (np.array([[[0.4, 0.4, 0.2]], [[0.3, 0.35, 0.35]]], "float32"), None),
    "next to nothing": (np.array([[[1e-30, 1.0]], [[0.0, 1.0]]], "float32"), None),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_of_it_is_what_numpy_gives(case: str) -> None:
    probabilities, weights = CASES[case]
    found, expected = computed(probabilities, weights), by_numpy(probabilities, weights)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)
        assert np.isfinite(found[name]).all()
    assert (found["mutual_information"] >= 0).all()


def test_one_member_has_no_mutual_information_and_agrees_with_itself() -> None:
    found = computed(random_members(1), None)
    assert not found["mutual_information"].any() and not found["disagreement"].any()
    assert found["predictive_entropy"].any()


def test_known_values() -> None:
    apart = computed(np.stack([ONE_HOT, ONE_HOT[[1, 2, 0]]]), None)
    np.testing.assert_allclose(apart["mutual_information"], np.log(2), atol=1e-6)
    np.testing.assert_allclose(apart["disagreement"], 1.0)
    undecided = computed(np.full((3, 2, 4), 0.25, "float32"), None)
    np.testing.assert_allclose(undecided["predictive_entropy"], np.log(4), atol=1e-6)
    assert not undecided["disagreement"].any()


def test_the_mean_disagreement_is_that_of_the_statistics() -> None:
    members = random_members(6)
    predictions = Predictions.of_classes(members, np.zeros(50, int))
    expected = EnsembleStatistics(predictions).diversity().disagreement
    assert computed(members, None)["disagreement"].mean() == pytest.approx(expected, abs=1e-6)


def test_the_variance_of_a_regression() -> None:
    values = RANDOM.normal(size=(20, 3, 2)).astype("float32")
    shares = np.array([0.5, 0.3, 0.2])
    mean = np.einsum("k,ekt->et", shares, values)
    expected = np.einsum("k,ekt->et", shares, (values - mean[:, None]) ** 2)
    found = ops.convert_to_numpy(uncertainty.variance(ops.convert_to_tensor(values), shares))
    np.testing.assert_allclose(found, expected, atol=1e-6)
