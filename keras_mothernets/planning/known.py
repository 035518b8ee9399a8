"""The costs of this device as methods use them: measured on demand, asked, and taught."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.planning.device_costs import DeviceCosts
from keras_mothernets.planning.predict import Predictor, ReadNetworks
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import JobRecord


def measure_device(*, verbose: bool = True) -> DeviceCosts:
    """Measure what layers take on this device, so that plans know their seconds.

    It takes about a minute, once for each device; nothing else should run on it meanwhile. What is
    measured is kept in the user's cache folder, or in `$KERAS_MOTHERNETS_CACHE`. From then on
    `method.plan` tells seconds, and jobs that `fit` finishes correct the predictions.

    Args:
        verbose: Whether to say what is done.

    Returns:
        The costs.

    Example:
        >>> km.measure_device()  # doctest: +SKIP
        >>> print(method.plan(x, y, epochs=10))  # doctest: +SKIP

    Source: Idreos et al., "The Data Calculator" (SIGMOD 2018), measures the primitives of data
    structures on the hardware in the same spirit.
    """
    costs = DeviceCosts.here()
    return costs.measure(print if verbose else lambda text: None)


def forecast_if_known(
    plan: Plan,
    context: RunContext,
    *,
    seconds: float | None = None,
    networks: ReadNetworks | None = None,
) -> Plan:
    """A plan with its forecast, if the device has been measured and all sizes are known.

    Args:
        plan: The plan.
        context: Its networks, data and settings.
        seconds: See `Predictor`, and so is `networks`.
        networks: What was read of networks before.

    Returns:
        The plan as it is where nothing can be predicted.
    """
    costs = DeviceCosts.here()
    if not costs.is_measured:
        return plan
    try:
        return replace(
            plan, forecast=Predictor(costs, seconds=seconds, networks=networks)(plan, context)
        )
    except MotherNetsError:  # of the prediction alone; training can do without
        return plan


def learn(
    plan: Plan, context: RunContext, records: Mapping[str, JobRecord], new: Collection[str]
) -> None:
    """Let the costs of this device learn from jobs that were trained in this process.

    Args:
        plan: The plan, with a forecast.
        context: What its jobs shared.
        records: What came of them.
        new: Names of the jobs that were trained now, from their first epoch.
    """
    if plan.forecast is None:
        return
    costs = DeviceCosts.here()
    if not costs.is_measured:
        return
    predictor = Predictor(costs)
    taught: set[str] = set()
    pairs = [
        (predictor.job(job, context, taught).times(plan.forecast.pace), records[job.name].row)
        for job in plan.order()
        if job.name in new and job.name in records
    ]
    whole = [(one, row.wall_seconds) for one, row in pairs if row.epochs == one.epochs]
    costs.corrections = costs.corrections.with_jobs(whole)
    costs.save()


def untouched(plan: Plan, context: RunContext) -> set[str]:
    """Names of the jobs of which nothing has been done; none without a forecast to learn from.

    Args:
        plan: The plan.
        context: With the store, opened for it.
    """
    if plan.forecast is None:
        return set()
    store = context.store
    finished = {job.name for job in plan if store.record(job) is not None}
    files = {job.name: store.checkpoint(job) for job in plan if job.name not in finished}
    return {name for name, file in files.items() if file is None or not file.told("epochs")}
