"""What a plan will take, put together from its steps: layers, steps, jobs, plan."""

from __future__ import annotations

import functools
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from keras_mothernets.errors import MotherNetsError, naming
from keras_mothernets.graph import Architecture, PerModel, forward_flops, read
from keras_mothernets.planning.device_costs import DeviceCosts, Measured
from keras_mothernets.planning.optimizer_costs import OptimizerCosts
from keras_mothernets.planning.overheads import probe_optimizer
from keras_mothernets.planning.primitive import Primitive, primitives_of
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import TrainingData
from keras_mothernets.training.forecast import Forecast, JobForecast
from keras_mothernets.training.job import Hatch, Job
from keras_mothernets.training.plan import Plan

BYTES = 4  # of a number
# Gradients of activations live beside the activations for a while.
HELD = 1.5


@dataclass(frozen=True)
class Network:
    """What is asked of a network again and again.

    Args:
        architecture: What was read of it.
        weights: Number of variables, trained or not.
        variables: Number of variables that are trained.
        parameters: Number of parameters.
        flops: Floating-point operations of one example forward; `None` if not known.
        activations: Numbers that the layers give for one example.
        steps: Primitives by batch size.
        met: Batch sizes with which it has been there when layers could be measured.
    """

    architecture: Architecture
    weights: int
    variables: int
    parameters: int
    flops: int | None
    activations: int
    steps: dict[int, Counter[Primitive]] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, model: keras.Model) -> Network:
        """Read a model."""
        architecture = read(model)
        given = sum(
            math.prod(size or 1 for size in shape)
            for node in architecture.nodes
            for shape in node.output_shapes
        )
        return cls(
            architecture,
            len(model.weights),
            len(model.trainable_variables),
            model.count_params(),
            forward_flops(model),
            given,
        )

    def step(self, batch: int) -> Counter[Primitive]:
        """The primitives of a step."""
        if batch not in self.steps:
            self.steps[batch] = primitives_of(self.architecture, batch)
        return self.steps[batch]


ReadNetworks = PerModel[Network]


class Predictor:
    """Predicts plans on one device; networks are read once.

    Args:
        costs: What layers cost there.
        seconds: How long to measure layers of plans at their own sizes, all together, a tenth of
            a second for each; kinds of layers that nothing is known of are measured before that.
            With `None` no layer is measured, and such kinds are an error; a kind of optimizer that
            is new is measured in any case, in a second.
        networks: What was read of networks before; added to.

    Raises:
        MotherNetsError: The device has not been measured.
    """

    def __init__(
        self,
        costs: DeviceCosts,
        *,
        seconds: float | None = None,
        networks: ReadNetworks | None = None,
    ) -> None:
        if not costs.is_measured:
            raise MotherNetsError(
                "It is not known what layers take on this device",
                fix="Call `km.measure_device()`, which takes about a minute, once for each device",
            )
        self.costs = costs
        self._seconds = seconds
        self._networks = PerModel(Network.of) if networks is None else networks
        self._steps: dict[tuple[int, int], Measured] = {}
        self._optimizers: dict[str, OptimizerCosts] = {}

    def __call__(self, plan: Plan, context: RunContext) -> Forecast:
        """The forecast of a plan.

        Args:
            plan: The plan.
            context: Its networks, data and settings.

        Raises:
            MotherNetsError: The number of steps or a size is not known beforehand.
        """
        for job in plan:
            _check_known(job)
        if self._seconds is not None:
            start = time.perf_counter()
            self._meet(plan, context.networks, self._seconds)
            self._seconds = max(0.0, self._seconds - (time.perf_counter() - start))
        taught: set[str] = set()
        jobs = {}
        for job in plan.order():
            jobs[job.name] = self.costs.corrections.applied(self.job(job, context, taught))
        costs = self.costs
        forecast = Forecast(jobs, costs.device, costs.slower, costs.worker_start)
        pace = costs.known_pace if self._seconds is None else costs.pace()
        return forecast.at_pace(pace)

    def job(self, job: Job, context: RunContext, taught: set[str] | None = None) -> JobForecast:
        """The forecast of one job at the usual pace, without what finished jobs taught.

        Args:
            job: The job.
            context: As in `__call__`.
            taught: Teachers that have said already what they say; added to.
        """
        network, data = self._networks(context.networks[job.network]), context.data
        batch = job.batch_size or 1
        rows = data.examples(job.steps_per_epoch or 0, batch)
        overheads = self.costs.overheads
        assert overheads is not None, "checked"
        alone = self._step(network, batch)
        # The last step of a pass is a smaller one, and layers take as long as they have examples.
        steps = job.steps_per_epoch or 0
        full = rows / batch if rows else steps
        optimizer = self._optimizer(job, context)
        update = optimizer.update(network.variables, network.parameters)
        # Keras traces a step twice.
        traced = 2 * (optimizer.traced - self._probe.traced)
        trained = steps * (overheads.step + overheads.update * update)
        trained += full * overheads.whole * alone.training
        more = 0.0
        if job.renews_statistics:
            more += full * overheads.whole * alone.forward
        if job.lesson is not None and job.lesson.network not in (taught or ()):
            teacher = self._networks(context.networks[job.lesson.network])
            more += full * overheads.whole * self._step(teacher, batch).forward
            if taught is not None:
                taught.add(job.lesson.network)
        examples = job.epochs * (rows or steps * batch)
        return JobForecast(
            start=overheads.job_seconds(network.weights, isinstance(job.start, Hatch))
            + traced * network.variables,
            epoch=trained + overheads.epoch + self._validation(network, batch, data),
            epochs=job.epochs,
            more=more,
            flops=None if network.flops is None else 3 * network.flops * examples,
            memory=_memory(network, batch, optimizer.kept + bool(job.monitor)),
        )

    def _meet(self, plan: Plan, networks: Mapping[str, keras.Model], seconds: float) -> None:
        steps = []
        for job in plan:
            with naming(f"Job `{job.name}`"):
                network = self._networks(networks[job.network])
                batch = job.batch_size or 1
                if batch not in network.met:
                    network.met.add(batch)
                    steps.append(network.step(batch))
        if steps:
            self.costs.meet(steps, seconds)
            self._steps.clear()  # more is known now

    def _step(self, network: Network, batch: int) -> Measured:
        key = (id(network), batch)
        if key not in self._steps:
            self._steps[key] = self.costs.step(network.step(batch))
        return self._steps[key]

    @functools.cached_property
    def _probe(self) -> OptimizerCosts:
        """What the optimizer takes of the jobs that the overheads were measured with."""
        return self.costs.optimizer(probe_optimizer())

    def _optimizer(self, job: Job, context: RunContext) -> OptimizerCosts:
        """What the job's optimizer takes; jobs of one network have optimizers of one kind."""
        if job.network not in self._optimizers:
            self._optimizers[job.network] = self.costs.optimizer(context.optimizer(job))
        return self._optimizers[job.network]

    def _validation(self, network: Network, batch: int, data: TrainingData) -> float:
        overheads = self.costs.overheads
        assert overheads is not None, "checked"
        if data.validation is None:
            return 0.0
        size = data.validation_batch_size or batch
        steps = data.validation_steps or data.validation.steps(size) or 0
        rows = data.validation.num_examples
        full = steps if rows is None or data.validation_steps else rows / size
        seconds = steps * overheads.validation_step
        seconds += full * overheads.validation_whole * self._step(network, size).forward
        every = data.validation_freq
        return seconds / every if isinstance(every, int) else seconds


def _memory(network: Network, batch: int, kept: int) -> int:
    """Bytes of weights, gradients, what is kept beside each weight, and activations."""
    numbers = (2 + kept) * network.parameters + HELD * batch * network.activations
    return round(BYTES * numbers)


def _check_known(job: Job) -> None:
    if job.epochs and (job.steps_per_epoch is None or job.batch_size is None):
        raise MotherNetsError(
            f"The time of job `{job.name}` cannot be predicted: its steps are not known beforehand",
            expected="arrays",
            received="data that come in batches",
        )
