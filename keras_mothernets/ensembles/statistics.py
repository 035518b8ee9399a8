"""Every measure of any subset of members on any range or class, from predictions read once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.additive import BINS
from keras_mothernets.ensembles.aggregates import SMALLEST_CHUNK, Aggregates, Selection
from keras_mothernets.ensembles.calibration_error import calibration_error
from keras_mothernets.ensembles.decomposition import Decomposition, nll_decomposition
from keras_mothernets.ensembles.diversity import Diversity, PairCounts
from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.leaving import fewest_as_good
from keras_mothernets.ensembles.likelihood import nll
from keras_mothernets.ensembles.new_member import checked_member
from keras_mothernets.ensembles.pair_sums import PairSums
from keras_mothernets.ensembles.positions import Subset, positions_of
from keras_mothernets.ensembles.predictions import Predictions, as_predictions, check_no_data
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.statistics_files import Stored, read_statistics, write_statistics
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.temperature import calibrated_nll
from keras_mothernets.errors import MotherNetsError, finite_number, whole_number
from keras_mothernets.member import Member
from keras_mothernets.training.text import text_table

Weights = Sequence[float] | np.ndarray


class EnsembleStatistics:
    """How good and how diverse the members are, alone and together, in any selection.

    Every method takes `members`, by position or name (all by default), and, where an average is
    measured, `weights` for these members (equal by default). `range` and `of_class` give the
    statistics of some of the examples, with the same methods.

    Predictions are read once. What adds up over examples is kept as running sums for every pair of
    members and for every member, made when first needed; from them follow, at a cost that does
    not depend on the number of examples, the Brier score or mean squared error of any weighted
    subset with its decomposition, all measures of diversity, the mean member's
    likelihood, each single member's accuracy, likelihood and calibration, `ranking` and
    `which_can_go`. Accuracy, likelihood and calibration of an *average* of several members do
    not add up over members: they are computed from the predictions, which are kept for
    that, and take time in proportion to the examples.

    Args:
        predictions: The members' predictions and the labels.
        chunk: Examples between two running sums. Fewer make selections faster and the sums larger.
            By default so many that the sums take about three quarters of the bytes of predictions,
            and at least 32.

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
        >>> statistics.add("third", [[0.8, 0.2], [0.2, 0.8]])
        >>> list(statistics.ranking()), statistics.which_can_go()
        (['third', 'member_1', 'member_2'], ['member_1', 'member_2'])
        >>> round(statistics.of_class(1).brier(["third", "member_2"]), 4)
        0.045

    Source:
        Wasay, Wei, Dayan & Idreos, Data Canopy: Accelerating Exploratory Statistical Analysis,
        SIGMOD 2017: basic aggregates of chunks from which statistics of any range follow. There
        trees of chunks hold them; here running sums do (`running_sums.py` says why), and products
        of errors p - y stand for those of probabilities, so that regressions are served too.
    """

    def __init__(self, predictions: Predictions, *, chunk: int | None = None) -> None:
        self.chunk = chunk
        self._predictions: Predictions | None = predictions
        self._made: Aggregates | None = None
        self.task = predictions.task
        self._names = tuple(predictions.names)
        self._rows = np.arange(len(self._names))  # where each member lies among all ever added
        self._selection: Selection | None = None
        self._asked: tuple[bytes, PairSums] | None = None  # of which members, and their sums

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

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> EnsembleStatistics:
        """Statistics that `save` wrote; large files are mapped and read where needed.

        Args:
            path: The directory.
            verify: Whether to compare all checksums, which reads every file once.

        Raises:
            RunError: There are none, they are damaged, or a newer version wrote them.
        """
        stored, aggregates = read_statistics(Path(path), verify=verify)
        statistics = cls.__new__(cls)
        statistics.chunk = aggregates.chunk
        statistics._predictions = None
        statistics.task = aggregates.examples.task
        statistics._selection = None
        statistics._replace(aggregates, stored.names, np.array(stored.rows))
        return statistics

    def save(self, path: str | Path) -> None:
        """Keep predictions, labels and sums in a directory, for `load`.

        Into a directory that holds these statistics with fewer members only what is new is written.
        Each file is written under another name, synced and renamed, and the list of them last: a
        kill at any instant leaves what was there before, or all. Nothing is a pickle.

        Args:
            path: The directory; it is made if it is not there.

        Raises:
            MotherNetsError: This is a selection of examples.
            RunError: The directory holds other statistics, or cannot be written.

        Example:
            >>> import tempfile
            >>> statistics = EnsembleStatistics(Predictions.of_classes([[0.75, 0.5]], [1, 0]))
            >>> folder = tempfile.mkdtemp() + "/statistics"
            >>> statistics.save(folder)
            >>> EnsembleStatistics.load(folder).brier() == statistics.brier()
            True
        """
        self._need_whole("save")
        stored = Stored(self._names, tuple(int(row) for row in self._rows))
        write_statistics(Path(path), stored, self.aggregates)

    def add(self, name: str, predictions: Any) -> None:
        """One more member, at the end: one pass over its predictions against those of the others.

        Selections that were made before stay as they were.

        Args:
            name: Its name.
            predictions: What it predicts for the same examples: probabilities, (examples,
                classes), or (examples,) for that of class 1 of two; the numbers of a regression,
                (examples, targets); or `km.Predictions` of one member, whose labels
                must be the same.

        Raises:
            MotherNetsError: There is a member of that name, or this is a selection of examples.
            DataError: They cannot be predictions of these examples. Nothing has changed then.
        """
        self._need_whole("add")
        if not isinstance(name, str) or not name or name in self._names:
            raise MotherNetsError(
                "A new member needs a name of its own",
                expected=f"a name other than {list(self._names)}",
                received=repr(name),
            )
        examples = self.aggregates.examples
        values = checked_member(name, predictions, examples)
        aggregates = self.aggregates.append(values)
        self._replace(aggregates, (*self._names, name), np.append(self._rows, examples.num_members))

    def drop(self, member: int | str) -> None:
        """Leave a member out from now on. Its sums are not looked at again, and cost memory only.

        Args:
            member: Position or name; those after it move up.

        Raises:
            MotherNetsError: It is not known or the only one, or this is a selection of examples.
        """
        self._need_whole("drop")
        position = int(self._positions([member])[0])
        if len(self._names) == 1:
            raise MotherNetsError("The only member cannot go", received=repr(member))
        names = self._names[:position] + self._names[position + 1 :]
        self._replace(self.aggregates, names, np.delete(self._rows, position))

    def range(self, start: int, stop: int | None = None) -> EnsembleStatistics:
        """The same members on some of the examples.

        Args:
            start: Number of the first example, among all there are.
            stop: Number of the example after the last; after all by default.

        Returns:
            Statistics with the same methods; with those of before they share all sums.

        Raises:
            MotherNetsError: It is no range.
            DataError: No example of this selection is in it.

        Example:
            >>> predictions = Predictions.of_classes([[0.9, 0.2, 0.6]], [1, 1, 1])
            >>> statistics = EnsembleStatistics(predictions)
            >>> statistics.accuracy(), statistics.range(1, 2).accuracy()
            (0.6666666666666666, 0.0)
        """
        return self._select(self.aggregates.narrow(self._where, start, stop))

    def of_class(self, label: int) -> EnsembleStatistics:
        """The same members on the examples of one class.

        Args:
            label: Class number. May be combined with `range`, in either order.

        Returns:
            Statistics with the same methods; with those of before they share all sums.

        Raises:
            MotherNetsError: This is a regression, or there is no such class.
            DataError: No example of this selection is of it.
        """
        return self._select(self.aggregates.only(self._where, label))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members, in their order."""
        return self._names

    @property
    def num_examples(self) -> int:
        """Number of examples that are measured on."""
        return self.aggregates.count(self._where)

    @property
    def nbytes(self) -> int:
        """Size of the sums that have been made, in bytes; predictions come on top."""
        return self.aggregates.nbytes

    @property
    def predictions(self) -> Predictions:
        """The predictions of these members on these examples; put together if they changed."""
        if self._predictions is None:
            examples = self.aggregates.examples
            look = examples.look(self._rows, self._examples)
            self._predictions = Predictions(look.values, look.labels, self._names, self.task)
        return self._predictions

    def accuracy(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Fraction of examples whose right class the average puts first.

        Of a single member from the sums; of an average from the predictions.

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

        Raises:
            MotherNetsError: This is a regression, or a member or weight cannot be used.
        """
        self._need(Task.CLASSES, "brier")
        return self._squared_error(members, weights)

    def mse(self, members: Subset | None = None, *, weights: Weights | None = None) -> float:
        """Mean squared error of the average, over examples and targets; from the sums.

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
            members: Which members.
            weights: Their weights.
            bins: Number of bins of confidence.
            adaptive: Bins of equally many examples, else of equal width.

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
    def aggregates(self) -> Aggregates:
        """Predictions and sums of all members that were ever added."""
        if self._made is None:
            assert self._predictions is not None
            examples = KeptExamples.of(self._predictions)
            self._made = Aggregates(examples, self._chunk_for(examples))
        return self._made

    def _chunk_for(self, examples: KeptExamples) -> int:
        if self.chunk is not None:
            return whole_number("chunk", self.chunk, 1)
        return max(SMALLEST_CHUNK, -(-4 * examples.num_members // examples.width))

    def _replace(self, aggregates: Aggregates, names: tuple[str, ...], rows: np.ndarray) -> None:
        """Other members, all at once."""
        self._made, self._names, self._rows = aggregates, names, rows
        self._predictions = self._asked = None

    def _select(self, selection: Selection) -> EnsembleStatistics:
        selected = EnsembleStatistics.__new__(EnsembleStatistics)
        selected.__dict__.update(self.__dict__)
        selected._selection = selection
        selected._predictions = selected._asked = None
        return selected

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

    def _need_whole(self, verb: str) -> None:
        if self._selection is not None:
            raise MotherNetsError(
                f"`{verb}` is for all examples, and this is a selection of them",
                fix=f"Call `{verb}` on the statistics that it was selected from",
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


def as_statistics(
    models: Sequence[keras.Model | Member] | Predictions | EnsembleStatistics,
    x: Any,
    y: Any,
    logits: Any,
) -> EnsembleStatistics:
    """Statistics as they are; predictions are measured, and members asked for them.

    Raises:
        MotherNetsError: Data are given next to statistics or predictions, or as `Predictions.of`.
    """
    if not isinstance(models, EnsembleStatistics):
        return EnsembleStatistics(as_predictions(models, x, y, logits))
    check_no_data(x=x, y=y, logits=logits)
    return models
