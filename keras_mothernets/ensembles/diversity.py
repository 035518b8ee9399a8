"""Diversity: how differently members err, counted for every pair of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError


@dataclass(frozen=True)
class Diversity:
    """Measures of how differently members err.

    All but the last are means over all pairs of members. Q and the correlation have no
    value for a pair in which they would divide by zero, for example where a member is always
    right; such pairs are left out, and where none is left the value is NaN.

    Args:
        disagreement: Fraction of examples on which two members name different classes.
        right_wrong_disagreement: Fraction on which exactly one of two is right: the disagreement
            measure of Kuncheva & Whitaker. It leaves out different wrong classes.
        double_fault: Fraction on which both are wrong.
        q_statistic: Yule's Q of being right, from -1 to 1; 0 for independent members.
        correlation: Correlation of being right, from -1 to 1.
        kohavi_wolpert_variance: Variance over members of being right, mean over examples,
            from 0 to 1/4.

    Source:
        Kuncheva & Whitaker, Measures of Diversity in Classifier Ensembles and Their
        Relationship with the Ensemble Accuracy, 2003, sections 2.1 and 2.2. Disagreement
        about the class: Fort, Hu & Lakshminarayanan, Deep Ensembles: A Loss Landscape
        Perspective, 2019.
    """

    disagreement: float
    right_wrong_disagreement: float
    double_fault: float
    q_statistic: float
    correlation: float
    kohavi_wolpert_variance: float

    def __str__(self) -> str:
        return ", ".join(
            f"{field.name.replace('_', ' ')} {getattr(self, field.name):.4f}"
            for field in fields(self)
        )


@dataclass(frozen=True, eq=False)
class PairFractions:
    """How often two members are right and wrong together, and name different classes.

    Every measure of a pair, and with them those of any subset of members, follow from these
    matrices; the predictions are not needed again.

    Args:
        both_right: Fraction of examples on which members i and j are right, (members, members).
        only_first: Fraction on which i is right and j is not.
        both_wrong: Fraction on which both are wrong.
        differ: Fraction on which they name different classes.
    """

    both_right: np.ndarray
    only_first: np.ndarray
    both_wrong: np.ndarray
    differ: np.ndarray

    @classmethod
    def of(cls, predictions: Predictions) -> PairFractions:
        """Count all pairs.

        Args:
            predictions: Predictions of a classification.

        Example:
            >>> predictions = Predictions.of_classes([[0.1, 0.9], [0.8, 0.7]], [0, 1])
            >>> PairFractions.of(predictions).both_right.tolist()
            [[1.0, 0.5], [0.5, 0.5]]
        """
        predictions.need(Task.CLASSES, "diversity")
        named = predictions.values.argmax(axis=-1)  # (members, examples)
        right = (named == predictions.labels).astype("float64")
        wrong = 1.0 - right
        count = predictions.num_examples
        differ = np.stack([(named != one).mean(axis=-1) for one in named])
        return cls(
            right @ right.T / count, right @ wrong.T / count, wrong @ wrong.T / count, differ
        )

    @property
    def only_second(self) -> np.ndarray:
        """Fraction on which member j is right and i is not, (members, members)."""
        return self.only_first.T

    def right_wrong_disagreement(self) -> np.ndarray:
        """Fraction of examples on which exactly one of two members is right."""
        return self.only_first + self.only_second

    def q_statistic(self) -> np.ndarray:
        """Yule's Q, (ad - bc) / (ad + bc); NaN where both products are zero."""
        alike, unlike = self.both_right * self.both_wrong, self.only_first * self.only_second
        return _ratio(alike - unlike, alike + unlike)

    def correlation(self) -> np.ndarray:
        """Correlation of being right; NaN where a member is always right or always wrong."""
        first = self.both_right + self.only_first  # accuracy of the first of the pair
        second = first.T
        spread = first * (1 - first) * second * (1 - second)
        difference = self.both_right * self.both_wrong - self.only_first * self.only_second
        # An accuracy of one can come out a rounding away from it.
        return _ratio(difference, np.sqrt(np.where(spread > 1e-15, spread, 0.0)))

    def diversity(self, positions: np.ndarray) -> Diversity:
        """The measures of some of the members.

        Args:
            positions: Which, at least two.

        Raises:
            MotherNetsError: It is a single member.
        """
        if len(positions) < 2:
            raise MotherNetsError(
                "Diversity is measured between members",
                expected="at least two",
                received=f"{len(positions)}",
            )
        first, second = np.triu_indices(len(positions), k=1)
        pairs = positions[first], positions[second]
        exactly_one = float(self.right_wrong_disagreement()[pairs].mean())
        return Diversity(
            disagreement=float(self.differ[pairs].mean()),
            right_wrong_disagreement=exactly_one,
            double_fault=float(self.both_wrong[pairs].mean()),
            q_statistic=_mean(self.q_statistic()[pairs]),
            correlation=_mean(self.correlation()[pairs]),
            # For every example l right members of L give l (L - l) pairs that differ.
            kohavi_wolpert_variance=exactly_one * (len(positions) - 1) / (2 * len(positions)),
        )


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are there."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
