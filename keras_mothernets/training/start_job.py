"""The network that a job begins with: a copy, or hatched and proven."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets import surgery
from keras_mothernets.branching import take_branch
from keras_mothernets.errors import RunError, naming
from keras_mothernets.graph import clone, copy_layer
from keras_mothernets.member import Member
from keras_mothernets.training.checkpoint import Checkpoint
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data.leaves import named_leaves
from keras_mothernets.training.job import Branch, Continue, Hatch, Job
from keras_mothernets.training.store import keep_policy

HATCH_TOLERANCE = 1e-5  # relative, in float32; what exact surgery reaches on real data
CALIBRATION_ROWS = 512
DEVIATION_ROWS = 64


@dataclass(frozen=True)
class Started:
    """The network that a job begins or goes on with.

    Args:
        model: The network; it shares nothing with others.
        deviation: How far a hatched network is from its mother, `None` if not measured.
        hatch_seconds: Seconds that hatching and the measurement took.
        checkpoint: What it goes on from, if the job began in an earlier process.
    """

    model: keras.Model
    deviation: float | None = None
    hatch_seconds: float = 0.0
    checkpoint: Checkpoint | None = None


def start_job(job: Job, context: RunContext, mother: keras.Model | None = None) -> Started:
    """Make the network that a job begins with.

    Args:
        job: The job.
        context: What the jobs of the run share.
        mother: The trained network of the job that this one's start waits for.

    Raises:
        RunError: A hatched network does not compute what its mother computes, or the mother or
            the data hold no numbers.
    """
    network = context.networks[job.network]
    if isinstance(job.start, Hatch):
        assert mother is not None, "the executor brings the mother"
        return _hatched(job, job.start, network, mother, context)
    if isinstance(job.start, Branch):
        assert mother is not None, "the executor brings the tree"
        model = take_branch(mother, Member(network, job.name))
    else:
        source = mother if isinstance(job.start, Continue) else network
        assert source is not None, "the executor brings the network"
        model = clone(source, name=job.name)
    keep_policy(network, model)
    return Started(model)


def _hatched(
    job: Job, start: Hatch, network: keras.Model, mother: keras.Model, context: RunContext
) -> Started:
    begin = time.perf_counter()
    calibration = context.data.train.sample(CALIBRATION_ROWS)
    _check_data(job, calibration)
    with naming(f"{job.role} `{job.name}`"):
        model = surgery.hatch(
            mother,
            network,
            seed=start.seed,
            noise=start.noise,
            shrink=start.shrink,
            calibration=calibration,
            name=job.name,
            new_channels=start.new_channels,
        )
    if start.fresh_layers:
        renew_last_layers(model, network, start.fresh_layers)
    keep_policy(network, model)
    rows = context.data.train.sample(DEVIATION_ROWS)
    deviation = check_deviation(job, start, mother, model, rows)
    return Started(model, deviation, time.perf_counter() - begin)


def renew_last_layers(model: keras.Model, network: keras.Model, count: int) -> None:
    """Give the last layers of a hatched network the weights that it was given with.

    Args:
        model: The hatched network; changed in place.
        network: The network as it was given.
        count: How many layers with a kernel; what comes after the first of them is renewed too.
    """
    pairs = list(zip(model.layers, network.layers, strict=True))
    kernels = [
        number
        for number, (layer, _) in enumerate(pairs)
        if any(len(weight.shape) > 1 for weight in layer.weights)
    ]
    for layer, source in pairs[kernels[-min(count, len(kernels))] :] if kernels else ():
        copy_layer(source, layer)


def check_deviation(
    job: Job, start: Hatch, mother: keras.Model, hatched: keras.Model, x: Any
) -> float:
    """Compare a hatched network with its mother on real data.

    Networks of half precision are compared as float32 copies, since rounding to 8 or 11
    bits would hide what is looked for. Where single precision does not suffice, as with
    features of which all are near 2,000, copies in float64 decide: there only mistakes are
    left, and the rounding of weights where float32 cannot hold what exactness needs. Both are
    held to the same tolerance; mistakes are a thousand times larger.

    Args:
        job: The job, for the message.
        start: How it was hatched; with noise or shrink the deviation is measured, not judged.
        mother: The mother.
        hatched: The hatched network.
        x: Some rows of the training inputs.

    Returns:
        Largest difference relative to the mother's largest output, in float32.

    Raises:
        RunError: It is above `HATCH_TOLERANCE`, or the mother gives no numbers.
    """
    measured = functools.partial(surgery.deviation_on, x=x, seed=start.seed)
    if not (_is_single(mother) and _is_single(hatched)):
        mother, hatched = clone(mother, dtype="float32"), clone(hatched, dtype="float32")
    with full_float32():
        deviation, _ = measured(mother, hatched, tolerance=math.inf)
    if math.isnan(deviation):
        _check_mother(job, start, mother, x)
    if deviation <= HATCH_TOLERANCE or not start.is_exact:
        return float(deviation)
    mother, hatched = clone(mother, dtype="float64"), clone(hatched, dtype="float64")
    exact, layer = measured(mother, hatched, tolerance=HATCH_TOLERANCE)
    if not exact <= HATCH_TOLERANCE:  # also true for NaN
        at = f"; they part at layer `{layer}`" if layer else ""
        raise RunError(
            f"{job.role.capitalize()} `{job.name}` does not compute what its mother computes{at}",
            expected=f"a relative deviation of at most {HATCH_TOLERANCE:g} on the training data",
            received=f"{deviation:.3g}, in float64 {exact:.3g}",
            fix="Please report this with both architectures",
        )
    return float(deviation)


def _check_data(job: Job, x: Any) -> None:
    """Data that come in batches are checked at the door as far as their first batch."""
    for name, array in named_leaves("x", x):
        if not _is_finite(array):
            raise RunError(
                f"{job.role.capitalize()} `{job.name}` cannot be hatched: `{name}` holds NaN or"
                " infinite values",
                expected="finite numbers in the training data",
                fix="Look at the data set",
            )


def _check_mother(job: Job, start: Hatch, mother: keras.Model, x: Any) -> None:
    outputs = mother(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
    if not all(map(_is_finite, keras.tree.flatten(outputs))):
        raise RunError(
            f"{job.role.capitalize()} `{job.name}` cannot be hatched: its mother `{start.parent}`"
            " gives NaN or infinite outputs on the training data",
            expected="finite outputs",
            fix="Lower the learning rate, or look for such values in the data",
        )


def _is_finite(array: Any) -> bool:
    array = np.asarray(array)
    return not np.issubdtype(array.dtype, np.inexact) or bool(np.isfinite(array).all())


def _is_single(model: keras.Model) -> bool:
    return all(layer.compute_dtype in ("float32", "float64") for layer in model.layers)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Multiply in whole float32: GPUs else round factors to 10 bits (TensorFloat-32)."""
    was_on = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(was_on)
