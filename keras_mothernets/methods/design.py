"""What a method is asked for, and what it wants done: values between `Method` and its kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from keras_mothernets.member import Member
from keras_mothernets.training.job import Job


@dataclass(frozen=True)
class Schedule:
    """How long and in what steps `fit` was asked to train.

    Args:
        epochs: Epochs of a network that is trained from scratch.
        batch_size: Examples in one step, `None` for data that come in batches.
        steps_per_epoch: Steps in one epoch, `None` if the data do not tell.
        monitor: Metric by which the best epoch of a job is kept, "" to keep the last one.
    """

    epochs: int
    batch_size: int | None
    steps_per_epoch: int | None
    monitor: str = ""


@dataclass(frozen=True, eq=False)
class Design:
    """What a method wants done: jobs, and the networks that they speak of.

    Args:
        jobs: One job for each member, named as the member, and others that they wait for.
        networks: Built models by the key that the jobs use.
        others: Settings of networks that are no members, by the same key.
    """

    jobs: tuple[Job, ...]
    networks: Mapping[str, keras.Model] = field(default_factory=dict)
    others: Mapping[str, Member] = field(default_factory=dict)
