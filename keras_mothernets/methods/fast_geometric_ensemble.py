"""Fast geometric ensembles: short triangular cycles behind most of a usual training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.one_network import OneNetworkMethod
from keras_mothernets.training.job import Continue, Job
from keras_mothernets.training.settings import CompileSettings

BASE_SHARE = 0.8  # of the epochs, in which the network is trained as usual


@keras.saving.register_keras_serializable("keras_mothernets")
class TriangularCycles(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls and rises in straight lines, over and over.

    At step i, counted from 1, t = ((i - 1) mod c + 1) / c runs from 1 / c to 1 through a cycle of c
    steps. The rate is (1 - 2 t) * high + 2 t * low in its first half, and
    (2 - 2 t) * low + (2 t - 1) * high in its second.

    Args:
        high: The rate at the ends of a cycle.
        low: The rate in its middle.
        cycle_steps: Steps of a cycle.
        begin: Steps that were done before.

    Example:
        >>> rates = TriangularCycles(1.0, 0.0, cycle_steps=4)
        >>> [float(rates(step)) for step in range(5)]
        [0.5, 0.0, 0.5, 1.0, 0.5]

    Source: Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs
    (NeurIPS 2018), section 5.
    """

    def __init__(self, high: float, low: float, cycle_steps: int, begin: int = 0) -> None:
        super().__init__()
        self.high = high
        self.low = low
        self.cycle_steps = cycle_steps
        self.begin = begin

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        place = keras.ops.cast(step, "float32") + self.begin
        t = (keras.ops.mod(place, self.cycle_steps) + 1) / self.cycle_steps
        share = keras.ops.abs(2 * t - 1)
        return share * self.high + (1 - share) * self.low

    def get_config(self) -> dict[str, Any]:
        """What makes it."""
        return {
            "high": self.high,
            "low": self.low,
            "cycle_steps": self.cycle_steps,
            "begin": self.begin,
        }


class FastGeometricEnsemble(OneNetworkMethod):
    """Trains one network for most of the epochs as usual, then takes members from short cycles.

    The first job trains for 80 % of the `epochs` of `fit`; its optimizer is the one for all of
    them, so that a schedule that falls to zero is left while it is still high. After that
    the learning rate goes down and up in triangles, and at its lowest, in the middle of each
    cycle, a member is taken, whose BatchNormalization statistics are measured anew. The first
    one comes after half a cycle.

    Args:
        member: See `OneNetworkMethod`.
        n_members: Number of cycles, each of which gives a member.
        cycle_epochs: Epochs of a cycle, an even number. By default the largest with which all
            end within `epochs`, and at least 2: with many members the cycles take longer.
        rates: The highest and the lowest learning rate of a cycle.
        seed: See `Method`.

    Raises:
        MotherNetsError: A setting cannot be used.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
        >>> method = FastGeometricEnsemble(model, 3, rates=(0.05, 0.001))
        >>> method.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=25, verbose=0)
        >>> [(row.job, row.epochs) for row in history.ledger]
        [('net_base', 20), ('net_1', 1), ('net_2', 2), ('net_3', 2)]

    Source: Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs
    (NeurIPS 2018), section 5. Every cycle has a new optimizer here, so that momenta begin at
    zero where the rate is lowest.
    """

    def __init__(
        self,
        member: keras.Model | Member,
        n_members: int,
        *,
        cycle_epochs: int | None = None,
        rates: tuple[float, float] = (0.05, 0.0005),
        seed: int = 0,
    ) -> None:
        super().__init__(member, n_members, seed=seed)
        if cycle_epochs is not None:
            cycle_epochs = whole_number("cycle_epochs", cycle_epochs, 2)
            if cycle_epochs % 2:
                raise MotherNetsError(
                    "A cycle must have a middle",
                    expected="an even number of `cycle_epochs`",
                    received=cycle_epochs,
                )
        self.cycle_epochs = cycle_epochs
        self.rates = _checked_rates(rates)
        self._all_epochs = 1

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        high, low = self.rates
        return (
            f"FastGeometricEnsemble(cycle_epochs={self.cycle_epochs}, rates=({high:g}, {low:g}), "
            f"seed={self.seed})"
        )

    def design(self, schedule: Schedule) -> Design:
        """The usual training, then a chain of jobs of a cycle each."""
        self._all_epochs = schedule.epochs if self._one.epochs is None else self._one.epochs
        cycle = self._cycle(self._all_epochs)
        base_epochs = max(1, round(BASE_SHARE * self._all_epochs))
        networks = {member.label: member.model for member in self._members}
        first = self._members[0].label  # whose network and callbacks the base has too
        base = f"{self._one.label}_base"
        jobs = [self.job(base, "base", first, self._one.model, schedule, epochs=base_epochs)]
        for number, member in enumerate(self._members):
            start, epochs = Continue(jobs[-1].name), cycle if number else cycle // 2
            jobs.append(
                self.member_job(
                    member, schedule, start=start, epochs=epochs, renews_statistics=True
                )
            )
        return Design(tuple(jobs), networks)

    def optimizer(self, settings: CompileSettings, job: Job) -> keras.optimizers.Optimizer:
        """The chosen optimizer; in the cycles with their rates.

        Raises:
            MotherNetsError: It has a schedule, or the data have no length.
        """
        if job.role == "base":
            return settings.make_optimizer(replace(job, epochs=self._all_epochs))
        if job.steps_per_epoch is None:
            raise MotherNetsError(
                "The cycles of FastGeometricEnsemble have a length in steps",
                received="data without a length",
                fix="Give `steps_per_epoch`",
            )
        made = settings.make_optimizer(job)
        steps = self._cycle(self._all_epochs) * job.steps_per_epoch
        begin = 0 if job.name == self._members[0].label else steps // 2
        made.learning_rate = TriangularCycles(*self.rates, steps, begin)
        return made

    def _cycle(self, epochs: int) -> int:
        """Epochs of a cycle."""
        if self.cycle_epochs is not None:
            return self.cycle_epochs
        left = epochs - round(BASE_SHARE * epochs)
        halves = 2 * len(self._members) - 1  # the first member comes after one
        return max(2, 2 * (left // halves))


def _checked_rates(rates: Any) -> tuple[float, float]:
    try:
        high, low = (float(rate) for rate in rates)
    except (TypeError, ValueError) as error:
        raise MotherNetsError(
            "`rates` must be the highest and the lowest learning rate", received=repr(rates)
        ) from error
    if not 0.0 < low <= high < float("inf"):
        raise MotherNetsError(
            "`rates` must be the highest and the lowest learning rate",
            expected="two numbers above 0, the higher one first",
            received=repr(rates),
        )
    return high, low
