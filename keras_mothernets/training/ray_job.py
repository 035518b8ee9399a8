"""What a worker of a Ray cluster does for `Ray`: it trains one job after the other."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_mothernets.training.context import RunContext
from keras_mothernets.training.job_runner import JobRunner, Told, WorkerStore
from keras_mothernets.training.packing import Package, unpack
from keras_mothernets.training.plan import Plan


@dataclass(frozen=True)
class Shared:
    """What all tasks of a run share.

    Args:
        package: Reference to the bytes and the arrays of the package.
        letters: Queue that takes what is told, as plain values.
        folder: Folder of the run.
        mark: Name of a file in it, by which a worker knows that it sees that very folder.
        directory: Where relative paths begin.
    """

    package: Any
    letters: Any
    folder: str
    mark: str
    directory: str


def train(
    shared: Shared, name: str, parents: Mapping[str, Any] | None
) -> tuple[Told, dict[str, bytes]]:
    """Train a job, and keep it in the folder of the run, or send it back.

    Args:
        shared: What all tasks share.
        name: Name of the job.
        parents: References to the networks it waits for, if they are to be sent.

    Returns:
        That it is finished, or why it failed; and its files, where the folder of the run cannot
        be seen. "elsewhere" if the parents must be sent for that.
    """
    with contextlib.suppress(OSError):
        os.chdir(shared.directory)
    plan, context = _taken_up(shared.package)
    folder = Path(shared.folder)
    if (folder / shared.mark).exists() and os.access(folder, os.W_OK):
        return _run(WorkerStore(folder, plan), context, shared, name), {}
    if parents is None:
        return Told("elsewhere", name), {}
    with tempfile.TemporaryDirectory(prefix="keras_mothernets_") as own:
        store = WorkerStore(Path(own), plan)
        _put_networks(store, parents)
        told = _run(store, context, shared, name)
        return told, store.contents(plan[name]) if told.event == "finished" else {}


def _run(store: WorkerStore, context: RunContext, shared: Shared, name: str) -> Told:
    def tell(told: Told) -> None:
        shared.letters.put((told.event, told.job, told.values))

    return JobRunner(store.plan, context, store, tell).run(name)


@functools.lru_cache(maxsize=1)  # a worker serves one run
def _taken_up(package: Any) -> tuple[Plan, RunContext]:
    import ray

    data, arrays = ray.get(package)
    return unpack(Package(data, arrays))


def _put_networks(store: WorkerStore, parents: Mapping[str, Any]) -> None:
    import ray

    for parent, network in parents.items():
        folder = store.folder(store.plan[parent])
        folder.mkdir(parents=True)
        (folder / "model.keras").write_bytes(ray.get(network))
