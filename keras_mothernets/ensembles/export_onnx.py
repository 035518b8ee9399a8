"""Format "onnx": one file for ONNX Runtime and all that reads ONNX."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_mothernets.ensembles.endpoints import Served
from keras_mothernets.ensembles.export_format import Format, Runner, cannot_convert, operation_in
from keras_mothernets.ensembles.model_card import ModelCard
from keras_mothernets.errors import reason_of

FILE = "model.onnx"
EXAMPLE = """\
import numpy as np
import onnxruntime

INPUTS
session = onnxruntime.InferenceSession("model.onnx")
names = [output.name for output in session.get_outputs()]
outputs = session.run(names, inputs)
print(dict(zip(names, outputs)))
"""


def write(served: Served, folder: Path, card: ModelCard) -> None:
    """Convert, and put the model card into the file's metadata.

    Args:
        served: The model and its endpoints, all of which one graph gives: ask for the outputs
            that you want, and no more is computed.
        folder: The folder for the file.
        card: What is put inside, as JSON, under "model_card".

    Raises:
        MotherNetsError: An operation has no counterpart.
    """
    import onnx

    _know_erfc()
    path = folder / FILE
    with _quiet() as said:
        try:
            signature = [served.input_specs()]
            served.model.export(str(path), format="onnx", input_signature=signature, verbose=False)
        except Exception as error:  # the converter raises all kinds
            unknown = _unknown_operations(said, served)
            raise cannot_convert("onnx", unknown, reason_of(error)) from error
    if unknown := _unknown_operations(said, served):
        raise cannot_convert("onnx", unknown, "")
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"model_card": card.to_json()})
    onnx.save(model, str(path))


def load(folder: Path) -> Runner:
    """Load the file in ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Any) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run


@functools.cache
def _know_erfc() -> None:
    """Teach the converter the one operation that it lacks for a GELU: 1 - erf(x)."""
    from tf2onnx import handler, utils

    class Erfc:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
            one = graph.make_const(
                utils.make_name("one"), np.ones((), utils.map_onnx_to_numpy_type(dtype))
            )
            erf = graph.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[dtype])
            name, outputs = node.name, node.output
            graph.remove_node(name)
            difference = [one.output[0], erf.output[0]]
            graph.make_node(
                "Sub", difference, outputs=outputs, name=name, shapes=[shape], dtypes=[dtype]
            )

    handler.tf_op("Erfc")(Erfc)


class _Said(logging.Handler):
    """Keeps what the converter says of operations that it does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _quiet() -> Iterator[list[str]]:
    """Hear what the converter says in place of the user.

    It only logs what it cannot convert, and writes a file that nothing can load.
    """
    logger, said = logging.getLogger("tf2onnx"), _Said()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(said)
    try:
        with warnings.catch_warnings():
            # Keras looks whether NumPy still has `np.object`, which NumPy warns of.
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            yield said.lines
    finally:
        logger.removeHandler(said)
        logger.propagate = propagates


def _unknown_operations(said: list[str], served: Served) -> list[str]:
    found = re.findall(r"Tensorflow op \[(.+): (\w+)\] is not supported", "\n".join(said))
    return [operation_in(name, served.layer_at(place)) for place, name in found]


ONNX = Format("onnx", write, load, EXAMPLE, "onnx", ("onnx", "tf2onnx", "onnxruntime"))
