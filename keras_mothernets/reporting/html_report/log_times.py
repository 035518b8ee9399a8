"""When each job really ran, read from the log of a run directory."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from keras_mothernets.training import LedgerRow

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.*)")
_BEGINS = ("begins, ", "goes on after epoch ")
_PREDICTED = re.compile(r".*, predicted (\d+(?:\.\d+)?) s")
_ENDS = "finished in "
_SAYS_NOTHING = ("epoch ", "was finished")
RESOLUTION = 1.0  # seconds, of the log


@dataclass(frozen=True)
class Span:
    """A time in which a job ran without a break.

    Args:
        job: Its name.
        start: Seconds since the run began, in which nothing ran not counted.
        end: Likewise.
        worker: Number of the worker, from 0: jobs that ran at one time have different ones.
    """

    job: str
    start: float
    end: float
    worker: int = 0


@dataclass(frozen=True)
class RunTimes:
    """What is known of when jobs ran.

    Args:
        spans: In the order in which they began.
        stops: Seconds at which the run had stopped, and went on later.
        failed: Why jobs were left out, by name.
        is_measured: Whether the times were kept; else jobs are put one after the other.
        predicted: Seconds that jobs were predicted to take, by name, where that is known.
    """

    spans: tuple[Span, ...] = ()
    stops: tuple[float, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    is_measured: bool = True
    predicted: dict[str, float] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """How many jobs ran at one time, at most."""
        return 1 + max((span.worker for span in self.spans), default=0)


def times_of_rows(rows: Sequence[LedgerRow]) -> RunTimes:
    """Times of jobs that ran one after the other, of which only the lengths are known.

    Args:
        rows: The jobs, in their order.

    Example:
        >>> rows = [LedgerRow("m", "mother", "m", wall_seconds=3.0),
        ...         LedgerRow("a", "member", "a", wall_seconds=1.0)]
        >>> times_of_rows(rows).spans[1]
        Span(job='a', start=3.0, end=4.0, worker=0)
    """
    spans, now = [], 0.0
    for row in rows:
        spans.append(Span(row.job, now, now + row.wall_seconds))
        now += row.wall_seconds
    return RunTimes(tuple(spans), is_measured=False)


def read_times(text: str, names: Collection[str]) -> RunTimes:
    r"""Read the log of a run; lines that say nothing of its jobs are passed over.

    Args:
        text: What `log.txt` holds.
        names: Names of the jobs of the run.

    Example:
        >>> log = "2026-01-01 10:00:00 the run begins, or goes on\n"
        >>> log += "2026-01-01 10:00:00 a: begins, member, own weights\n"
        >>> log += "2026-01-01 10:00:07 a: finished in 7.1 s loss 0.5\n"
        >>> read_times(log, ["a"]).spans
        (Span(job='a', start=0.0, end=7.0, worker=0),)
    """
    reader = _Reader(set(names))
    for when, words in _lines(text):
        reader.take(when, words)
    reader.stop()
    spans = sorted(reader.spans, key=lambda span: (span.start, span.end))
    stops = tuple(reader.stops[:-1])  # after the last one it did not go on
    placed = tuple(_with_workers(spans))
    return RunTimes(placed, stops, reader.failed, predicted=reader.predicted)


class _Reader:
    """Follows the log line by line, with a clock that stands still while nothing runs."""

    def __init__(self, names: set[str]) -> None:
        self.spans: list[Span] = []
        self.stops: list[float] = []
        self.failed: dict[str, str] = {}
        self.predicted: dict[str, float] = {}
        self._names = names
        self._running: dict[str, float] = {}
        self._now = 0.0
        self._last: datetime | None = None

    def take(self, when: datetime, words: str) -> None:
        """Take up a line."""
        if words.startswith("the run begins"):
            self.stop()
            self._last = when
        elif self._last is not None:
            self._now += max(0.0, (when - self._last).total_seconds())
            self._last = when
        name, colon, what = words.partition(": ")
        if colon and name in self._names and not what.startswith(_SAYS_NOTHING):
            self._take_job(name, what)

    def stop(self) -> None:
        """Nothing runs from here on."""
        for name in list(self._running):
            self._end(name)
        if self._last is not None:
            self.stops.append(self._now)

    def _take_job(self, name: str, what: str) -> None:
        if what.startswith(_BEGINS):
            self.failed.pop(name, None)
            if found := _PREDICTED.fullmatch(what):
                self.predicted.setdefault(name, float(found[1]))
            self._running.setdefault(name, self._now)
        else:
            self._end(name)
            if not what.startswith(_ENDS):
                self.failed[name] = what

    def _end(self, name: str) -> None:
        if name in self._running:
            self.spans.append(Span(name, self._running.pop(name), self._now))


def _lines(text: str) -> Iterator[tuple[datetime, str]]:
    """Time and words of each entry; an error's text may be of several lines."""
    when, words = None, ""
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            words += "\n" + line
            continue
        if when is not None:
            yield when, words
        try:
            when, words = datetime.fromisoformat(found[1]), found[2]
        except ValueError:  # digits that are no date
            when = None
    if when is not None:
        yield when, words


def _with_workers(spans: Sequence[Span]) -> Iterator[Span]:
    """The log does not tell workers: a job is given to the first one that was free."""
    ends: list[float] = []
    for span in spans:
        free = (number for number, end in enumerate(ends) if end <= span.start + RESOLUTION / 2)
        worker = next(free, len(ends))
        ends[worker : worker + 1] = [span.end]
        yield Span(span.job, span.start, span.end, worker)
