"""Networks to export, and fresh processes without this package that load what came of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from networks import randomise

from keras_mothernets.ensembles.export import FORMATS

L = keras.layers

FORMAT_TESTS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(module) is None for module in each.modules),
            reason=f"needs the extra {each.extra!r}",
        ),
    )
    for name, each in FORMATS.items()
]
TOLERANCE = {"tf_saved_model": 1e-6, "onnx": 1e-5, "litert": 1e-5}

# Begins every process: the package cannot be imported, and nobody has.
WITHOUT_PACKAGE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
try:
    import keras_mothernets
except ImportError:
    pass
else:
    raise AssertionError("the package can be imported")
"""

RUN = {
    "tf_saved_model": """
import tensorflow as tf
loaded = tf.saved_model.load(".")
def run(inputs, endpoint="serving_default"):
    outputs = loaded.signatures[endpoint](**{k: tf.constant(v) for k, v in inputs.items()})
    return {k: v.numpy() for k, v in outputs.items()}
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
names = [output.name for output in session.get_outputs()]
def run(inputs, outputs=None):
    outputs = outputs or names
    return dict(zip(outputs, session.run(outputs, inputs)))
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter("model.tflite")
runner = interpreter.get_signature_runner("serving_default")
def run(inputs):
    return {k: v.copy() for k, v in runner(**inputs).items()}
""",
}
ANSWER = """
import numpy as np
outputs = run(dict(np.load({inputs!r})))
np.savez({outputs!r}, **outputs)
assert "keras_mothernets" not in sys.modules
"""


def image_network(name: str, filters: int, end: str | None = "softmax", units: int = 3) -> Any:
    """A network of convolutions with a BatchNormalization, all weights random."""
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            L.Conv2D(filters, 3),
            L.BatchNormalization(),
            L.ReLU(),
            L.GlobalAveragePooling2D(),
            L.Dense(units, activation=end),
        ],
        name=name,
    )
    return randomise(network, seed=filters)


def row_network(name: str, hidden: int, end: str | None = "softmax", units: int = 3) -> Any:
    """A network of dense layers on four numbers."""
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(hidden, "tanh"), L.Dense(units, activation=end)], name=name
    )
    return randomise(network, seed=hidden)


def two_input_network(name: str, hidden: int, end: str | None = "softmax", units: int = 3) -> Any:
    """A network that takes numbers and words, as a dict."""
    numbers = keras.Input((4,), name="numbers")
    words = keras.Input((5,), name="words", dtype="int32")
    joined = L.Concatenate()([numbers, L.GlobalAveragePooling1D()(L.Embedding(9, 3)(words))])
    outputs = L.Dense(units, activation=end)(L.Dense(hidden, "tanh")(joined))
    return randomise(keras.Model({"numbers": numbers, "words": words}, outputs, name=name), hidden)


def rows(count: int = 7) -> dict[str, np.ndarray]:
    """Inputs of `row_network`."""
    return {"input": np.random.default_rng(0).normal(size=(count, 4)).astype("float32")}


def in_fresh_process(
    folder: Path, code: str, *, blocked: tuple[str, ...] = ("keras_mothernets",)
) -> str:
    """Run Python in the folder of an export, where this package cannot be imported.

    Returns:
        What it prints.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE.format(blocked=blocked) + code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers_elsewhere(
    folder: Path, kind: str, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the files answer in a fresh process; ONNX and LiteRT without TensorFlow too."""
    asked, answered = folder.parent / "inputs.npz", folder.parent / "outputs.npz"
    np.savez(asked, **inputs)  # type: ignore[arg-type]
    blocked = ("keras_mothernets",)
    if kind != "tf_saved_model":
        blocked += ("tensorflow", "keras")
    code = RUN[kind] + ANSWER.format(inputs=str(asked), outputs=str(answered))
    in_fresh_process(folder, code, blocked=blocked)
    with np.load(answered) as outputs:
        return dict(outputs)


def softmax(z: np.ndarray) -> np.ndarray:
    """By NumPy, in float64."""
    e = np.exp(z.astype("float64") - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def by_numpy(probabilities: np.ndarray, weights: Any = None) -> dict[str, np.ndarray]:
    """All outputs of a classification from the members' probabilities, in plain loops.

    Args:
        probabilities: (members, examples, classes).
        weights: One for each member.
    """
    count, examples, classes = probabilities.shape
    shares = np.full(count, 1 / count) if weights is None else np.asarray(weights, "float64")
    shares = shares / shares.sum()
    mean = np.einsum("k,kec->ec", shares, probabilities.astype("float64"))

    def entropy(row: np.ndarray) -> float:
        return -sum(float(p) * np.log(float(p)) for p in row if p > 0)

    total = np.array([entropy(row) for row in mean])
    inside = np.array(
        [sum(w * entropy(row) for w, row in zip(shares, rows_, strict=True))
         for rows_ in probabilities.transpose(1, 0, 2)]
    )  # fmt: skip
    apart = []
    for e in range(examples):
        named = [int(np.argmax(probabilities[k, e])) for k in range(count)]
        pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
        weight = sum(shares[a] * shares[b] for a, b in pairs)
        differ = sum(shares[a] * shares[b] for a, b in pairs if named[a] != named[b])
        apart.append(differ / weight if weight > 1e-9 else 0.0)
    return {
        "probabilities": mean,
        "member_probabilities": probabilities.transpose(1, 0, 2),
        "predictive_entropy": total,
        "mutual_information": total - inside,
        "disagreement": np.array(apart),
    }


def check_outputs(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """The same names and shapes, and values within the tolerance."""
    assert sorted(found) == sorted(expected)
    for name, values in expected.items():
        mine = keras.ops.convert_to_numpy(found[name])
        assert mine.shape == values.shape, name
        np.testing.assert_allclose(mine, values, atol=tolerance, rtol=0, err_msg=name)
