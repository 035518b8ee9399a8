"""Runs the jobs of a plan in a Ray cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_mothernets.errors import MotherNetsError, RunError, finite_number, whole_number
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.crew import finished_jobs, run_jobs
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.packing import pack
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.processes import cores
from keras_mothernets.training.ray_crew import RayCrew
from keras_mothernets.training.ray_room import Amounts
from keras_mothernets.training.record import JobRecord

SECONDS_TO_ANSWER = 10.0  # that the head of a cluster is given
_RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")


class Ray:
    """Runs jobs as tasks of a Ray cluster, on one machine or many, the longest way first.

    Data and networks go once into the object store of the cluster. Workers that see the run
    directory keep their jobs there; others send them back when they are finished. A job whose
    worker is lost goes on after its last epoch if it was kept there, else it begins again.

    The networks equal those of `Local` bit for bit where both have as many threads: each job has
    as many as `cpus`. Every node needs the packages that are used here.

    If Ray is initialized already, that cluster is used and left running.

    Args:
        address: Of the cluster, as in `ray.init`. By default that which `RAY_ADDRESS` names; else
            one is started on this machine, and ended with the run.
        cpus: Cores for each job.
        gpus: GPUs for each job, at most 1; several jobs share one if it is a fraction.
        resources: What else each job asks for, by the names that the cluster gives it.
        tries: How often a job may lose its worker before the run ends.

    Raises:
        MotherNetsError: A setting cannot be used.

    Example:
        >>> executor = Ray(cpus=2, gpus=0.5)
        >>> executor.asked
        {'CPU': 2, 'GPU': 0.5}
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: int = 1,
        gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        tries: int = 3,
    ) -> None:
        if address is not None and (not isinstance(address, str) or not address):
            raise MotherNetsError(
                "`address` must be that of a Ray cluster, or `None`", received=repr(address)
            )
        self.address = address
        self.asked: Amounts = {
            "CPU": whole_number("cpus", cpus, 1),
            "GPU": finite_number("gpus", gpus, most=1),
            **_others({} if resources is None else resources),
        }
        self.tries = whole_number("tries", tries, 1)

    def run(self, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
        """See `Executor.run`.

        Args:
            plan: The jobs.
            context: Networks, data, settings, and the store, opened for this plan.

        Returns:
            The record of every finished job by its name; the networks are in the store.

        Raises:
            MotherNetsError: Ray is not installed.
            RunError: The cluster cannot be reached, or has no room for a job; or as there.
        """
        ray = _ray()
        with tempfile.TemporaryDirectory(prefix="keras_mothernets_") as folder, context.progress:
            files = context.store.files or JobFiles(Path(folder, "run"), plan)
            records = finished_jobs(plan, context)
            if len(records) < len(plan):
                package = pack(plan, context)
                with (
                    _cluster(ray, self.address),
                    RayCrew(ray, self.asked, plan, files, package) as crew,
                ):
                    records |= run_jobs(crew, plan, context, files, records, self.tries)
        return records


def _others(resources: Any) -> dict[str, float]:
    if not isinstance(resources, Mapping) or not all(isinstance(name, str) for name in resources):
        raise MotherNetsError(
            "`resources` must be a dict from names to numbers", received=repr(resources)
        )
    for name in _RAYS_OWN:
        if name in resources:
            raise MotherNetsError(
                f"`resources` cannot have `{name}`", fix="Use `cpus` and `gpus` for these"
            )
    return {
        name: finite_number(f"resources[{name!r}]", amount) for name, amount in resources.items()
    }


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MotherNetsError(
            "`km.Ray` needs Ray, and it is not installed",
            received=str(error),
            fix="pip install 'keras-mothernets[ray]'",
        ) from error


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Be connected to a cluster; one that was started for this ends with the `with` block."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"num_cpus": cores(), "include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.WARNING, **own)
    except Exception as error:
        raise RunError(
            f"The Ray cluster `{address}` cannot be reached",
            received=f"{type(error).__name__}: {error}",
            fix="Start one with `ray start --head`, or leave out `address` for one on this machine",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Somebody must listen at an address with a port: Ray itself would ask for minutes.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
