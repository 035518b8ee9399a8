"""Accuracy, likelihood and disagreement against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keras_mothernets.ensembles import EnsembleStatistics, Predictions
from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.reporting import Quality, measure_quality

LABELS = np.array([0, 1, 2, 0])
FIRST = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.2, 0.2], [0.3, 0.5, 0.2]]
)  # right: 0, 1
SECOND = np.array([[0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8], [0.7, 0.1, 0.2]])  # 1, 2, 3
# Their mean: (.6 .3 .1) right, (.15 .75 .1) right, (.3 .2 .5) right, (.5 .3 .2) right.


def measured(*members: np.ndarray) -> Quality:
    return measure_quality(EnsembleStatistics(Predictions.of_classes(members, LABELS)))


def test_figures_by_hand() -> None:
    quality = measured(FIRST, SECOND)
    assert quality.member_accuracy == (0.5, 0.75)
    assert quality.accuracy == 1.0
    assert quality.mean_member == 0.625 and quality.best_member == 0.75
    assert quality.disagreement == 0.75  # they agree on the second example only
    expected = -sum(math.log(p) for p in (0.6, 0.75, 0.5, 0.5)) / 4
    assert quality.nll == pytest.approx(expected, rel=1e-12)


def test_three_members_disagree_as_the_mean_of_their_pairs() -> None:
    quality = measured(FIRST, SECOND, SECOND)
    assert quality.disagreement == pytest.approx((0.75 + 0.75 + 0) / 3)


def test_one_member_agrees_with_itself_and_certain_errors_are_finite() -> None:
    sure = np.eye(3)[[1, 1, 1, 1]]
    quality = measured(sure)
    assert quality.disagreement == 0.0
    assert math.isfinite(quality.nll) and quality.nll > 10


def test_what_is_no_classification_is_refused() -> None:
    with pytest.raises(DataError, match="4 examples|3 examples|length"):
        measured(FIRST[:3])
    regression = Predictions.of_numbers([FIRST], SECOND)
    with pytest.raises(MotherNetsError, match="accuracy"):
        measure_quality(EnsembleStatistics(regression))
