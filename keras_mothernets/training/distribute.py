"""One job over several devices of one machine: what a strategy needs, and what Keras leaves open.

A `tf.distribute.MirroredStrategy` keeps one replica of a network on each device. Every batch is
dealt out, gradients are summed, and all replicas take the same step. A job begins as it does on
one device: it is copied or hatched, and checked, there. Then it is copied once more within
the strategy's scope, which puts equal values on every replica, and its optimizer is made in that
scope. When the job has ended its network is copied out again, so that what is kept, hatched
from, or given to the user is a plain network that knows no strategy.

Two things Keras does not do are done here.

- Moving statistics of BatchNormalizations are not reduced: each replica has those of its own
  rows, and what is saved are those of the first. Before a network is evaluated or anything else is
  done with it after an epoch, they are replaced by their mean over the replicas, on all of
  them. Moving averages are linear, so the mean of moving means is that of the whole batches. The
  mean of moving variances is not the variance of the whole batches: it lacks how far the
  replicas' means are apart, as with a batch as small as that of one replica. It is what such
  a layer normalises by while it trains, so it is right for what it has learned. With
  `BatchNormalization(synchronized=True)` both are those of the whole batch on every replica.
- Random layers have the same seed on every replica, and would drop the same units of the first
  row of each. Here each replica has a seed of its own, which follows from that of the first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.graph import clone, copy_variables
from keras_mothernets.training.seeds import derive_seed, random_states
from keras_mothernets.training.store import empty_like, keep_policy


def replicas_of(strategy: tf.distribute.Strategy | None) -> int:
    """Number of replicas; 1 without a strategy."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def scope_of(strategy: tf.distribute.Strategy | None) -> contextlib.AbstractContextManager[Any]:
    """The scope in which networks and optimizers of a strategy are made; none without one."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def told(strategy: tf.distribute.Strategy) -> str:
    """A strategy in words, for plans.

    Example:
        >>> told(tf.distribute.OneDeviceStrategy("CPU:0"))
        'OneDeviceStrategy over 1 device'
    """
    count = replicas_of(strategy)
    return f"{type(strategy).__name__} over {count} device{'s' if count > 1 else ''}"


def put_in(model: keras.Model, strategy: tf.distribute.Strategy | None) -> keras.Model:
    """A copy of a network on every replica; without a strategy the network itself.

    Args:
        model: A plain network.
        strategy: The strategy.
    """
    if strategy is None:
        return model
    with strategy.scope():
        copied = clone(model)
    keep_policy(model, copied)
    _copy_states(model, copied)
    return copied


def taken_out(
    model: keras.Model, strategy: tf.distribute.Strategy | None, network: keras.Model
) -> keras.Model:
    """A plain network with the values of the first replica; without a strategy the model itself.

    Args:
        model: A network of the strategy.
        strategy: The strategy.
        network: A plain network of the same architecture, to build another one from.
    """
    if strategy is None:
        return model
    copied = empty_like(network, model.name)
    copy_variables(model, copied)
    _copy_states(model, copied)
    return copied


def _copy_states(source: keras.Model, target: keras.Model) -> None:
    for old, new in zip(random_states(source), random_states(target), strict=True):
        new.assign(old.value)


def values_on(strategy: tf.distribute.Strategy, variable: keras.Variable) -> list[np.ndarray]:
    """The values of a variable, one for each replica."""
    return [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]


def average_statistics(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Put the mean over the replicas in place of what differs among them.

    Only what is not trained can differ. Of whole numbers those of the first replica are taken.

    Args:
        model: A network of the strategy.
        strategy: The strategy.
    """
    for variable in model.non_trainable_weights:
        values = values_on(strategy, variable)
        if all(np.array_equal(values[0], value) for value in values[1:]):
            continue
        is_float = "float" in variable.dtype
        variable.assign(np.mean(values, axis=0, dtype="float64") if is_float else values[0])


def part_seeds(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give the random layers on each replica but the first another seed.

    Args:
        model: A network of the strategy, with equal states on every replica.
        strategy: The strategy.
    """
    for state in random_states(model):
        copies = strategy.experimental_local_results(state.value)
        seed, drawn = copies[0].numpy()
        for number, copy in enumerate(copies[1:], start=1):
            copy.assign([derive_seed(int(seed), "replica", number), drawn])


class AverageStatistics(keras.callbacks.Callback):
    """Averages before a validation, and before the other callbacks look at the network.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        super().__init__()
        self.strategy = strategy

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Average."""
        average_statistics(self.model, self.strategy)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Average."""
        average_statistics(self.model, self.strategy)


class PartSeeds(keras.callbacks.Callback):
    """Parts the seeds of the replicas; behind what gives back a checkpoint, where they are equal.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        super().__init__()
        self.strategy = strategy

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Part them."""
        part_seeds(self.model, self.strategy)


def with_strategy(
    callbacks: Sequence[keras.callbacks.Callback], strategy: tf.distribute.Strategy | None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a job, between those that a strategy needs.

    Args:
        callbacks: The callbacks.
        strategy: The strategy, or `None`.
    """
    if strategy is None:
        return list(callbacks)
    return [AverageStatistics(strategy), *callbacks, PartSeeds(strategy)]
