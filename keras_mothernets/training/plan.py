"""A plan: jobs, and who waits for whom, known before anything is trained."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keras_mothernets.errors import RunError
from keras_mothernets.training.job import Job, job_from_json
from keras_mothernets.training.plan_table import plan_table

if TYPE_CHECKING:
    from keras_mothernets.training.forecast import Forecast

PLAN_VERSION = 2  # since then the file has a checksum, and tells versions
# Fields that jobs did not always have: where they say nothing, older runs are the same ones.
_ADDED = {
    "monitor": "",
    "patience": None,
    "schedule_epochs": None,
    "rate": 1.0,
    "average": None,
}
_ADDED_TO_HATCH = {"fresh_layers": 0, "new_channels": "copies"}


@dataclass(frozen=True, repr=False)
class Plan:
    """The jobs of one method on one data set: an immutable directed acyclic graph.

    It is made in time that grows as the jobs and what they wait for, and so is its order;
    a job is found by its name at once. Ten thousand jobs are no trouble.

    Args:
        method: The method with its settings, for people and for comparison.
        jobs: The jobs, in any order.
        data: Fingerprint and shape of the data, by part ("x", "y", ...).
        settings: What was given to `compile`, in words.
        forecast: What the jobs will take, if that is known; it does not make two plans different.

    Raises:
        RunError: Two jobs have one name, a job waits for one that is not there, or for itself.

    Example:
        >>> from keras_mothernets.training import Hatch, Job, Plan
        >>> plan = Plan("example", (Job("mother", "mother", "m"),
        ...                         Job("a", "member", "a", start=Hatch("mother"))))
        >>> [job.name for job in plan.ready(done={"mother"})]
        ['a']
    """

    method: str
    jobs: tuple[Job, ...]
    data: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    forecast: Forecast | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", tuple(self.jobs))
        _check_names(self.jobs)
        self.order()  # a circle is found at the door

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, name: str) -> Job:
        return self._by_name[name]

    @property
    def members(self) -> tuple[Job, ...]:
        """The jobs whose networks make up the ensemble."""
        return tuple(job for job in self.jobs if job.role == "member")

    def order(self) -> tuple[Job, ...]:
        """The jobs such that each comes after those it waits for, else as given."""
        return self._order

    def children(self, name: str) -> tuple[str, ...]:
        """Names of the jobs that wait for a job, in the order of the plan.

        Args:
            name: Name of a job of this plan.
        """
        return self._children[name]

    def ready(self, done: Collection[str]) -> tuple[Job, ...]:
        """The jobs that are not done and wait for nobody any more.

        Args:
            done: Names of finished jobs.
        """
        done = set(done)
        return tuple(
            job for job in self.jobs if job.name not in done and done.issuperset(job.waits_for)
        )

    def is_needed(self, name: str, done: Collection[str]) -> bool:
        """Whether an unfinished job still starts from a job's network.

        Args:
            name: Name of a job of this plan.
            done: Names of finished jobs; a set or a dict.
        """
        # From the last one on, since the first are done first.
        return any(child not in done for child in reversed(self._children[name]))

    def needed_by(self, done: Collection[str]) -> set[str]:
        """Names of the jobs whose networks an unfinished job still starts from.

        Args:
            done: Names of finished jobs.
        """
        done = set(done)
        return {job.name for job in self.jobs if self.is_needed(job.name, done)}

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values, with the version of this format."""
        return {
            "version": PLAN_VERSION,
            "method": self.method,
            "data": self.data,
            "settings": self.settings,
            "jobs": [job.to_json() for job in self.jobs],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """Read a plan that `to_json` wrote.

        Raises:
            RunError: The values are no plan, or one of a newer version than this package knows.
        """
        version = values.get("version") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise RunError("This is not a stored plan", expected="an object with a `version`")
        if version > PLAN_VERSION:
            raise RunError(
                "The plan was stored by a newer keras_mothernets",
                expected=f"version {PLAN_VERSION} or older",
                received=f"version {version}",
                fix="Update the package, or choose another run directory",
            )
        try:
            jobs = tuple(job_from_json(job) for job in values["jobs"])
            return cls(values["method"], jobs, dict(values["data"]), dict(values["settings"]))
        except (KeyError, TypeError) as error:
            raise RunError("A stored plan cannot be read", received=repr(error)) from error

    @property
    def fingerprint(self) -> str:
        """A short text that is equal for equal plans."""
        return _hash([self.method, *(self._fingerprints[job.name] for job in self)])

    def fingerprint_of(self, job: Job) -> str:
        """A short text that is equal for jobs that give equal networks.

        It tells of the job, the data and the settings, and of the jobs that it waits for.

        Args:
            job: A job of this plan.
        """
        parents = [self._fingerprints[parent] for parent in job.waits_for]
        return _hash([_told(job), parents, self.data, self.settings])

    def extends(self, other: Plan) -> bool:
        """Whether this is another plan with more jobs, of which none changes what the others give.

        Args:
            other: The plan of fewer jobs, or of as many.
        """
        return self.method == other.method and all(
            job.name in self._by_name
            and self.fingerprint_of(self[job.name]) == other.fingerprint_of(job)
            for job in other
        )

    def differences(self, other: Plan) -> list[str]:
        """What another plan has different, one sentence each; empty for equal plans.

        Args:
            other: The plan to compare with, called "there" in the sentences.
        """
        found = []
        if self.method != other.method:
            found.append(f"method: here `{self.method}`, there `{other.method}`")
        for title, mine, theirs in (
            ("data", self.data, other.data),
            ("compile", self.settings, other.settings),
        ):
            found += [
                f"{title} `{key}`: here {mine.get(key, 'none')}, there {theirs.get(key, 'none')}"
                for key in dict.fromkeys([*mine, *theirs])
                if mine.get(key) != theirs.get(key)
            ]
        return found + _job_differences(self.jobs, other.jobs)

    @cached_property
    def _by_name(self) -> dict[str, Job]:
        return {job.name: job for job in self.jobs}

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(children) for name, children in _children_of(self.jobs).items()}

    @cached_property
    def _order(self) -> tuple[Job, ...]:
        return _in_order(self.jobs, self._children)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for job in self.order():
            parents = [found[parent] for parent in job.waits_for]
            found[job.name] = _hash([_told(job), parents, self.data, self.settings])
        return found

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        return plan_table(self)


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _told(job: Job) -> dict[str, Any]:
    """What of a job decides about the network that comes of it."""
    values = job.to_json()
    del values["initial_weights"]
    for where, added in ((values, _ADDED), (values["start"], _ADDED_TO_HATCH)):
        for name, default in added.items():
            if where.get(name) == default and name in where:
                del where[name]
    values["start"].pop("inherited", None)
    return values


def _check_names(jobs: tuple[Job, ...]) -> None:
    names = Counter(job.name for job in jobs)
    for job in jobs:
        if names[job.name] > 1:
            raise RunError(f"Two jobs of one plan are named `{job.name}`")
        for parent in job.waits_for:
            if parent not in names:
                raise RunError(
                    f"Job `{job.name}` waits for job `{parent}`, which is not in the plan",
                    received=f"jobs {list(names)}",
                )


def _children_of(jobs: tuple[Job, ...]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {job.name: [] for job in jobs}
    for job in jobs:
        for parent in dict.fromkeys(job.waits_for):  # a teacher may be the mother too
            children[parent].append(job.name)
    return children


def _in_order(jobs: tuple[Job, ...], children: Mapping[str, tuple[str, ...]]) -> tuple[Job, ...]:
    """Of the jobs that wait for nobody any more always the first; parents are counted down."""
    position = {job.name: index for index, job in enumerate(jobs)}
    waits = {job.name: len(set(job.waits_for)) for job in jobs}
    free = [index for index, job in enumerate(jobs) if not waits[job.name]]  # sorted: a heap
    ordered: list[Job] = []
    while free:
        job = jobs[heapq.heappop(free)]
        ordered.append(job)
        for child in children[job.name]:
            waits[child] -= 1
            if not waits[child]:
                heapq.heappush(free, position[child])
    if len(ordered) < len(jobs):
        names = [job.name for job in jobs if waits[job.name]]
        raise RunError("Jobs wait for each other in a circle", received=f"{names}")
    return tuple(ordered)


def _job_differences(mine: tuple[Job, ...], theirs: tuple[Job, ...]) -> list[str]:
    here, there = ({job.name: job for job in jobs} for jobs in (mine, theirs))
    found = [f"job `{name}` is only here" for name in here if name not in there]
    found += [f"job `{name}` is only there" for name in there if name not in here]
    for name in (name for name in here if name in there):
        found += here[name].differences(there[name])
    return found
