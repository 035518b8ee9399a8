"""The jobs of a run as tasks of a Ray cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from keras_mothernets.errors import RunError, reason_of
from keras_mothernets.training.files import UNFINISHED
from keras_mothernets.training.job import Job
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.job_runner import Told
from keras_mothernets.training.packing import Package
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.processes import search_path
from keras_mothernets.training.ray_job import Shared, train
from keras_mothernets.training.ray_room import Amounts, check_room

SECONDS_BETWEEN_LOOKS = 0.25  # at the queue
SECONDS_TO_END = 10.0  # that tasks are given when the run ends before them

# Errors of Ray: the process or machine is gone. All others would come again.
_LOST = (
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectLostError",
    "OutOfMemoryError",
    "WorkerCrashedError",
)


class RayCrew:
    """A task for each job that has begun; those under way end with the `with` block.

    Args:
        ray: The module, connected to a cluster; it is not imported here, since it may be missing.
        asked: What a task asks the cluster for.
        plan: The plan.
        files: The folders of the run.
        package: What the jobs share.

    Raises:
        RunError: The cluster has no node for such a task.
    """

    def __init__(
        self, ray: Any, asked: Amounts, plan: Plan, files: JobFiles, package: Package
    ) -> None:
        self.last_end = ""
        self._ray = ray
        self._lost = tuple(getattr(ray.exceptions, name) for name in _LOST)
        self._asked, self._plan, self._files = asked, plan, files
        self._jobs: dict[Any, Job] = {}  # by reference to the result of the task
        self._networks: dict[str, Any] | None = None  # once a worker cannot see the folder
        self.has_room()
        token = uuid.uuid4().hex
        self._train = ray.remote(**options(asked, token))(train)
        self._letters = _queue_here(ray)
        files.path.mkdir(parents=True, exist_ok=True)
        self._mark = files.path / UNFINISHED.replace("*", token)
        self._shared = Shared(
            ray.put((package.data, [np.asarray(array) for array in package.arrays])),
            self._letters,
            str(files.path.absolute()),
            self._mark.name,
            os.getcwd(),
        )
        self._mark.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for task in self._jobs:
            self._ray.cancel(task, force=True)
        if self._jobs:
            self._ray.wait(list(self._jobs), num_returns=len(self._jobs), timeout=SECONDS_TO_END)
        self._letters.shutdown(force=True)
        self._mark.unlink(missing_ok=True)

    def has_room(self) -> bool:
        """See `Crew.has_room`: no more tasks than fit, so that the next one is the most urgent."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return len(self._jobs) < check_room(self._asked, nodes)

    def begin(self, job: Job) -> None:
        """See `Crew.begin`."""
        parents = None
        if self._networks is not None:
            parents = {name: self._network(name) for name in job.waits_for}
        self._jobs[self._train.remote(self._shared, job.name, parents)] = job

    def wait(self) -> Iterator[tuple[Job, Told | None]]:
        """See `Crew.wait`."""
        ended, _ = self._ray.wait(list(self._jobs), timeout=SECONDS_BETWEEN_LOOKS)
        for letter in self._letters.get_nowait_batch(self._letters.qsize()):
            told = Told(*letter)
            yield self._plan[told.job], told
        for task in ended:
            yield from self._end(task, self._jobs.pop(task))

    def _end(self, task: Any, job: Job) -> Iterator[tuple[Job, Told | None]]:
        try:
            told, contents = self._ray.get(task)
        except self._lost as error:
            self.last_end = f"with {type(error).__name__}: {reason_of(error)}"
            yield job, None
        except self._ray.exceptions.RayError as error:
            raise _failed(job, error) from error
        else:
            if told.event == "elsewhere":
                self._networks = self._networks or {}
                self.begin(job)
                return
            if contents:
                self._files.put(job, contents)
            yield job, told

    def _network(self, name: str) -> Any:
        """Reference to the trained network of a job; it is in the cluster once."""
        assert self._networks is not None, "workers need it"
        if name not in self._networks:
            path = self._files.folder(self._plan[name]) / "model.keras"
            self._networks[name] = self._ray.put(path.read_bytes())
        return self._networks[name]


def options(asked: Amounts, token: str) -> dict[str, Any]:
    """The options of a task.

    Args:
        asked: What it asks the cluster for.
        token: Of the run: no worker process serves two runs, since layers and rules are known by
            name in the whole process.
    """
    others = {name: amount for name, amount in asked.items() if name not in ("CPU", "GPU")}
    return {
        "num_cpus": asked["CPU"],
        "num_gpus": asked["GPU"],
        "resources": others,
        "max_retries": 0,  # the scheduler counts
        "runtime_env": {"env_vars": {**environment(asked), "KERAS_MOTHERNETS_RUN": token}},
    }


def environment(asked: Amounts) -> dict[str, str]:
    """The environment of a task: modules and settings as here, its own share of the machine.

    Args:
        asked: What it asks the cluster for.
    """
    kept = ("KERAS_", "TF_", "XLA_")
    variables = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    variables["PYTHONPATH"] = search_path()
    variables["TF_NUM_INTRAOP_THREADS"] = variables["TF_NUM_INTEROP_THREADS"] = str(asked["CPU"])
    if not asked["GPU"]:
        variables["CUDA_VISIBLE_DEVICES"] = ""
    elif asked["GPU"] < 1:  # or the first job takes all its memory
        variables["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return variables


def _queue_here(ray: Any) -> Any:
    """A queue on the machine of this process, with which it would be lost anyway."""
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(here, soft=False)
    return Queue(actor_options={"num_cpus": 0, "scheduling_strategy": strategy})


def _failed(job: Job, error: Exception) -> RunError:
    lines: list[str] = str(error).strip().splitlines() or [type(error).__name__]
    return RunError(
        f"Ray could not run job `{job.name}`",
        received=lines[-1 if type(error).__name__.startswith("RayTaskError") else 0],
        fix="Every node needs the packages that are used here, in the same versions",
    )
