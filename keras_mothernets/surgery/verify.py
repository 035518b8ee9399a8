"""Proof that two networks compute the same: how far apart their outputs are."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import MotherNetsError, SurgeryError, reason_of
from keras_mothernets.graph import (
    Architecture,
    Input,
    build,
    clone,
    copy_into_flat,
    read,
    wide_floats,
)
from keras_mothernets.member import Member, as_model
from keras_mothernets.rules import Maps
from keras_mothernets.surgery.alignment import check_interface
from keras_mothernets.surgery.plan import make_plan

_UNKNOWN_SIZE = 16
_FLOATS = ("float64", "float32", "float16", "bfloat16")


def max_deviation(
    model_a: keras.Model | Member,
    model_b: keras.Model | Member,
    *,
    batch_size: int = 8,
    seed: int = 0,
    dtype: str = "float64",
    training: bool = False,
) -> float:
    """How far the outputs of two models are apart on random inputs.

    Both are rebuilt in `dtype` with their weights, so that rounding does not
    hide a mistake. Inputs are normal numbers, or whole numbers where the model
    wants them (an Embedding's tokens, pixels of integer type).

    Args:
        model_a: The model to compare with (or `km.Member`).
        model_b: Another model with the same inputs and outputs.
        batch_size: Number of random examples.
        seed: Seed of the random examples.
        dtype: Float type in which both compute: `"float64"`, `"float32"`, ...
        training: Whether both run in training mode (on copies: no statistics change).

    Returns:
        The largest difference of any output, divided by the largest absolute
        value of `model_a`'s outputs (by one if these are all zero).

    Raises:
        GraphError: A model cannot be read.
        SurgeryError: The two have different inputs or outputs.
        MotherNetsError: `batch_size` or `dtype` cannot be used.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> max_deviation(model, model)
        0.0
    """
    if batch_size < 1:
        raise MotherNetsError("`batch_size` must be at least 1", received=repr(batch_size))
    if dtype not in _FLOATS:
        raise MotherNetsError(
            "`dtype` must be a float type", expected=" or ".join(_FLOATS), received=repr(dtype)
        )
    model_a, model_b = as_model(model_a), as_model(model_b)
    architecture = read(model_a)
    check_interface(architecture, read(model_b))
    with wide_floats() if dtype == "float64" else nullcontext():
        inputs = random_inputs(architecture, batch_size=batch_size, seed=seed, dtype=dtype)
        outputs = [_run_in(dtype, model, inputs, training) for model in (model_a, model_b)]
    return _deviation(*outputs)


def deviation_on(
    mother: keras.Model,
    hatched: keras.Model,
    x: Any,
    *,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> tuple[float, str | None]:
    """How far a hatched model is from its mother on given inputs, and where they part.

    Args:
        mother: The mother.
        hatched: A member hatched from it.
        x: Inputs as the mother takes them, one batch.
        tolerance: The place is looked for only above this deviation.
        seed: The seed with which the member was hatched.

    Returns:
        The deviation as in `max_deviation`, in the models' own float type, and
        the layer of the member behind which it is large for the first time;
        None where the deviation is below the tolerance.
    """
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
    deviation = _deviation(_run(mother, inputs, False), _run(hatched, inputs, False))
    if deviation <= tolerance:
        return deviation, None
    return deviation, first_difference(mother, hatched, inputs, tolerance=tolerance / 10, seed=seed)


def first_difference(
    mother: keras.Model, hatched: keras.Model, inputs: Any, *, tolerance: float, seed: int
) -> str | None:
    """The first layer behind which a hatched model leaves its mother by more than a tolerance."""
    try:
        plan = make_plan(read(mother), read(hatched), seed=seed)
    except SurgeryError:
        return None
    found = plan.correspondence
    steps = [step for step in found.steps if step.how == "matched"]
    ours = _intermediate(mother, found.mother, [s.mother.outputs[0] for s in steps], inputs)
    theirs = _intermediate(hatched, found.member, [s.member.outputs[0] for s in steps], inputs)
    for step, value, other in zip(steps, ours, theirs, strict=True):
        expected = value
        for position, axis in enumerate(step.outputs[0]):
            expected = _widen(expected, position + 1, plan.maps, axis)
        if not np.abs(expected - other).max() <= tolerance * max(np.abs(value).max(), 1e-30):
            return step.member.name
    return None


def random_inputs(
    architecture: Architecture, *, batch_size: int, seed: int, dtype: str = "float32"
) -> Any:
    """Random inputs for an architecture, in the structure in which it takes them."""
    generator = np.random.default_rng(seed)
    values = {
        entry.tensor: _random_input(architecture, entry, batch_size, generator, dtype)
        for entry in architecture.inputs
    }
    return keras.tree.map_structure(
        lambda reference: values[reference.tensor], architecture.input_structure
    )


def _random_input(
    architecture: Architecture,
    entry: Input,
    batch_size: int,
    generator: np.random.Generator,
    dtype: str,
) -> Any:
    shape = (batch_size, *(_UNKNOWN_SIZE if size is None else size for size in entry.shape))
    tokens = _vocabulary(architecture, entry.tensor)
    if tokens is not None or "int" in entry.dtype:
        numbers: np.ndarray = generator.integers(0, tokens or 100, shape)
    else:
        numbers = generator.normal(size=shape)
    return keras.ops.convert_to_tensor(
        numbers, dtype=dtype if "float" in entry.dtype else entry.dtype
    )


def _vocabulary(architecture: Architecture, tensor: int) -> int | None:
    """Number of tokens if a tensor is read by an Embedding, directly or reshaped."""
    reachable = {tensor}
    for node in architecture.nodes:
        if reachable & set(node.inputs):
            if node.layer.cls is keras.layers.Embedding:
                return int(node.config["input_dim"])
            if not node.layer.variables:
                reachable |= set(node.outputs)
    return None


def _run_in(dtype: str, model: keras.Model, inputs: Any, training: bool) -> list[np.ndarray]:
    copied = clone(model, dtype=dtype)
    try:
        return _run(copied, inputs, training)
    except Exception as error:
        raise MotherNetsError(
            f"`{model.name}` cannot be run in {dtype}",
            received=reason_of(error),
            fix='Where the backend lacks a kernel for that type, use `dtype="float32"`',
        ) from error


def _run(model: keras.Model, inputs: Any, training: bool) -> list[np.ndarray]:
    outputs = model(inputs, training=training)
    return [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(outputs)]


def _deviation(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    worst = 0.0
    for first, second in zip(ours, theirs, strict=True):
        if first.shape != second.shape:
            raise SurgeryError(
                "The two models give outputs of different shapes",
                expected=str(first.shape[1:]),
                received=str(second.shape[1:]),
            )
        first, second = first.astype("float64"), second.astype("float64")
        scale = float(np.abs(first).max(initial=0.0)) or 1.0
        worst = max(worst, float(np.abs(first - second).max(initial=0.0)) / scale)
        if not np.isfinite(first).all() or not np.isfinite(second).all():
            return float("nan")
    return worst


def _intermediate(
    model: keras.Model, architecture: Architecture, tensors: list[int], inputs: Any
) -> list[np.ndarray]:
    probe = build(architecture, name="probe", blank=True, outputs=tensors)
    copy_into_flat(model, architecture, probe)
    return _run(probe, inputs, False)


def _widen(value: np.ndarray, position: int, maps: Maps, axis: Any) -> np.ndarray:
    channels = maps[axis]
    if channels is None or channels.is_identity:
        return value
    widened = np.take(value, channels.index, axis=position)
    if channels.sign is None:
        return widened
    shape = [-1 if n == position else 1 for n in range(widened.ndim)]
    return widened * channels.sign.reshape(shape)
