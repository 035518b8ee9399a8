"""Format "litert": one file for phones and small devices, formerly TensorFlow Lite."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_mothernets.ensembles.endpoints import Served
from keras_mothernets.ensembles.export_format import Format, Runner, cannot_convert, operation_in
from keras_mothernets.ensembles.export_saved_model import write as write_saved_model
from keras_mothernets.ensembles.model_card import ModelCard
from keras_mothernets.errors import reason_of

FILE = "model.tflite"
EXAMPLE = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter

INPUTS
interpreter = Interpreter("model.tflite")  # keep it: the runner works in its memory
runner = interpreter.get_signature_runner("serving_default")
print(runner(**inputs))
"""


def write(served: Served, folder: Path, card: ModelCard) -> None:
    """Convert, and put the class names and the model card behind the network.

    Only operations are used that every interpreter has. Keras' own export takes TensorFlow's too,
    and then gives a file that ai-edge-litert loads and cannot run.

    Args:
        served: The model and its endpoints; one signature gives all outputs.
        folder: The folder for the file.
        card: What is put inside: `model_card.json`, and `labels.txt` with a class in each line,
            as a zip archive behind the network, where LiteRT's metadata have files too.

    Raises:
        MotherNetsError: An operation has no counterpart.
    """
    with tempfile.TemporaryDirectory() as saved:
        write_saved_model(served, Path(saved), card)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved, signature_keys=["serving_default"]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content = converter.convert()
        except Exception as error:  # the converter raises all kinds
            unknown = _unknown_operations(str(error), served)
            raise cannot_convert("litert", unknown, reason_of(error)) from error
    (folder / FILE).write_bytes(content)
    with zipfile.ZipFile(folder / FILE, "a") as archive:
        archive.writestr("model_card.json", card.to_json())
        if card.class_names is not None:
            archive.writestr("labels.txt", "\n".join(card.class_names) + "\n")


def load(folder: Path) -> Runner:
    """Load the file in ai-edge-litert."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / FILE))
    runner = interpreter.get_signature_runner("serving_default")

    def run(inputs: Any) -> dict[str, np.ndarray]:
        assert interpreter is not None, "the runner works in its memory"
        return {name: np.array(output) for name, output in runner(**inputs).items()}

    return run


def _unknown_operations(said: str, served: Served) -> list[str]:
    """Operations that the converter names, `tf.Name(tensor<...`, and where in the graph each is."""
    names = dict.fromkeys(re.findall(r"\btf\.(\w+)\(tensor<", said))
    places = dict(re.findall(r'"(\w+):", "([^"@]+)', said))
    return [operation_in(name, served.layer_at(places.get(name, ""))) for name in names]


LITERT = Format("litert", write, load, EXAMPLE, "litert", ("ai_edge_litert",))
