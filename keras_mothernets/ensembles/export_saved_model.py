"""Format "tf_saved_model": TensorFlow's own, for TensorFlow Serving and whoever has TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.ensembles.endpoints import Served
from keras_mothernets.ensembles.export_format import Format, Runner
from keras_mothernets.ensembles.model_card import ModelCard
from keras_mothernets.ensembles.tensorflow_log import without_lines
from keras_mothernets.graph import live_layers

EXAMPLE = """\
import numpy as np
import tensorflow as tf

INPUTS
model = tf.saved_model.load(".")
tensors = {name: tf.constant(value) for name, value in inputs.items()}
outputs = model.signatures["serving_default"](**tensors)
print({name: output.numpy() for name, output in outputs.items()})
"""


def write(served: Served, folder: Path, card: ModelCard) -> None:
    """Write the SavedModel.

    Its signatures: "serving_default" (also "serve") gives all outputs, and one for each endpoint
    gives its own, for which no more is computed than they need. "names" takes nothing, and gives
    the names of members and classes.

    Args:
        served: The model and its endpoints.
        folder: An empty folder.
        card: Whose names are written inside.
    """
    archive = keras.export.ExportArchive()
    specs = served.input_specs()
    # The archive finds the variables that its functions use, but no tables of words, as a
    # StringLookup has. `archive.track(model)`, as in `model.export`, would find these, and write
    # every variable a second time (Keras 3.15).
    for layer in live_layers(served.model).values():
        if isinstance(layer, keras.layers.Layer) and not layer.variables:
            archive.track(layer)
    whole = archive.add_endpoint("serve", served.model.__call__, [specs])
    for endpoint, names in served.endpoints.items():
        archive.add_endpoint(endpoint, _part(whole, names), [specs])
    archive.add_endpoint("names", lambda: _names(card), [])
    with without_lines("Assets written to"):  # a folder that gets another name in a moment
        archive.write_out(str(folder), verbose=False)


def load(folder: Path) -> Runner:
    """Load the SavedModel; its default signature."""
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]

    def run(inputs: Any) -> dict[str, np.ndarray]:
        assert loaded is not None, "the function does not keep its variables alive"
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run


def _part(whole: Any, names: tuple[str, ...]) -> Callable[[Any], Any]:
    def part(inputs: Any) -> dict[str, Any]:
        outputs = whole(inputs)
        return {name: outputs[name] for name in names}

    return part


def _names(card: ModelCard) -> dict[str, Any]:
    names = {"members": tf.constant([member.name for member in card.members])}
    if card.class_names is not None:
        names["classes"] = tf.constant(list(card.class_names))
    return names


SAVED_MODEL = Format("tf_saved_model", write, load, EXAMPLE)
