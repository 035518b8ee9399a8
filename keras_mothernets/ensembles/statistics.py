"""Statistics of an ensemble: predictions read once, and every measure of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.aggregates import SMALLEST_CHUNK, Aggregates, Selection
from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.measures import Measures
from keras_mothernets.ensembles.new_member import checked_member
from keras_mothernets.ensembles.predictions import Predictions, as_predictions, check_no_data
from keras_mothernets.ensembles.statistics_files import Stored, read_statistics, write_statistics
from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member


class EnsembleStatistics(Measures):
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

    Raises:
        MotherNetsError: `chunk` is no whole number of at least 1.

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
        self._rows = np.arange(len(self._names))
        self._selection = None
        self._asked = None

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

        Returns:
            Statistics of all members on all examples.

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

        Returns:
            The statistics as they were saved.

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

    def _need_whole(self, verb: str) -> None:
        if self._selection is not None:
            raise MotherNetsError(
                f"`{verb}` is for all examples, and this is a selection of them",
                fix=f"Call `{verb}` on the statistics that it was selected from",
            )


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
