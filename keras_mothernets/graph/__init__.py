"""READ: a Keras model becomes an immutable architecture, and an architecture a model."""

from keras_mothernets.graph.activations import LINEAR, Activation
from keras_mothernets.graph.architecture import (
    Architecture,
    Chain,
    Input,
    Layer,
    Node,
    Region,
    Shape,
    TensorRef,
)
from keras_mothernets.graph.builder import (
    Seeded,
    build,
    check_model_name,
    clone,
    copy_into_flat,
    flat_names,
)
from keras_mothernets.graph.copying import copy_layer, copy_variables, finish
from keras_mothernets.graph.flops import (
    forward_flops,
    node_multiplications,
    training_flops,
)
from keras_mothernets.graph.keras_graph import is_from_applications, own_methods
from keras_mothernets.graph.per_model import PerModel
from keras_mothernets.graph.portable import PortableModel
from keras_mothernets.graph.precision import wide_floats
from keras_mothernets.graph.reader import (
    check_readable,
    last_activation,
    layer_variables,
    live_layers,
    read,
    reading_once,
)
from keras_mothernets.graph.table import counted, shape_text, text_table
from keras_mothernets.graph.tree import build_tree
from keras_mothernets.graph.weight_decay import has_variables_without_decay, names_without_decay

__all__ = [
    "LINEAR",
    "Activation",
    "Architecture",
    "Chain",
    "Input",
    "Layer",
    "Node",
    "PerModel",
    "PortableModel",
    "Region",
    "Seeded",
    "Shape",
    "TensorRef",
    "build",
    "build_tree",
    "check_model_name",
    "check_readable",
    "clone",
    "copy_into_flat",
    "copy_layer",
    "copy_variables",
    "finish",
    "counted",
    "flat_names",
    "forward_flops",
    "has_variables_without_decay",
    "is_from_applications",
    "last_activation",
    "layer_variables",
    "live_layers",
    "names_without_decay",
    "node_multiplications",
    "own_methods",
    "read",
    "reading_once",
    "shape_text",
    "text_table",
    "training_flops",
    "wide_floats",
]
