"""Methods that take all members from the training of one network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member, as_members
from keras_mothernets.methods.design import Schedule
from keras_mothernets.methods.method import Method
from keras_mothernets.training.job import Job
from keras_mothernets.training.settings import CompileSettings, check_optimizer


class OneNetworkMethod(Method):
    """Trains one network, and takes what it is at several times as the members.

    Args:
        member: A built Functional or Sequential model, or a `km.Member`. It is never modified.
        n_members: How many members to take.
        seed: See `Method`.

    Raises:
        MotherNetsError: The network or the number cannot be used.
    """

    def __init__(self, member: keras.Model | Member, n_members: int, *, seed: int = 0) -> None:
        one = one_member(type(self).__name__, member)
        count = whole_number("n_members", n_members, 1)
        names = [f"{one.label}_{number}" for number in range(1, count + 1)]
        # The optimizer is wrapped in `compile`, so it must not go before that one's.
        super().__init__(
            [Member(one.model, name, callbacks=one.callbacks) for name in names], seed=seed
        )
        self._one = one

    def compile(
        self, optimizer: Any = "sgd", loss: Any = None, metrics: Any = None, **settings: Any
    ) -> None:
        """Configure training, as `Method.compile` does, but that the method has its own rates.

        Args:
            optimizer: As there.
            loss: As there.
            metrics: As there.
            **settings: As there.

        Raises:
            MotherNetsError: A setting cannot be used.
        """
        choice = optimizer if self._one.optimizer is None else self._one.optimizer
        check_optimizer(choice)

        def of_job(job: Job) -> keras.optimizers.Optimizer:
            return self.optimizer(CompileSettings(choice, "mse"), job)

        super().compile(of_job, loss, metrics, **settings)

    def job(
        self, name: str, role: str, key: str, model: keras.Model, schedule: Schedule, **values: Any
    ) -> Job:
        """A job that keeps its last epoch, since a member is what the lowest rate leads to."""
        return super().job(name, role, key, model, replace(schedule, monitor=""), **values)

    def optimizer(self, settings: CompileSettings, job: Job) -> keras.optimizers.Optimizer:
        """The optimizer of a job.

        Args:
            settings: They make the optimizer that the user chose.
            job: The job.

        Returns:
            A new optimizer with the method's own learning rates.

        Raises:
            MotherNetsError: The user's has a schedule, or the data have no length.
        """
        raise NotImplementedError


def one_member(method: str, member: keras.Model | Member) -> Member:
    """The network of a method that takes one.

    Args:
        method: Name of the method, for the message.
        member: A model, or a `Member`.

    Raises:
        MotherNetsError: It is something else.
    """
    if isinstance(member, (list, tuple)):
        raise MotherNetsError(
            f"{method} trains one network",
            expected="a built model, or a `km.Member`",
            received=f"a {type(member).__name__} of {len(member)}",
        )
    return as_members([member])[0]


def fixed_rate(optimizer: keras.optimizers.Optimizer, method: str) -> float:
    """The learning rate of a new optimizer, which must not have a schedule.

    Args:
        optimizer: The optimizer.
        method: Name of the method, for the message.

    Raises:
        MotherNetsError: It has one.
    """
    config = optimizer.get_config()
    config = config.get("inner_optimizer", {}).get("config", config)  # of one that scales the loss
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        raise MotherNetsError(
            f"{method} sets the learning rate of every step itself",
            expected="an optimizer with a number as its `learning_rate`, where each cycle begins",
            received=f"a schedule, {rate['class_name']}",
        )
    return float(rate)
