"""What a job takes besides its layers: tracing, steps, epochs, validation, hatching."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy.optimize import nnls

from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import read_data
from keras_mothernets.training.job import Hatch, Job, Scratch, Start
from keras_mothernets.training.settings import CompileSettings
from keras_mothernets.training.train_job import train_job

layers = keras.layers
EPOCHS, BATCH = 4, 64
LOSS = "sparse_categorical_crossentropy"


@dataclass(frozen=True)
class Overheads:
    """Seconds that a job takes besides its layers.

    Args:
        job: To start a job and to end it.
        job_per_weight: More for each variable, trained or not: to copy it, and to trace what reads
            and updates it.
        hatch: To hatch a network and to compare it with its mother.
        hatch_per_weight: More for each variable.
        step: A training step.
        whole: Factor between the time of a step's layers one by one and all together.
        update: The same factor for the update by the optimizer, which finds no weights in a cache.
        epoch: To begin an epoch and its validation.
        validation_step: A step of the validation.
        validation_whole: The same factor for a step of the validation.

    Example:
        >>> Overheads(job=0.5, job_per_weight=0.01).job_seconds(weights=50)
        1.0
    """

    job: float = 0.0
    job_per_weight: float = 0.0
    hatch: float = 0.0
    hatch_per_weight: float = 0.0
    step: float = 0.0
    whole: float = 1.0
    update: float = 1.0
    epoch: float = 0.0
    validation_step: float = 0.0
    validation_whole: float = 1.0

    def job_seconds(self, weights: int, is_hatched: bool = False) -> float:
        """Seconds until a job trains, and after that.

        Args:
            weights: Number of variables of the network, trained or not.
            is_hatched: Whether the network is hatched.
        """
        seconds = self.job + self.job_per_weight * weights
        return seconds + (self.hatch + self.hatch_per_weight * weights if is_hatched else 0.0)


class Alone(NamedTuple):
    """What a network's layers take one by one.

    Args:
        step: Seconds of a step of training.
        update: Seconds of an update by the optimizer.
        forward: Seconds of a step of validation.
    """

    step: float
    update: float
    forward: float


@dataclass(frozen=True)
class Seen:
    """What one small job took.

    Args:
        weights: Number of variables of its network.
        alone: What its layers take one by one.
        steps: Its steps in an epoch, and those of a validation.
        outside: Seconds of the job outside of steady epochs: start, tracing, end.
        trained: Seconds of the steps of a steady epoch.
        validated: Seconds of a validation, and whatever else is done once in an epoch.
        hatch: Seconds of hatching; 0 without.
    """

    weights: int
    alone: Alone
    steps: tuple[int, int]
    outside: float
    trained: float
    validated: float
    hatch: float


StepSeconds = Callable[[keras.Model, int], Alone]


def measure_overheads(step_seconds: StepSeconds) -> Overheads:
    """Train a few small networks, and see what their layers do not explain.

    Args:
        step_seconds: Tells of a network and a batch size what is known from its layers.
    """
    seen = [
        *_watch((_dense(2, 32), _dense(16, 32)), (24,), (120, 30), step_seconds),
        *_watch((_dense(2, 256), _dense(3, 640)), (24,), (60, 30), step_seconds),
        *_watch((_images(2, 8), _images(9, 12)), (16, 16, 3), (40, 12), step_seconds),
        *_watch((_residual(1, 6), _residual(8, 8)), (32, 32, 3), (12, 8), step_seconds),
    ]
    hatched = [one for one in seen if one.hatch]
    job = _line([(1, one.weights) for one in seen], [one.outside - one.hatch for one in seen])
    hatch = _line([(1, one.weights) for one in hatched], [one.hatch for one in hatched])
    epochs, *step = _line([_trained_terms(one) for one in seen], [one.trained for one in seen])
    epoch = _line(
        [(1, one.steps[1], one.steps[1] * one.alone.forward) for one in seen],
        [one.validated for one in seen],
    )
    return Overheads(
        job=job[0],
        job_per_weight=job[1],
        hatch=hatch[0],
        hatch_per_weight=hatch[1],
        step=step[0],
        whole=step[1],
        update=step[2],
        epoch=epochs + epoch[0],
        validation_step=epoch[1],
        validation_whole=epoch[2],
    )


def _trained_terms(one: Seen) -> tuple[float, ...]:
    """What the time of an epoch's steps is a sum of."""
    steps = one.steps[0]
    return 1, steps, steps * one.alone.step, steps * one.alone.update


def _line(terms: list[tuple[float, ...]], seconds: list[float]) -> list[float]:
    """Weights of the terms, none negative, with the least relative errors."""
    wanted = np.maximum(np.asarray(seconds, dtype=float), 1e-6)
    found, _ = nnls(np.asarray(terms, dtype=float) / wanted[:, None], np.ones(len(wanted)))
    return [float(weight) for weight in found]


def _dense(depth: int, units: int) -> keras.Model:
    hidden = [layers.Dense(units, "relu") for _ in range(depth)]
    return keras.Sequential([keras.Input((24,)), *hidden, layers.Dense(10, "softmax")])


def _images(depth: int, channels: int) -> keras.Model:
    inputs = x = keras.Input((16, 16, 3))
    for _ in range(depth):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def _residual(depth: int, channels: int) -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(inputs)
    for _ in range(depth):
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def _watch(
    pair: tuple[keras.Model, keras.Model],
    shape: tuple[int, ...],
    steps: tuple[int, int],
    step_seconds: StepSeconds,
) -> Iterator[Seen]:
    """Train a network, and one that is hatched from it."""
    rng = np.random.default_rng(0)
    mother = None
    starts: tuple[Start, ...] = (Scratch(), Hatch("mother"))
    for name, model, start, count in zip(("mother", "member"), pair, starts, steps, strict=True):
        x = rng.standard_normal((count * BATCH, *shape)).astype("float32")
        y = rng.integers(0, 10, len(x))
        held = count // 2
        data = read_data(x, y, validation_data=(x[: held * BATCH], y[: held * BATCH]))
        times = _Times()
        settings = CompileSettings(probe_optimizer(), LOSS, metrics=["accuracy"])
        context = RunContext({name: model}, data, settings, callbacks=lambda job, own=times: [own])
        job = Job(name, "member", name, start, EPOCHS, BATCH, count)
        record, mother = train_job(job, context, mother)
        trained, validated = times.steady
        yield Seen(
            weights=len(model.weights),
            alone=step_seconds(model, BATCH),
            steps=(count, held),
            outside=record.row.wall_seconds - EPOCHS * (trained + validated),
            trained=trained,
            validated=validated,
            hatch=record.row.hatch_seconds,
        )


def probe_optimizer() -> keras.optimizers.Optimizer:
    """The optimizer of the small jobs: one of those that take longest to trace."""
    rate = keras.optimizers.schedules.CosineDecay(0.01, 1000)
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=1e-4)


class _Times(keras.callbacks.Callback):
    """Notes what the epochs after the first take."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = self._trained = 0.0
        self._epochs: list[tuple[float, float]] = []

    @property
    def steady(self) -> tuple[float, float]:
        """Median seconds of all steps, and of all else in an epoch; the first is left out."""
        steps, rests = zip(*self._epochs[1:], strict=True)
        return float(np.median(steps)), float(np.median(rests))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """An epoch begins."""
        self._begin = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """Its steps are done."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """It ends."""
        end = time.perf_counter()
        self._epochs.append((self._trained - self._begin, end - self._trained))
