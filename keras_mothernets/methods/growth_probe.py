"""GrowthProbe: where in a network more capacity pays."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.errors import DataError, MotherNetsError, whole_number
from keras_mothernets.graph import forward_flops
from keras_mothernets.member import Member, as_members
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.growth_ranking import GrowthGain, GrowthRanking
from keras_mothernets.methods.method import Method
from keras_mothernets.methods.one_network import one_member
from keras_mothernets.surgery import Grown, Place, grow_each
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import TrainingData
from keras_mothernets.training.fingerprint import architecture_fingerprint
from keras_mothernets.training.job import Continue, Hatch, Job
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.seeds import derive_seed


class GrowthProbe(Method):
    """Trains one network, grows it at one place at a time, and sees where that gains most.

    The network is trained for the `epochs` of `fit`. Then it grows at each place, wider, deeper
    or with a larger kernel, without changing what it computes, so that all begin at the
    same loss; and each grown network is trained on for a short while. So is, as the control, the
    network itself. What is lower in a grown network's held-out loss than in the control's is the
    gain of that place; `ranking` puts it beside the parameters and the operations that were added.

    New channels are fresh ones that nothing listens to at first: copies come apart too slowly to
    show in a short training what width could do. A rate that falls to zero in each job, as
    `CosineDecay(0.01, job.steps)`, keeps the spread small.

    The members are the grown networks, one for each place and seed: they are a trained ensemble as
    with any other method, if a narrow one.

    Args:
        model: A built Functional or Sequential model, or a `km.Member`, whose optimizer
            and callbacks are those of all jobs; with `epochs=0` it is taken as it is, trained
            before. It is never modified.
        positions: Where to grow: names of layers, or pairs such as `("conv", "wider")`, with
            "wider", "deeper" and "larger kernel". Every place by default. Layers that
            can only have one width, as those summed in a residual network, are one place, and
            so are places that give one and the same network.
        probe_epochs: Epochs of each grown network, a quarter of the `epochs` of `fit` by default.
        n_seeds: How often each is trained, in another order of the examples and with another
            choice of the channels that are copied. The control sees the same orders.
        growth: Factor on the width. A kernel grows by two along each axis, what gets deeper by
            one copy of a layer or residual unit.
        seed: See `Method`.

    Raises:
        GraphError: The network cannot be read, or has no layer of a name.
        SurgeryError: It cannot grow at a position.
        MotherNetsError: A setting cannot be used.

    Example:
        >>> import keras, numpy as np
        >>> hidden = keras.layers.Dense(3, "relu", name="hidden")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)], name="net")
        >>> probe = GrowthProbe(model, n_seeds=1)
        >>> probe.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = probe.fit(x, y, epochs=8, validation_data=(x, y), verbose=0)
        >>> [(row.job, row.epochs) for row in history.ledger]
        [('net_base', 8), ('net_control_1', 2), ('hidden_wider_1', 2), ('hidden_deeper_1', 2)]
        >>> sorted((str(row.place), row.added_parameters) for row in probe.ranking())
        [('hidden, deeper', 12), ('hidden, wider', 18)]

    Source: the question is that of Deep Collider (Wasay, Computation-Cautious Machine Learning
    Systems, 2021): what does a new neuron at a place do? The control and the measures are ours.
    """

    def __init__(
        self,
        model: keras.Model | Member,
        *,
        positions: Sequence[str | tuple[str, str]] | None = None,
        probe_epochs: int | None = None,
        n_seeds: int = 3,
        growth: float = 2.0,
        seed: int = 0,
    ) -> None:
        self._one = one_member(type(self).__name__, model)
        super().__init__([self._one], seed=seed)
        if probe_epochs is not None:
            probe_epochs = whole_number("probe_epochs", probe_epochs, 1)
        self.probe_epochs = probe_epochs
        self.n_seeds = whole_number("n_seeds", n_seeds, 1)
        self.growth = _checked_growth(growth)
        grown, self._left_out = grow_each(self._one.model, positions, growth=self.growth)
        self._grown = distinct(grown)
        seeds = range(1, self.n_seeds + 1)
        self._probes = list(itertools.product(self._grown, seeds))
        self._members = as_members([_named(self._one, *probe) for probe in self._probes])

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        return (
            f"GrowthProbe(probe_epochs={self.probe_epochs}, n_seeds={self.n_seeds}, "
            f"growth={self.growth:g}, seed={self.seed})"
        )

    @property
    def left_out(self) -> dict[Place, str]:
        """Where the network cannot grow, and why; empty if it can everywhere."""
        return dict(self._left_out)

    def design(self, schedule: Schedule) -> Design:
        """The network's own training; from there the controls, and a job for each member."""
        one, base = self._one, f"{self._one.label}_base"
        epochs = schedule.epochs if one.epochs is None else one.epochs
        short = self.probe_epochs or math.ceil(schedule.epochs / 4)
        jobs = [self.job(base, "base", base, one.model, schedule, epochs=epochs)]
        for number in range(1, self.n_seeds + 1):
            start, name = Continue(base), self._control(number)
            job = self.job(name, "control", base, one.model, schedule, start=start, epochs=short)
            jobs.append(self._in_order(job, number))
        for (grown, number), member in zip(self._probes, self._members, strict=True):
            seed = derive_seed(self.seed, member.label, "hatch")
            hatch = Hatch(base, seed=seed, new_channels="fresh", inherited=grown.inherited)
            job = self.member_job(member, schedule, start=hatch, epochs=short)
            jobs.append(self._in_order(job, number))
        networks = {member.label: member.model for member in self._members}
        return Design(tuple(jobs), {base: one.model, **networks}, {base: one})

    def ranking(self, by: str = "parameter") -> GrowthRanking:
        """The places in the order of what growth gains there, best first.

        Args:
            by: "parameter" for the gain per added parameter, "flop" for that per added
                floating-point operation, "gain" for the gain itself.

        Returns:
            A `GrowthRanking` that prints as a table; each row has the gains of all seeds. Losses
            are those on the validation data at the epoch whose weights are kept, without
            the penalties of regularizers, which grow with a network although it computes the same.

        Raises:
            MotherNetsError: `fit` has not finished, or places cannot be ranked so.
        """
        if self._run is None:
            raise MotherNetsError("Nothing has grown yet", fix="Call `compile` and `fit` first")
        plan, context = self._run
        losses = {job.name: held_out_loss(job, context) for job in plan if job.role != "base"}
        gains: dict[Place, list[float]] = {}
        for (grown, number), member in zip(self._probes, self._members, strict=True):
            gain = losses[self._control(number)] - losses[member.label]
            gains.setdefault(grown.place, []).append(gain)
        rows = [self._row(grown, gains[grown.place]) for grown in self._grown]
        return GrowthRanking(rows, by, self._left_out)

    def _row(self, grown: Grown, gains: Sequence[float]) -> GrowthGain:
        before, after = self._one.model, grown.model
        flops = forward_flops(before), forward_flops(after)
        return GrowthGain(
            grown.place,
            added_parameters=after.count_params() - before.count_params(),
            added_flops=None if flops[0] is None or flops[1] is None else flops[1] - flops[0],
            gains=tuple(gains),
        )

    def _control(self, number: int) -> str:
        """Name of the control's job of a seed."""
        return f"{self._one.label}_control_{number}"

    def _in_order(self, job: Job, number: int) -> Job:
        """A job that sees the examples in the order of its seed.

        Probe and control of one seed share it, so that what it does to both is no gain.
        """
        return replace(job, seed=derive_seed(self.seed, "order", number))

    def _prepare(
        self,
        data: TrainingData,
        epochs: int,
        batch_size: int,
        monitor: str | None,
        callbacks: Any = None,
    ) -> tuple[Plan, RunContext | None]:
        """As `Method` does, once there are data to see a gain on."""
        if data.validation is None:
            raise DataError(
                "GrowthProbe compares losses on held-out data, and there are none",
                fix="Give `validation_data`, or `validation_split`",
            )
        if data.validation_freq != 1:
            raise DataError(
                "GrowthProbe needs the held-out loss of every epoch",
                expected="`validation_freq` of 1",
                received=data.validation_freq,
            )
        return super()._prepare(data, epochs, batch_size, monitor, callbacks)


def distinct(grown: Sequence[Grown]) -> list[Grown]:
    """Networks that differ: places that give one and the same network become one place.

    A plain stack of equal layers is as deep after the first as after the last.

    Args:
        grown: Grown networks.
    """
    found: dict[str, Grown] = {}
    for each in grown:
        key = architecture_fingerprint(each.model)
        if key in found:
            layers = (*found[key].place.layers, *each.place.layers)
            found[key] = replace(found[key], place=Place(layers, each.place.kind))
        else:
            found[key] = each
    return list(found.values())


def held_out_loss(job: Job, context: RunContext) -> float:
    """The validation loss of a finished job, without the penalties of regularizers.

    Args:
        job: The job.
        context: What the jobs of its run share.
    """
    record = context.store.record(job)
    assert record is not None, "the run has finished"
    loss = record.row.metrics["val_loss"]
    if context.networks[job.network].losses:
        loss -= sum(float(penalty) for penalty in context.trained(job).losses)
    return loss


def _named(one: Member, grown: Grown, number: int) -> Member:
    """A member of the name of a place, as far as a folder can have it, and of a seed."""
    place = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{grown.place.layers[0]}_{grown.place.kind}")
    name = f"{place[-90:].lstrip('_.-')}_{number}"
    return Member(grown.model, name, optimizer=one.optimizer, callbacks=one.callbacks)


def _checked_growth(growth: Any) -> float:
    is_number = isinstance(growth, numbers.Real) and not isinstance(growth, bool)
    if not is_number or not 1 < growth < math.inf:
        raise MotherNetsError(
            "`growth` must be a finite number above 1: a factor on widths", received=repr(growth)
        )
    return float(growth)
