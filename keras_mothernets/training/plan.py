"""A plan: jobs, and who waits for whom, known before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from keras_mothernets.errors import RunError
from keras_mothernets.training.job import Job, job_from_json
from keras_mothernets.training.text import text_table

PLAN_VERSION = 2  # since then the file has a checksum, and tells versions
# Fields that jobs did not always have: where they say nothing, older runs are the same ones.
_ADDED = {"monitor": "", "patience": None, "schedule_epochs": None, "rate": 1.0}
_ADDED_TO_HATCH = {"fresh_layers": 0, "new_channels": "copies"}


@dataclass(frozen=True, repr=False)
class Plan:
    """The jobs of one method on one data set: an immutable directed acyclic graph.

    Args:
        method: The method with its settings, for people and for comparison.
        jobs: The jobs, in any order.
        data: Fingerprint and shape of the data, by part ("x", "y", ...).
        settings: What was given to `compile`, in words.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", tuple(self.jobs))
        _check_names(self.jobs)
        _in_order(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, name: str) -> Job:
        for job in self.jobs:
            if job.name == name:
                return job
        raise KeyError(name)

    @property
    def members(self) -> tuple[Job, ...]:
        """The jobs whose networks make up the ensemble."""
        return tuple(job for job in self.jobs if job.role == "member")

    def order(self) -> tuple[Job, ...]:
        """The jobs such that each comes after those it waits for, else as given."""
        return _in_order(self.jobs)

    def ready(self, done: Collection[str]) -> tuple[Job, ...]:
        """The jobs that are not done and wait for nobody any more.

        Args:
            done: Names of finished jobs.
        """
        return tuple(
            job for job in self.jobs if job.name not in done and set(job.waits_for) <= set(done)
        )

    def needed_by(self, done: Collection[str]) -> set[str]:
        """Names of the jobs whose networks an unfinished job still starts from.

        Args:
            done: Names of finished jobs.
        """
        return {parent for job in self.jobs if job.name not in done for parent in job.waits_for}

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
        return _hash([self.method, *(self.fingerprint_of(job) for job in self)])

    def fingerprint_of(self, job: Job) -> str:
        """A short text that is equal for jobs that give equal networks.

        It tells of the job, the data and the settings, and of the jobs that it waits for.

        Args:
            job: A job of this plan.
        """
        values = job.to_json()
        del values["initial_weights"]
        for where, added in ((values, _ADDED), (values["start"], _ADDED_TO_HATCH)):
            for name, default in added.items():
                if where.get(name) == default and name in where:
                    del where[name]
        values["start"].pop("inherited", None)
        parents = [self.fingerprint_of(self[parent]) for parent in job.waits_for]
        return _hash([values, parents, self.data, self.settings])

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

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        headers = ["job", "role", "start", "parameters", "epochs", "steps", "waits for"]
        rows = [
            [job.name, job.role, str(job.start), job.parameters, job.epochs, job.trained_steps]
            + [", ".join(job.waits_for)]
            for job in self.order()
        ]
        return f"{self.method}\n{text_table(headers, rows)}"


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _check_names(jobs: tuple[Job, ...]) -> None:
    names = [job.name for job in jobs]
    for job in jobs:
        if names.count(job.name) > 1:
            raise RunError(f"Two jobs of one plan are named `{job.name}`")
        for parent in job.waits_for:
            if parent not in names:
                raise RunError(
                    f"Job `{job.name}` waits for job `{parent}`, which is not in the plan",
                    received=f"jobs {names}",
                )


def _in_order(jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    ordered: list[Job] = []
    done: set[str] = set()
    while len(ordered) < len(jobs):
        waiting = [job for job in jobs if job.name not in done]
        following = next((job for job in waiting if set(job.waits_for) <= done), None)
        if following is None:
            names = [job.name for job in waiting]
            raise RunError("Jobs wait for each other in a circle", received=f"{names}")
        ordered.append(following)
        done.add(following.name)
    return tuple(ordered)


def _job_differences(mine: tuple[Job, ...], theirs: tuple[Job, ...]) -> list[str]:
    here, there = ({job.name: job for job in jobs} for jobs in (mine, theirs))
    found = [f"job `{name}` is only here" for name in here if name not in there]
    found += [f"job `{name}` is only there" for name in there if name not in here]
    for name in (name for name in here if name in there):
        found += here[name].differences(there[name])
    return found
