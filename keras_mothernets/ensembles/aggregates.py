"""All sums that are kept of members and examples, and where in them a selection lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.pair_sums import PairSums
from keras_mothernets.ensembles.running_sums import RunningSums
from keras_mothernets.ensembles.stack import Stack
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import DataError, MotherNetsError, whole_number

SMALLEST_CHUNK = 32
ORDERS = ("in_order", "by_class")


@dataclass(frozen=True)
class Selection:
    """Which examples: those of a range, and of these perhaps only those of one class.

    Args:
        start: First example of the range.
        stop: Example after its last one.
        label: A class, or `None` for all.
    """

    start: int
    stop: int
    label: int | None = None


class Aggregates:
    """What members say of examples, and its sums in two orders of the examples.

    A range of examples is a range of the first order, as the examples came. The examples of a
    class, and of a range those of a class, are a range of the second, sorted by class. Two
    orders thus do what sums per class would do, in two and not in as many times the memory as
    there are classes. The sums of an order are made when first asked for.

    Args:
        examples: Predictions and labels.
        chunk: Examples of a chunk.
    """

    def __init__(self, examples: KeptExamples, chunk: int) -> None:
        self.examples = examples
        self.chunk = chunk
        self._made: dict[str, RunningSums] = {}

    @property
    def orders(self) -> tuple[str, ...]:
        """Names of the orders that there are; a regression has no classes."""
        return ORDERS if self.examples.task is Task.CLASSES else ORDERS[:1]

    @property
    def nbytes(self) -> int:
        """Size of all sums that have been made, in bytes."""
        return sum(sums.nbytes for sums in self._made.values())

    @property
    def everything(self) -> Selection:
        """All examples."""
        return Selection(0, self.examples.num_examples)

    @cached_property
    def truth(self) -> np.ndarray:
        """Probability of the right class, at least 1e-7, (members, examples)."""
        whole = np.arange(self.examples.num_examples)
        rows = (self.examples.look(np.array([i]), whole) for i in range(self.examples.num_members))
        return np.concatenate([row.truth for row in rows])

    def running(self, name: str) -> RunningSums:
        """The sums of one order."""
        if name not in self._made:
            self._made[name] = RunningSums.of(self.examples, self._order(name), self.chunk)
        return self._made[name]

    def append(self, values: np.ndarray) -> Aggregates:
        """With more members; these aggregates stay as they are.

        Args:
            values: Checked predictions, (members, examples, classes or targets).
        """
        more = Aggregates(self.examples.append(values), self.chunk)
        for name, sums in self._made.items():
            more._made[name] = sums.extend(more.examples)
        return more

    def keep(self, name: str, pairs: Stack, members: Stack) -> None:
        """Take the sums of one order as they were read from files."""
        self._made[name] = RunningSums(self._order(name), self.chunk, pairs, members)

    def narrow(self, selection: Selection, start: int, stop: int | None) -> Selection:
        """Of a selection what lies in a range.

        Raises:
            MotherNetsError: It is no range of these examples.
            DataError: No example is left.
        """
        count = self.examples.num_examples
        stop = count if stop is None else whole_number("stop", stop, 1)
        if whole_number("start", start, 0) >= stop or stop > count:
            raise MotherNetsError(
                "This is no range of the examples",
                expected=f"0 <= start < stop <= {count}",
                received=f"{start} and {stop}",
            )
        start, stop = max(start, selection.start), min(stop, selection.stop)
        return self._not_empty(Selection(start, stop, selection.label))

    def only(self, selection: Selection, label: int) -> Selection:
        """Of a selection what is of a class.

        Raises:
            MotherNetsError: This is a regression, or there is no such class.
            DataError: No example is left.
        """
        width = self.examples.width
        if self.examples.task is not Task.CLASSES:
            raise MotherNetsError("A regression has no classes to select by")
        if whole_number("label", label, 0) >= width:
            raise MotherNetsError(
                "There is no such class", expected=f"0 to {width - 1}", received=label
            )
        if selection.label not in (None, label):
            raise DataError(
                "No example is of two classes", received=f"{selection.label} and {label}"
            )
        return self._not_empty(replace(selection, label=int(label)))

    def positions(self, selection: Selection) -> np.ndarray:
        """Numbers of the selected examples, ascending."""
        name, start, stop = self._span(selection)
        return self._order(name)[start:stop]

    def count(self, selection: Selection) -> int:
        """How many examples are selected."""
        _, start, stop = self._span(selection)
        return stop - start

    def pair_sums(self, members: np.ndarray, selection: Selection) -> PairSums:
        """What all pairs of some members have in common."""
        name, start, stop = self._span(selection)
        return self.running(name).sums_of_pairs(self.examples, members, start, stop)

    def member_sums(self, members: np.ndarray, selection: Selection) -> np.ndarray:
        """Sums of some members, (members,), of `member_type`."""
        name, start, stop = self._span(selection)
        return self.running(name).sums_of_members(self.examples, members, start, stop)

    def _order(self, name: str) -> np.ndarray:
        return self._sorted if name == "by_class" else self._as_they_came

    @cached_property
    def _as_they_came(self) -> np.ndarray:
        return np.arange(self.examples.num_examples)

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.argsort(self.examples.labels, kind="stable")

    @cached_property
    def _class_starts(self) -> np.ndarray:
        counts = np.bincount(self.examples.labels, minlength=self.examples.width)
        return np.concatenate([[0], np.cumsum(counts)])

    def _span(self, selection: Selection) -> tuple[str, int, int]:
        """The order in which a selection is a range, and from where to where."""
        if selection.label is None:
            return "in_order", selection.start, selection.stop
        first, after = self._class_starts[selection.label : selection.label + 2]
        ends = np.searchsorted(self._sorted[first:after], [selection.start, selection.stop])
        return "by_class", int(first + ends[0]), int(first + ends[1])

    def _not_empty(self, selection: Selection) -> Selection:
        if selection.start >= selection.stop or self.count(selection) == 0:
            of_class = "" if selection.label is None else f" of class {selection.label}"
            raise DataError(
                "No example is left to measure on",
                expected="a selection of at least one",
                received=f"examples {selection.start} to {selection.stop}{of_class}",
            )
        return selection
