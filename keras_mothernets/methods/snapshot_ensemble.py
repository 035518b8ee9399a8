"""Snapshot ensembles: one network, and what it is at the end of each cosine cycle."""

from __future__ import annotations

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.one_network import OneNetworkMethod, fixed_rate
from keras_mothernets.training.job import Continue, Job, Scratch
from keras_mothernets.training.settings import CompileSettings


class SnapshotEnsemble(OneNetworkMethod):
    """Trains one network in cycles of the learning rate, and keeps it at the end of each.

    `epochs` of `fit` are those of the whole training and are shared out evenly; `Member.epochs`
    are those of one cycle. In each cycle the rate falls, step by step, from that of the optimizer
    to zero, half a cosine long: at step t of T it is rate / 2 * (cos(pi * t / T) + 1). Then it
    jumps back. Huang et al. begin at 0.1 or 0.2 for SGD with momentum; a large rate takes the
    network further from the last snapshot. Every cycle has a new optimizer, so that momenta begin
    at zero.

    Args:
        member: See `OneNetworkMethod`.
        n_members: Number of cycles, each of which gives a member.
        seed: See `Method`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
        >>> method = SnapshotEnsemble(model, 3)
        >>> method.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=6, verbose=0)
        >>> [(row.job, row.epochs) for row in history.ledger]
        [('net_1', 2), ('net_2', 2), ('net_3', 2)]

    Source: Huang et al., Snapshot Ensembles: train 1, get M for free (ICLR 2017), equation 2;
    their optimizer keeps its momenta over the restarts.
    """

    def design(self, schedule: Schedule) -> Design:
        """A chain of jobs, each of which goes on from the one before."""
        cycles = self._cycle_epochs(schedule.epochs)
        jobs: list[Job] = []
        for member, epochs in zip(self._members, cycles, strict=True):
            start = Continue(jobs[-1].name) if jobs else Scratch()
            jobs.append(self.member_job(member, schedule, start=start, epochs=epochs))
        return Design(tuple(jobs), {member.label: member.model for member in self._members})

    def optimizer(self, settings: CompileSettings, job: Job) -> keras.optimizers.Optimizer:
        """The chosen optimizer with the rates of a cycle.

        Raises:
            MotherNetsError: It has a schedule, or the data have no length.
        """
        made = settings.make_optimizer(job)
        if job.steps is None:
            raise MotherNetsError(
                "The cycles of SnapshotEnsemble have a length in steps",
                received="data without a length",
                fix="Give `steps_per_epoch`",
            )
        rate = fixed_rate(made, "SnapshotEnsemble")
        made.learning_rate = keras.optimizers.schedules.CosineDecay(rate, max(job.steps, 1))
        return made

    def _cycle_epochs(self, epochs: int) -> list[int]:
        """Epochs of each cycle; those that are left over go to the first ones."""
        count = len(self._members)
        if self._one.epochs is not None:
            return [self._one.epochs] * count
        if epochs < count:
            raise MotherNetsError(
                "Every snapshot needs an epoch of its own",
                expected=f"`epochs` of at least {count}",
                received=epochs,
            )
        return [epochs // count + (number < epochs % count) for number in range(count)]
