"""How much a network computes: floating-point operations of one example's forward pass.

What is counted is products with kernels, and the products of attention, which are nearly all of
the work. One rule per layer class tells its multiplications; each comes with one addition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import GraphError
from keras_mothernets.graph.architecture import Node, Shape, TensorRef
from keras_mothernets.graph.reader import read

FLOPS_PER_MULTIPLICATION = 2  # with the addition that follows it
PASSES_PER_STEP = 3  # the backward pass has two products for each one of the forward pass


def forward_flops(model: keras.Model) -> int | None:
    """Floating-point operations of the forward pass of one example.

    A multiplication with the addition that follows counts as two. Counted are the products with
    the kernels of layers, those of attention layers and `Dot`, and `keras.ops.matmul`, `dot` and
    `einsum`; borders are counted as if they were inside, masked steps as if they were not. Left
    out is elementwise work: activations, normalisation, pooling, biases, and what a layer of one's
    own computes without a kernel. A shared layer counts once per call.

    Args:
        model: A built Functional or Sequential model. It is only looked at.

    Returns:
        The number; `None` where it is not known: a layer with a kernel has no rule here, a size is
        free (an axis of `None`), examples are folded together, or the model cannot be read.

    Example:
        >>> layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same")]
        >>> forward_flops(keras.Sequential(layers)) == 2 * (8 * 8) * (3 * 3 * 3 * 4)
        True
    """
    try:
        nodes = read(model).nodes
        total = sum(_multiplications(node) for node in nodes if not node.fused)
    except (GraphError, _UnknownError):
        return None
    return FLOPS_PER_MULTIPLICATION * total


def training_flops(model: keras.Model, examples: int | None) -> int | None:
    """Floating-point operations of training, forward and backward.

    The backward pass counts as two forward ones: one product gives the gradients of what went in,
    another those of the kernel. What the optimizer does is left out.

    Args:
        model: As in `forward_flops`. Frozen layers count like others.
        examples: Number of training examples, repeats counted; `None` if not known.

    Returns:
        The number; `None` where it is not known.

    Example:
        >>> dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> training_flops(dense, 10) == 3 * forward_flops(dense) * 10
        True
    """
    if not examples:
        return examples
    forward = forward_flops(model)
    return None if forward is None else PASSES_PER_STEP * forward * examples


def node_multiplications(node: Node) -> int | None:
    """Multiplications with kernels in one call of a layer, for one example.

    Args:
        node: The call.

    Returns:
        The number, as `forward_flops` counts it; `None` where it is not known.
    """
    try:
        return _multiplications(node)
    except _UnknownError:
        return None


class _UnknownError(Exception):
    """The work of a call cannot be told."""


def _multiplications(node: Node) -> int:
    """Multiplications of one call, for one example."""
    _check_examples_apart(node)
    if node.layer.is_operation:
        count = _OPERATIONS.get(node.layer.cls.__name__)
    else:
        count = _LAYERS.get(node.layer.cls)
    if count is not None:
        return count(node)
    if any(len(shape) > 1 for shape in node.layer.variables.values()):
        raise _UnknownError(node.layer.name)
    return 0


def _check_examples_apart(node: Node) -> None:
    """The first axis must count examples, and nothing else: some networks put windows there."""
    if node.config.get("axis") == 0:
        raise _UnknownError(node.layer.name)
    if node.layer.is_operation and node.layer.cls.__name__ == "Reshape":
        if _product(node.input_shapes[0]) != _product(node.output_shapes[0]):
            raise _UnknownError(node.layer.name)


def _product(sizes: Sequence[int | None]) -> int:
    if None in sizes:
        raise _UnknownError(f"sizes {sizes}")
    return math.prod(size for size in sizes if size is not None)


def _kernels(node: Node, *names: str) -> int:
    """How many numbers the kernels of a layer have together; of all, or of these names."""
    found = [
        math.prod(shape)
        for name, shape in node.layer.variables.items()
        if name in names or (not names and name.endswith("kernel"))
    ]
    return sum(found)


def _positions(node: Node, shape: Shape) -> int:
    """Places of an image or a sequence."""
    channels_first = node.config.get("data_format") == "channels_first"
    return _product(shape[1:] if channels_first else shape[:-1])


def _argument(node: Node, place: int, name: str) -> Any:
    """What a call passes as one argument, None if nothing: a `TensorRef` is a tensor."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _shape(node: Node, value: Any) -> Shape:
    """Shape of a tensor or array with its first axis; examples have no size."""
    if isinstance(value, TensorRef):
        return (None, *node.input_shapes[node.inputs.index(value.tensor)])
    return tuple(getattr(value, "shape", ()))


def _kernel_per_output(node: Node) -> int:
    """Dense and convolutions: each place of the output reads the kernels once.

    The kernel of a grouped convolution has the channels of one group only, so that it fits too.
    """
    return _kernels(node) * _positions(node, node.output_shapes[0])


def _kernel_per_input(node: Node) -> int:
    """Transposed convolutions: each place of the input is spread out by the kernel."""
    return _kernels(node) * _positions(node, node.input_shapes[0])


def _recurrent(node: Node) -> int:
    """Each step of time multiplies the input and the state, one with a kernel of its own each."""
    steps = _shape(node, _argument(node, 0, "sequences"))[1]
    return _kernels(node) * _product([steps])


def _conv_recurrent(node: Node) -> int:
    """ConvLSTM: both kernels at each place of the state, at each step of time."""
    shape = node.output_shapes[0]
    if node.config["return_sequences"]:
        shape = shape[1:]
    return _recurrent(node) * _positions(node, shape)


def _cells(node: Node) -> int:
    """RNN around cells of Keras."""
    cell = node.config["cell"]
    for entry in cell["config"].get("cells", [cell]):
        if not _names_own(entry, ("SimpleRNNCell", "GRUCell", "LSTMCell")):
            raise _UnknownError(node.layer.name)
    return _recurrent(node)


def _bidirectional(node: Node) -> int:
    """Two layers of one class, whose kernels are counted together."""
    entries = [node.config["layer"], node.config.get("backward_layer") or node.config["layer"]]
    if not all(_names_own(entry, ("SimpleRNN", "GRU", "LSTM")) for entry in entries):
        raise _UnknownError(node.layer.name)
    return _recurrent(node)


def _time_distributed(node: Node) -> int:
    """What the layer inside does, at each step of time."""
    entry = node.config["layer"]
    if not _names_own(entry, tuple(vars(keras.layers))):
        raise _UnknownError(node.layer.name)
    cls = getattr(keras.layers, entry["class_name"])
    steps, *_ = node.input_shapes[0]
    inside = replace(
        node,
        layer=replace(node.layer, cls=cls, config=entry["config"]),
        input_shapes=(node.input_shapes[0][1:],),
        output_shapes=(node.output_shapes[0][1:],),
        inputs=node.inputs[:1],
    )
    count = _multiplications(inside)
    return count * _product([steps]) if count else 0


def _names_own(entry: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether the config of a layer inside another is that of a class of Keras of these names."""
    return entry["module"] == "keras.layers" and entry["class_name"] in names


def _heads(node: Node) -> int:
    """MultiHeadAttention and GroupQueryAttention: projections, scores, and what they weigh."""
    query, value = (_argument(node, place, name) for place, name in enumerate(("query", "value")))
    key = _argument(node, 2, "key")
    query_shape, value_shape = _shape(node, query), _shape(node, value)
    key_shape = value_shape if key is None else _shape(node, key)
    places = _product(query_shape[1:-1])
    projections = (
        places * _kernels(node, "query/kernel", "gate/kernel", "attention_output/kernel")
        + _product(key_shape[1:-1]) * _kernels(node, "key/kernel")
        + _product(value_shape[1:-1]) * _kernels(node, "value/kernel")
    )
    axes = node.config.get("attention_axes") or range(1, len(key_shape) - 1)
    attended = _product([key_shape[axis] for axis in axes])
    _, heads, key_size = node.layer.variables["query/kernel"]
    value_size = node.layer.variables["value/kernel"][-1]
    return projections + places * attended * heads * (key_size + value_size)


def _attention(node: Node) -> int:
    """Attention and AdditiveAttention, which have no projections."""
    query, value, *_ = (_shape(node, tensor) for tensor in _argument(node, 0, "inputs"))
    scores = 0 if node.config.get("score_mode") == "concat" else query[-1]
    # The scores of AdditiveAttention are products with its `scale`.
    if node.layer.cls is keras.layers.AdditiveAttention and not node.layer.variables:
        scores = 0
    return _product([query[1], value[1]]) * _product([_product([scores]) + _product([value[-1]])])


def _dot(node: Node) -> int:
    """Dot: every number of the output is a sum over the axis that is contracted."""
    axes = node.config["axes"]
    axis = axes if isinstance(axes, int) else axes[0]
    summed = (None, *node.input_shapes[0])[axis]
    return _product([summed, *node.output_shapes[0]])


def _matmul(node: Node) -> int:
    """`matmul` and `dot`: every number of the output is a sum over the first's last axis."""
    first, second = (_shape(node, _argument(node, n, f"x{n + 1}")) for n in range(2))
    if not first or not second:  # `dot` with one number is elementwise
        return 0
    return _product([first[-1], *node.output_shapes[0]])


def _einsum_dense(node: Node) -> int:
    shapes = [(None, *node.input_shapes[0]), node.layer.variables["kernel"]]
    return _products_of_letters(node.config["equation"], shapes, len(node.output_shapes[0]) + 1)


def _einsum(node: Node) -> int:
    shapes = [_shape(node, value) for value in node.args]
    if len(shapes) > 2:  # the order of the products is the backend's choice
        raise _UnknownError(node.layer.name)
    if len(shapes) == 1:
        return 0
    return _products_of_letters(node.config["subscripts"], shapes, len(node.output_shapes[0]) + 1)


def _products_of_letters(equation: str, shapes: Sequence[Shape], rank: int) -> int:
    """Products of two operands of an einsum: one for each value of all letters together."""
    read_letters, _, made = equation.replace(" ", "").partition("->")
    sizes: dict[str, int | None] = {}
    for letters, shape in zip(read_letters.split(","), shapes, strict=True):
        for letter, size in zip(_spelled_out(letters, len(shape)), shape, strict=True):
            if sizes.get(letter, 1) == 1:  # an axis of size 1 under an ellipsis is repeated
                sizes[letter] = size
    examples = _spelled_out(made, rank)[:1]
    return _product([size for letter, size in sizes.items() if letter != examples])


def _spelled_out(letters: str, rank: int) -> str:
    """Letters of an einsum with digits, counted from the right, for those under an ellipsis."""
    hidden = rank - len(letters.replace("...", ""))
    return letters.replace("...", "9876543210"[10 - hidden :])


_Count = Callable[[Node], int]


def _by_class(*rows: tuple[_Count, str]) -> Mapping[type, _Count]:
    return MappingProxyType(
        {getattr(keras.layers, name): count for count, names in rows for name in names.split()}
    )


_LAYERS = _by_class(
    (_kernel_per_output, "Dense Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D"),
    (_kernel_per_output, "SeparableConv1D SeparableConv2D"),
    (_kernel_per_input, "Conv1DTranspose Conv2DTranspose Conv3DTranspose"),
    (_einsum_dense, "EinsumDense"),
    (_recurrent, "SimpleRNN GRU LSTM"),
    (_conv_recurrent, "ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
    (_cells, "RNN"),
    (_bidirectional, "Bidirectional"),
    (_time_distributed, "TimeDistributed"),
    (_heads, "MultiHeadAttention GroupQueryAttention"),
    (_attention, "Attention AdditiveAttention"),
    (_dot, "Dot"),
    # Their variables of several axes are no kernels.
    (lambda node: 0, "Embedding PReLU BatchNormalization LayerNormalization RMSNormalization"),
    (lambda node: 0, "GroupNormalization Normalization"),
)


def _not_counted(node: Node) -> int:
    raise _UnknownError(node.layer.name)


_OPERATIONS: Mapping[str, _Count] = MappingProxyType(
    {
        "Matmul": _matmul,
        "Dot": _matmul,
        "Einsum": _einsum,
        **dict.fromkeys(
            "Tensordot Vdot Vecdot Inner Outer Kron Cross Correlate DotProductAttention "
            "Conv DepthwiseConv SeparableConv ConvTranspose".split(),
            _not_counted,
        ),
    }
)
