"""Runs the jobs of a plan."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Protocol

import keras

from keras_mothernets.training.context import RunContext
from keras_mothernets.training.failures import JobFailed, leave_out_all, train_or_fail, waiting_for
from keras_mothernets.training.job import Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord


class Executor(Protocol):
    """Anything that can run a plan: here, in other processes, on other machines."""

    def run(self, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
        """Run all jobs that the context's store does not hold yet.

        Args:
            plan: The jobs.
            context: Networks, data, settings, and the store, opened for this plan.

        Returns:
            The record of every finished job by its name. The trained networks are in the store;
            why jobs were left out is in the context's `failed`.

        Raises:
            RunError: A job cannot go on; the finished ones stay in the store.
        """
        ...


class Local:
    """Runs the jobs in this process, one after the other.

    A trained network is kept in memory only as long as a job waits for it, unless the
    store keeps all of them there anyway.

    Example:
        >>> import keras, numpy as np
        >>> import keras_mothernets as km
        >>> net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
        >>> method = km.FullData([net])
        >>> method.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> method.fit(x, y, epochs=1, executor=Local(), verbose=0)
        History of 1 jobs: net
    """

    def run(self, plan: Plan, context: RunContext) -> Mapping[str, JobRecord]:
        """See `Executor.run`.

        Args:
            plan: The jobs.
            context: Networks, data, settings, and the store, opened for this plan.

        Returns:
            The record of every finished job by its name; the networks are in the store.

        Raises:
            RunError: A job cannot go on; the finished ones stay in the store.
        """
        records: dict[str, JobRecord] = {}
        mothers: dict[str, keras.Model] = {}
        with context.progress:
            for job in plan.order():
                if job.name in context.failed:
                    continue
                record = context.store.record(job)
                was_finished = record is not None
                try:
                    record = record or _train(job, plan, context, mothers)
                except JobFailed as error:
                    leave_out_all(job, waiting_for(job, plan), error, plan, context)
                    continue
                records[job.name] = record
                context.progress.end_job(record, was_finished)
                done = records.keys() | context.failed.keys()
                mothers = {n: model for n, model in mothers.items() if plan.is_needed(n, done)}
                if not was_finished:
                    gc.collect()  # models are cyclic; the next one needs the memory now
        return records


def _train(job: Job, plan: Plan, context: RunContext, mothers: dict[str, keras.Model]) -> JobRecord:
    """Train a job and keep it; its network is put among the mothers."""
    context.interrupt.check()
    context.progress.begin_job(job)
    record, model = train_or_fail(job, context, _mother(job, plan, context, mothers))
    context.store.save(record, model)
    mothers[job.name] = model
    return record


def _mother(
    job: Job, plan: Plan, context: RunContext, mothers: dict[str, keras.Model]
) -> keras.Model | None:
    for name in job.waits_for:
        if name not in mothers:
            parent = plan[name]
            mothers[name] = context.store.load(parent, context.networks[parent.network])
        return mothers[name]
    return None
