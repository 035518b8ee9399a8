"""Every measure of any subset of members, from predictions that were made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.calibration_error import calibration_error
from keras_mothernets.ensembles.decomposition import (
    Decomposition,
    nll_decomposition,
    squared_error_decomposition,
)
from keras_mothernets.ensembles.diversity import Diversity, PairFractions
from keras_mothernets.ensembles.likelihood import nll, probabilities_of_truth
from keras_mothernets.ensembles.positions import positions_of
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.squared_error import error_products
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.temperature import calibrated_nll
from keras_mothernets.errors import whole_number
from keras_mothernets.member import Member
from keras_mothernets.training.text import text_table

Subset = Sequence[int | str]
Weights = Sequence[float] | np.ndarray


@dataclass(frozen=True, eq=False)
class EnsembleStatistics:
    """How good and how diverse the members are, alone and together, in any selection.

    All measures are taken on predictions that are made once; what they share (probabilities of
    the truth, products of errors, counts of pairs) is computed when first needed and
    kept, so that thousands of subsets can be compared. Every method takes `members`, by
    position or name (all by default), and, where an average is measured, `weights` for
    these members (equal by default).

    Args:
        predictions: The members' predictions and the labels.

    Example:
        >>> one, two = [[0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]]
        >>> statistics = EnsembleStatistics(Predictions.of_classes([one, two], [0, 1]))
        >>> print(statistics)
                  accuracy     nll  brier   ece
        member_1       0.5  0.5108   0.37  0.35
        member_2       0.5  0.5108   0.37  0.35
        ensemble         1  0.4308  0.245  0.35
        >>> statistics.accuracy(["member_2"]), statistics.oracle_accuracy()
        (0.5, 1.0)
    """

    predictions: Predictions

    @classmethod
    def of(
        cls, models: Sequence[keras.Model | Member], x: Any, y: Any = None, *, logits: Any = None
    ) -> EnsembleStatistics:
        """Let members predict labelled examples, and measure them.

        Args:
            models: Built models that `km.combine` takes, with one output.
            x: What `keras.Model.fit` takes.
            y: Class numbers, one-hot rows or the targets of a regression.
            logits: Whether the members give logits; as in `km.combine`.

        Raises:
            MotherNetsError: Members or data cannot be used; see `km.Predictions.of`.
        """
        return cls(Predictions.of(models, x, y, logits=logits))

    def accuracy(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Fraction of examples whose right class the average puts first.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self.predictions.need(Task.CLASSES, "accuracy")
        named = self._mean(members, weights).argmax(axis=-1)
        return float(np.mean(named == self.predictions.labels))

    def oracle_accuracy(self, members: Subset | None = None) -> float:
        """Fraction of examples that at least one member gets right: what choosing could reach.

        Raises:
            MotherNetsError: This is a regression, or a member is not known.
        """
        self.predictions.need(Task.CLASSES, "oracle_accuracy")
        return float(self._right[self._positions(members)].any(axis=0).mean())

    def nll(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Mean negative log-likelihood of the average, in nats.

        A member's probability of the truth counts as at least 1e-7.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self.predictions.need(Task.CLASSES, "nll")
        positions = self._positions(members)
        return nll(as_shares(weights, len(positions)) @ self._truth[positions])

    def calibrated_nll(
        self, members: Subset | None = None, *, weights: Weights | None = None, seed: int = 0
    ) -> float:
        """Mean negative log-likelihood of the average at the temperature that fits other examples.

        Raises:
            MotherNetsError: This is a regression, there is a single example, or a member or
                weight cannot be used.
        """
        self.predictions.need(Task.CLASSES, "calibrated_nll")
        return calibrated_nll(self._mean(members, weights), self.predictions.labels, seed=seed)

    def brier(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Brier score of the average: squared error summed over the classes, from 0 to 2.

        With two classes it is twice the square of what the probability of class 1 is off.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self.predictions.need(Task.CLASSES, "brier")
        return self._squared_error(members, weights)

    def mse(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Mean squared error of the average, over examples and targets.

        Raises:
            MotherNetsError: This is a classification, or a member or weight cannot be used.
        """
        self.predictions.need(Task.NUMBERS, "mse")
        return self._squared_error(members, weights)

    def ece(
        self,
        members: Subset | None = None,
        *,
        weights: Weights | None = None,
        bins: int = 15,
        adaptive: bool = False,
    ) -> float:
        """Expected calibration error of the average, a fraction.

        Args:
            members: Which members.
            weights: Their weights.
            bins: Number of bins of confidence.
            adaptive: Bins of equally many examples, else of equal width.

        Raises:
            MotherNetsError: This is a regression, or an argument cannot be used.
        """
        self.predictions.need(Task.CLASSES, "ece")
        return calibration_error(
            self._mean(members, weights),
            self.predictions.labels,
            bins=whole_number("bins", bins, 1),
            adaptive=adaptive,
        )

    def diversity(self, members: Subset | None = None) -> Diversity:
        """How differently the members err.

        Raises:
            MotherNetsError: This is a regression (see `squared_error_decomposition`), there are
                fewer than two members, or one is not known.
        """
        self.predictions.need(Task.CLASSES, "diversity")
        return self.pairs.diversity(self._positions(members))

    def squared_error_decomposition(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> Decomposition:
        """Brier score or mean squared error as mean member minus ambiguity.

        Raises:
            MotherNetsError: A member or weight cannot be used.
        """
        return squared_error_decomposition(*self._selected(members, weights))

    def nll_decomposition(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> Decomposition:
        """Negative log-likelihood as mean member minus Jensen's gap.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        return nll_decomposition(*self._selected(members, weights))

    @cached_property
    def pairs(self) -> PairFractions:
        """How often each pair of members is right and wrong together."""
        return PairFractions.of(self.predictions)

    def __str__(self) -> str:
        is_classifier = self.predictions.task is Task.CLASSES
        names = ("accuracy", "nll", "brier", "ece") if is_classifier else ("mse",)
        subsets: list[tuple[str, Subset | None]] = [
            (name, [position]) for position, name in enumerate(self.predictions.names)
        ]
        subsets.append(("ensemble", None))
        return text_table(
            ["", *names],
            [
                [title, *(getattr(self, name)(subset) for name in names)]
                for title, subset in subsets
            ],
        )

    @cached_property
    def _truth(self) -> np.ndarray:
        return probabilities_of_truth(self.predictions)

    @cached_property
    def _right(self) -> np.ndarray:
        return np.asarray(self.predictions.values.argmax(axis=-1) == self.predictions.labels)

    @cached_property
    def _products(self) -> np.ndarray:
        return error_products(self.predictions)

    def _squared_error(self, members: Subset | None, weights: Weights | None) -> float:
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        return float(shares @ self._products[np.ix_(positions, positions)] @ shares)

    def _mean(self, members: Subset | None, weights: Weights | None) -> np.ndarray:
        predictions, shares = self._selected(members, weights)
        return predictions.mean(shares)

    def _selected(
        self, members: Subset | None, weights: Weights | None
    ) -> tuple[Predictions, np.ndarray]:
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        is_all = members is None  # then nothing needs copying
        return self.predictions if is_all else self.predictions.of_members(positions), shares

    def _positions(self, members: Subset | None) -> np.ndarray:
        count = self.predictions.num_members
        if members is None:
            return np.arange(count)
        return np.array(positions_of(members, self.predictions.names))
