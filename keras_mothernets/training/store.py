"""Where finished jobs are kept: one interface, in memory or on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import keras

from keras_mothernets.errors import RunError
from keras_mothernets.graph import clone
from keras_mothernets.training.checkpoint import CheckpointFile
from keras_mothernets.training.job import Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord

if TYPE_CHECKING:
    from keras_mothernets.training.context import RunContext
    from keras_mothernets.training.job_files import JobFiles


class Store(Protocol):
    """Keeps records and trained networks of finished jobs."""

    def open(self, plan: Plan) -> None:
        """Prepare for a plan, before anything trains.

        Raises:
            RunError: The store cannot be used, or holds another plan, or somebody else has
                opened it.
        """
        ...

    def close(self) -> None:
        """Nothing more will be saved; what was can still be read. May be called without `open`."""
        ...

    def record(self, job: Job) -> JobRecord | None:
        """The record of a job if it is finished and its network is whole, else `None`."""
        ...

    def save(self, record: JobRecord, model: keras.Model) -> None:
        """Keep a finished job; its checkpoint is not needed any more."""
        ...

    def checkpoint(self, job: Job) -> CheckpointFile | None:
        """Where a job's state is kept after each epoch; `None` if nowhere."""
        ...

    def load(self, job: Job, network: keras.Model) -> keras.Model:
        """The trained network of a finished job.

        Args:
            job: The job.
            network: The network as the user or the plan gave it, to build another one from.
        """
        ...

    @property
    def keeps_networks_in_memory(self) -> bool:
        """Whether saved networks stay in memory anyway."""
        ...

    @property
    def files(self) -> JobFiles | None:
        """Where other processes may keep jobs; `None` if everything is in this one."""
        ...

    def note(self, record: JobRecord) -> None:
        """Another process has kept a finished job in `files`."""
        ...


class MemoryStore:
    """Keeps everything in this process and loses it with the process.

    Example:
        >>> MemoryStore().record(Job("vgg16", "member", "vgg16")) is None
        True
    """

    keeps_networks_in_memory = True
    files = None

    def __init__(self) -> None:
        self._finished: dict[str, tuple[JobRecord, keras.Model]] = {}

    def open(self, plan: Plan) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to give back."""

    def record(self, job: Job) -> JobRecord | None:
        """The record of a job that was saved."""
        return self._finished[job.name][0] if job.name in self._finished else None

    def save(self, record: JobRecord, model: keras.Model) -> None:
        """Keep record and network."""
        self._finished[record.job.name] = (record, model)

    def note(self, record: JobRecord) -> None:
        """Does not happen: there is no folder."""
        raise NotImplementedError

    def checkpoint(self, job: Job) -> None:
        """Nowhere: the process that could go on is gone with it."""

    def load(self, job: Job, network: keras.Model) -> keras.Model:
        """The network that was saved."""
        return self._finished[job.name][1]


def store_that_grows(plan: Plan, context: RunContext, new: Plan) -> Store:
    """The store of an earlier run in memory, for a plan of more jobs.

    Args:
        plan: The plan of the earlier run.
        context: What its jobs shared.
        new: The plan that is to be run.

    Raises:
        RunError: The new plan does not only have more jobs, or the earlier run is in a folder.
    """
    if context.store.files is not None:
        path = str(context.store.files.path)
        raise RunError(
            f"The members so far are in the run directory `{path}`",
            fix=f"Give `run_dir={path!r}` again, and the new member is trained alone",
        )
    if not new.extends(plan):
        raise RunError(
            "The run has become another one, and would train all members again",
            expected="the arguments of the `fit` before, and more members",
            received="; ".join(new.differences(plan)[:5]),
            fix="Give the same arguments, or make a new method with all members",
        )
    return context.store


def empty_like(network: keras.Model, name: str) -> keras.Model:
    """A new network of the same architecture, to load weights into; its weights are zero."""
    model = clone(network, name=name, weights=False)
    keep_policy(network, model)
    return model


def keep_policy(network: keras.Model, copied: keras.Model) -> None:
    """Give a copy the dtype policy of its original, on which Keras' loss scaling depends."""
    if copied.dtype_policy != network.dtype_policy:
        copied.dtype_policy = network.dtype_policy
