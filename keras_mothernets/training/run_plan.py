"""A plan is run: who runs it, what shows it meanwhile, and what is said when the user stops it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from keras_mothernets.errors import MotherNetsError, RunError
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.executor import Executor, Local
from keras_mothernets.training.log_file import LogFile, Several
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.progress import Progress, make_progress
from keras_mothernets.training.record import JobRecord
from keras_mothernets.training.run_directory import RunDirectory
from keras_mothernets.training.store import Store


def check_executor(executor: Any, distribute: Any) -> None:
    """What runs a plan must be able to, and a strategy must be in its process.

    Args:
        executor: What was given to `fit`, or `Local()`.
        distribute: The strategy, or `None`.

    Raises:
        MotherNetsError: It is not so.
    """
    if not callable(getattr(executor, "run", None)):
        raise MotherNetsError(
            "`executor` cannot run a plan",
            expected="an object with a method `run`, or `None`",
            received=repr(executor),
        )
    if distribute is not None and not isinstance(executor, Local):
        raise MotherNetsError(
            "`distribute` needs the executor `Local()`, since a strategy has the devices of this"
            " process",
            received=repr(executor),
        )


def display(verbose: str | int, plan: Plan, store: Store) -> Progress:
    """The display for Keras' `verbose`, and with a run directory its log.

    Args:
        verbose: As in `make_progress`.
        plan: The plan.
        store: Where the run is kept.
    """
    shown = make_progress(verbose, plan)
    if not isinstance(store, RunDirectory):
        return shown
    return Several([shown, LogFile(store.path / "log.txt", plan.forecast)])


@contextlib.contextmanager
def opened(store: Store, plan: Plan) -> Iterator[None]:
    """A store is open for a plan, and closed again however the block ends.

    Args:
        store: The store.
        plan: The plan.

    Raises:
        RunError: It cannot be used for this plan.
    """
    try:
        store.open(plan)
        yield
    finally:
        store.close()


def run_plan(executor: Executor, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
    """Run a plan, until it ends or the user stops it.

    Args:
        executor: Who runs it.
        plan: The plan.
        context: What its jobs share; its store is open.

    Returns:
        The records of the finished jobs by name, among them one of a member.

    Raises:
        RunError: A job cannot go on, or no member is finished.
        KeyboardInterrupt: The user stops it; the message says how to go on.
    """
    try:
        with context.interrupt:
            records = executor.run(plan, context)
    except KeyboardInterrupt:
        path = getattr(context.store, "path", None)
        how = (
            "Nothing is kept without a `run_dir`"
            if path is None
            else f"Call `fit` again with `run_dir={str(path)!r}`: it goes on after the last epoch"
        )
        raise KeyboardInterrupt(f"Stopped. {how}.") from None
    if not any(job.name in records for job in plan.members):
        raise RunError("No member is finished", details="\n".join(context.failed.values()))
    return records
