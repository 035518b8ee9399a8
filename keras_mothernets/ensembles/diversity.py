"""Diversity: how differently members err, counted for every pair of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np


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


@dataclass(eq=False)
class PairCounts:
    """How often the two of a pair are right, alone and together, and name one class.

    Every measure of a pair, and with them those of any subset of members, follow from these
    numbers; the predictions are not needed again. All have one shape: (members, members) of
    all pairs, or (pairs,) of some. They are whole numbers, so that what is zero is exactly zero.

    Args:
        both: Number of examples on which both of a pair are right.
        first: Number on which the first is right.
        second: Number on which the second is right.
        alike: Number on which they name the same class; `None` if only their sum is known.
        examples: Number of all examples.
    """

    both: np.ndarray
    first: np.ndarray
    second: np.ndarray
    alike: np.ndarray | None
    examples: int

    def __post_init__(self) -> None:
        # Counts ad - bc of Kuncheva & Whitaker, which is also n a - (a + b) (a + c).
        self._surplus = self.examples * self.both - self.first * self.second

    @property
    def both_right(self) -> np.ndarray:
        """Fraction of examples on which both are right."""
        return self.both / self.examples

    @property
    def only_first(self) -> np.ndarray:
        """Fraction on which the first is right and the second is not."""
        return (self.first - self.both) / self.examples

    @property
    def only_second(self) -> np.ndarray:
        """Fraction on which the second is right and the first is not."""
        return (self.second - self.both) / self.examples

    @property
    def both_wrong(self) -> np.ndarray:
        """Fraction on which both are wrong."""
        return self._neither() / self.examples

    @property
    def differ(self) -> np.ndarray:
        """Fraction on which they name different classes."""
        assert self.alike is not None
        return np.asarray(1.0 - self.alike / self.examples)

    def right_wrong_disagreement(self) -> np.ndarray:
        """Fraction of examples on which exactly one of two members is right."""
        return self.only_first + self.only_second

    def q_statistic(self) -> np.ndarray:
        """Yule's Q, (ad - bc) / (ad + bc); NaN where both products are zero."""
        products = 2.0 * self.both * self._neither() - self._surplus
        return _ratio(self._surplus, products)

    def correlation(self) -> np.ndarray:
        """Correlation of being right; NaN where a member is always right or always wrong."""
        first = self.first * (self.examples - self.first)
        second = self.second * (self.examples - self.second)
        return _ratio(self._surplus, np.sqrt(first * second))

    def diversity(self, right: np.ndarray, alike: float) -> Diversity:
        """The measures of some members, all of whose pairs of two are here, (pairs,).

        Args:
            right: Number of examples that each member gets right, (members,).
            alike: Sum of `alike` over the pairs.

        Example:
            >>> two, three = np.array([2.0]), np.array([3.0])
            >>> counts = PairCounts(two, three, two, None, examples=4)
            >>> counts.diversity(right=np.array([3.0, 2.0]), alike=2.0).double_fault
            0.25
        """
        num_members = len(right)
        cases = len(self.both) * self.examples
        both, each = float(self.both.sum()), float(right.sum()) * (num_members - 1)
        exactly_one = (each - 2.0 * both) / cases
        return Diversity(
            disagreement=1.0 - alike / cases,
            right_wrong_disagreement=exactly_one,
            double_fault=(cases - each + both) / cases,
            q_statistic=_mean(self.q_statistic()),
            correlation=_mean(self.correlation()),
            # For every example l right members of L give l (L - l) pairs that differ.
            kohavi_wolpert_variance=exactly_one * (num_members - 1) / (2 * num_members),
        )

    def _neither(self) -> np.ndarray:
        return self.examples - self.first - self.second + self.both


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where a pair has no value: there both numbers are exactly zero."""
    with np.errstate(invalid="ignore"):
        return np.asarray(above / below)


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are there."""
    total = float(values.sum())
    if not math.isnan(total):
        return total / len(values)
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
