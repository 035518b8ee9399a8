"""Measures of any subset of members, on the examples that are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mothernets.ensembles.additive import BINS
from keras_mothernets.ensembles.aggregates import Aggregates, Selection
from keras_mothernets.ensembles.calibration_error import calibration_error
from keras_mothernets.ensembles.decomposition import Decomposition, nll_decomposition
from keras_mothernets.ensembles.diversity import Diversity, PairCounts
from keras_mothernets.ensembles.leaving import fewest_as_good
from keras_mothernets.ensembles.likelihood import nll
from keras_mothernets.ensembles.pair_sums import PairSums
from keras_mothernets.ensembles.positions import Subset, positions_of
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.temperature import calibrated_nll
from keras_mothernets.errors import MotherNetsError, finite_number, whole_number
from keras_mothernets.training.text import text_table

Weights = Sequence[float] | np.ndarray


class Measures:
    """What `EnsembleStatistics` can be asked; it says which members and examples there are.

    Attributes:
        task: Classification or regression.
    """

    task: Task
    _names: tuple[str, ...]
    _rows: np.ndarray  # where each member lies among all ever added
    _selection: Selection | None  # of the examples; `None` for all
    _asked: tuple[bytes, PairSums] | None  # of which members, and their sums

    @property
    def aggregates(self) -> Aggregates:
        """Predictions and sums of all members that were ever added."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, in their order."""
        return self._names

    @property
    def num_examples(self) -> int:
        """Number of examples that are measured on."""
        return self.aggregates.count(self._where)

    def accuracy(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Fraction of examples whose right class the average puts first.

        Of a single member from the sums; of an average from the predictions.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            A fraction, 0 to 1.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "accuracy")
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        if len(positions) == 1:
            return float(self._of_each("accuracy", positions)[0])
        named = self._mean(positions, shares).argmax(axis=-1)
        return float(np.mean(named == self._labels))

    def oracle_accuracy(self, members: Subset | None = None) -> float:
        """Fraction of examples that at least one member gets right: what choosing could reach.

        From the classes that the members name.

        Args:
            members: Names or positions; all members by default.

        Returns:
            A fraction, 0 to 1.

        Raises:
            MotherNetsError: This is a regression, or a member is not known.
        """
        self._need(Task.CLASSES, "oracle_accuracy")
        named = self.aggregates.examples.named
        assert named is not None
        taken = named.take(self._rows[self._positions(members)], self._examples)
        return float((taken == self._labels).any(axis=0).mean())

    def nll(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Mean negative log-likelihood of the average, in nats.

        A member's probability of the truth counts as at least 1e-7. Of a single member from the
        sums; of an average from the predictions.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            Nats per example; 0 is best.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "nll")
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        if len(positions) == 1:
            return float(self._of_each("nll", positions)[0])
        return nll(shares @ self._truth(positions))

    def mean_member_nll(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> float:
        """Weighted mean of the members' own negative log-likelihoods, in nats, from the sums.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            Nats per example.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "mean_member_nll")
        positions = self._positions(members)
        return float(as_shares(weights, len(positions)) @ self._of_each("nll", positions))

    def mean_prediction(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> np.ndarray:
        """Mean over the examples of what the average predicts, from the sums.

        Of a class (`of_class`) it is a row of the soft confusion matrix.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            (classes or targets,).

        Raises:
            MotherNetsError: A member or weight cannot be used.
        """
        positions = self._positions(members)
        sums = self.aggregates.member_sums(self._rows[positions], self._where)
        mean = as_shares(weights, len(positions)) @ sums["predictions"]
        return np.asarray(mean / self.num_examples)

    def calibrated_nll(
        self, members: Subset | None = None, *, weights: Weights | None = None, seed: int = 0
    ) -> float:
        """Mean negative log-likelihood of the average at the temperature that fits other examples.

        From the predictions.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.
            seed: Decides how the examples are cut into halves, to fit and to measure on.

        Returns:
            Nats per example.

        Raises:
            MotherNetsError: This is a regression, there is a single example, or a member or
                weight cannot be used.
        """
        self._need(Task.CLASSES, "calibrated_nll")
        positions = self._positions(members)
        mean = self._mean(positions, as_shares(weights, len(positions)))
        return calibrated_nll(mean, self._labels, seed=seed)

    def brier(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Brier score of the average: squared error summed over the classes, from 0 to 2.

        With two classes it is twice the square of what the probability of class 1 is off.
        From the sums, of any average.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            A number from 0, which is best, to 2.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "brier")
        return self._squared_error(members, weights)

    def mse(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Mean squared error of the average, over examples and targets; from the sums.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            In the square of the targets' unit.

        Raises:
            MotherNetsError: This is a classification, or a member or weight cannot be used.
        """
        self._need(Task.NUMBERS, "mse")
        return self._squared_error(members, weights)

    def ece(
        self,
        members: Subset | None = None,
        *,
        weights: Weights | None = None,
        bins: int = BINS,
        adaptive: bool = False,
    ) -> float:
        """Expected calibration error of the average, a fraction.

        Of a single member in 15 bins from the sums; else from the predictions.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.
            bins: Number of bins of confidence.
            adaptive: Bins of equally many examples, else of equal width.

        Returns:
            A fraction, 0 to 1; 0 is best.

        Raises:
            MotherNetsError: This is a regression, or an argument cannot be used.
        """
        self._need(Task.CLASSES, "ece")
        bins = whole_number("bins", bins, 1)
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        if len(positions) == 1 and bins == BINS and not adaptive:
            return float(self._of_each("ece", positions)[0])
        mean = self._mean(positions, shares)
        return calibration_error(mean, self._labels, bins=bins, adaptive=adaptive)

    def diversity(self, members: Subset | None = None) -> Diversity:
        """How differently the members err; from the sums.

        Args:
            members: Names or positions; all members by default.

        Returns:
            Six measures; `str()` of it shows them.

        Raises:
            MotherNetsError: This is a regression (see `squared_error_decomposition`), there are
                fewer than two members, or one is not known.
        """
        self._need(Task.CLASSES, "diversity")
        positions = self._positions(members)
        if len(positions) < 2:
            raise MotherNetsError(
                "Diversity is measured between members",
                expected="at least two",
                received=f"{len(positions)}",
            )
        return self._pair_sums(positions).diversity()

    def squared_error_decomposition(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> Decomposition:
        """Brier score or mean squared error as mean member minus ambiguity; from the sums.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            The score with its two parts.

        Raises:
            MotherNetsError: A member or weight cannot be used.
        """
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        return self._pair_sums(positions).decomposition(shares)

    def nll_decomposition(
        self, members: Subset | None = None, *, weights: Weights | None = None
    ) -> Decomposition:
        """Negative log-likelihood as mean member minus Jensen's gap; from the predictions.

        Args:
            members: Names or positions; all members by default.
            weights: One number of at least 0 for each of these, equal by default.

        Returns:
            The likelihood with its two parts, in nats.

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "nll_decomposition")
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        return nll_decomposition(self._truth(positions), shares)

    def ranking(self, measure: str | None = None) -> dict[str, float]:
        """The members by how good each is alone, the best first; from the sums.

        Args:
            measure: "brier" (default), "nll", "accuracy" or "ece" of a classification; "mse" of a
                regression.

        Returns:
            The measure of each member, by name.

        Raises:
            MotherNetsError: The measure is not one of these.
        """
        known = ("brier", "nll", "accuracy", "ece") if self._is_classes else ("mse",)
        measure = known[0] if measure is None else measure
        if measure not in known:
            raise MotherNetsError(
                "`measure` is not one to rank by",
                expected=f"one of {list(known)} for a {self.task.value}",
                received=repr(measure),
            )
        scores = self._of_each(measure, self._positions(None))
        order = np.argsort(-scores if measure == "accuracy" else scores, kind="stable")
        return {self._names[place]: float(scores[place]) for place in order}

    def which_can_go(self, within: float = 0.001) -> list[str]:
        """Members without whom the equal mean is as good, as many as can go; from the sums.

        Those that stay are the smallest subset whose Brier score (mean squared error of a
        regression) is at most that of all members times `1 + within`. Up to 14 members it is the
        smallest there is; of more it is found by letting the least useful leave one after the
        other, and may not be. Choose on held-out data.

        Args:
            within: What may be lost, a fraction of the score of all members.

        Returns:
            Names, in the order of the members.

        Raises:
            MotherNetsError: `within` is no finite number of at least 0.
        """
        within = finite_number("within", within)
        stay = set(fewest_as_good(self.error_products(), within).tolist())
        return [name for place, name in enumerate(self._names) if place not in stay]

    def error_products(self, members: Subset | None = None) -> np.ndarray:
        """Mean products of the members' errors, which tell how alike they err; from the sums.

        With them the squared error of an average with weights w is w' G w.

        Args:
            members: Names or positions; all members by default.

        Returns:
            (members, members).

        Raises:
            MotherNetsError: A member is not known.
        """
        return self._pair_sums(self._positions(members)).products

    @property
    def pairs(self) -> PairCounts:
        """How often each pair of members is right and wrong together, (members, members)."""
        self._need(Task.CLASSES, "diversity")
        return self._pair_sums(self._positions(None)).counts()

    def __str__(self) -> str:
        names = ("accuracy", "nll", "brier", "ece") if self._is_classes else ("mse",)
        everyone = self._positions(None)
        alone = np.stack([self._of_each(name, everyone) for name in names], axis=1)
        rows = [[title, *row.tolist()] for title, row in zip(self._names, alone, strict=True)]
        return text_table(
            ["", *names], [*rows, ["ensemble", *(getattr(self, name)() for name in names)]]
        )

    @property
    def _where(self) -> Selection:
        return self._selection or self.aggregates.everything

    @property
    def _examples(self) -> np.ndarray:
        return self.aggregates.positions(self._where)

    @property
    def _labels(self) -> np.ndarray:
        return self.aggregates.examples.labels[self._examples]

    @property
    def _is_classes(self) -> bool:
        return self.task is Task.CLASSES

    def _need(self, task: Task, what: str) -> None:
        if self.task is not task:
            raise MotherNetsError(
                f"`{what}` has no meaning for these predictions",
                expected=f"predictions of a {task.value}",
                received=f"a {self.task.value}",
            )

    def _pair_sums(self, positions: np.ndarray) -> PairSums:
        """Of the members that were asked for last they are there: several measures are asked."""
        key = positions.tobytes()
        if self._asked is None or self._asked[0] != key:
            sums = self.aggregates.pair_sums(self._rows[positions], self._where)
            self._asked = key, sums
        return self._asked[1]

    def _of_each(self, measure: str, positions: np.ndarray) -> np.ndarray:
        """A measure of each member alone, (members,)."""
        if measure in ("brier", "mse"):
            return self._pair_sums(positions).own
        sums = self.aggregates.member_sums(self._rows[positions], self._where)
        if measure == "nll":
            return np.asarray(sums["nll"] / self.num_examples)
        if measure == "accuracy":
            return np.asarray(sums["right"].sum(axis=1) / self.num_examples)
        gaps = np.abs(sums["right"] - sums["confidence"]).sum(axis=1)
        return np.asarray(gaps / self.num_examples)

    def _squared_error(self, members: Subset | None, weights: Weights | None) -> float:
        positions = self._positions(members)
        shares = as_shares(weights, len(positions))
        return self._pair_sums(positions).squared_error(shares)

    def _truth(self, positions: np.ndarray) -> np.ndarray:
        truth = self.aggregates.truth[self._rows[positions]]
        return truth if self._selection is None else truth[:, self._examples]

    def _mean(self, positions: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """What the average predicts, one member added after the other, (examples, classes)."""
        values, examples = self.aggregates.examples.values, self._examples
        mean = np.zeros((len(examples), self.aggregates.examples.width))
        for row, share in zip(self._rows[positions, None], shares, strict=True):
            mean += share * values.take(row, examples)[0]
        return mean

    def _positions(self, members: Subset | None) -> np.ndarray:
        return positions_of(self._names, members)
