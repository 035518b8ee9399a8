"""Random inputs for an exported ensemble, and what comes of them before and after the export."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_mothernets.ensembles.export_format import Runner
from keras_mothernets.errors import MotherNetsError, reason_of
from keras_mothernets.graph import read
from keras_mothernets.surgery.verify import random_inputs

UNKNOWN_SIZE = 16
EXAMPLES = 3
# Formats round differently, half precision most of all; what computes something else is far off.
TOLERANCE = 1e-2
# Small differences of probabilities can turn a vote.
JUMPS = "disagreement"

Arrays = Mapping[str, np.ndarray]


def probe(model: keras.Model, examples: int) -> dict[str, np.ndarray]:
    """Random inputs: normal numbers, whole numbers where integers are wanted, empty texts.

    Args:
        model: A model that takes a dict of inputs.
        examples: Number of examples.

    Returns:
        Arrays by name, (examples, ...).

    Example:
        >>> inputs = {"pixels": keras.Input((4,), dtype="uint8", name="pixels")}
        >>> model = keras.Model(inputs, keras.ops.cast(inputs["pixels"], "float32"))
        >>> probe(model, 2)["pixels"].dtype, probe(model, 2)["pixels"].shape
        (dtype('uint8'), (2, 4))
    """
    if any(tensor.dtype == "string" for tensor in model.inputs):
        return {name: _without_reading(tensor, examples) for name, tensor in model.input.items()}
    values = random_inputs(read(model), batch_size=examples, seed=0)
    return {name: keras.ops.convert_to_numpy(value) for name, value in values.items()}


def checked_deviation(model: keras.Model, runner: Runner) -> float:
    """How far exported files are from their Keras model.

    Args:
        model: What was exported.
        runner: The files, loaded.

    Returns:
        The largest difference of any output but `disagreement`, over the larger of 1 and the
        largest output.

    Raises:
        MotherNetsError: They compute something else.
    """
    inputs = probe(model, EXAMPLES)
    ours = {name: keras.ops.convert_to_numpy(value) for name, value in model(inputs).items()}
    try:
        theirs = runner(inputs)
    except Exception as error:  # the runtimes raise all kinds
        raise MotherNetsError(
            "The exported files can be loaded, and fail on random inputs",
            received=f"{type(error).__name__}: {reason_of(error)}",
            fix="Nothing was kept; try another format",
        ) from error
    found = {name: _deviation(value, theirs.get(name), name) for name, value in ours.items()}
    worst = max(found, key=lambda name: found[name])
    if found[worst] > TOLERANCE:
        raise MotherNetsError(
            f"The exported files do not compute what the ensemble computes, in output `{worst}`",
            expected=f"a deviation of at most {TOLERANCE:g} on random inputs",
            received=f"{found[worst]:.3g}",
            fix="Try another format, or leave members out to find which one it is",
        )
    return found[worst]


def _deviation(ours: np.ndarray, theirs: np.ndarray | None, name: str) -> float:
    if theirs is None or theirs.shape != ours.shape:
        return float("inf")
    if name == JUMPS:
        return 0.0
    ours, theirs = ours.astype("float64"), theirs.astype("float64")
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return float("inf")
    finite = np.isfinite(ours)
    scale = max(1.0, float(np.abs(ours[finite]).max(initial=0.0)))
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0)) / scale


def _without_reading(tensor: keras.KerasTensor, examples: int) -> np.ndarray:
    shape = (examples, *(UNKNOWN_SIZE if size is None else size for size in tensor.shape[1:]))
    if tensor.dtype == "string":
        return np.full(shape, "")
    return np.zeros(shape, tensor.dtype)
