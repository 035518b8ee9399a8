"""The pieces that a network's time is made of: one call of one layer on one batch."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import Architecture, Node, TensorRef, node_multiplications

# What decides about the values that a layer computes, or about its sizes, which stand apart; the
# rest of its config says what kind of work it does.
_SAYS_NOTHING = frozenset(
    "name trainable dtype filters units kernel_size strides padding pool_size activation use_bias "
    "rate seed noise_shape momentum epsilon center scale offset input_dim output_dim build_config "
    "batch_input_shape target_shape axis mean variance invert quantization_config "
    "renorm_momentum synchronized autocast lora_rank lora_alpha".split()
)
_SAYS_NOTHING_AT_END = ("_initializer", "_regularizer", "_constraint")

# What of the backward pass a call takes part in.
WHOLE, FIRST, NONE = "", " (first)", " (no gradients)"


@dataclass(frozen=True)
class Sizes:
    """How much one call of a layer works and moves, for a whole batch.

    Args:
        work: Multiplications with kernels.
        inputs: Numbers that go in.
        outputs: Numbers that come out.
        parameters: Numbers in the layer's variables.
        channels_in: Size of the last axis of what goes in.
        channels_out: The same of what comes out.
    """

    work: int
    inputs: int
    outputs: int
    parameters: int
    channels_in: int
    channels_out: int

    @property
    def values(self) -> tuple[int, ...]:
        """All of them, in their order."""
        return tuple(asdict(self).values())


@dataclass(frozen=True)
class Primitive:
    """One call of one layer on one batch.

    Args:
        kind: The class of the layer, with what else decides how it works, and whether
            gradients flow through it.
        sizes: How much it works and moves.
        node: The call itself, so that it can be measured; two of one kind and of the same sizes
            are the same.
        batch: Examples.
        dtypes: Type of each tensor that goes in.
    """

    kind: str
    sizes: Sizes
    node: Node = field(compare=False, repr=False)
    batch: int = field(compare=False, repr=False)
    dtypes: tuple[str, ...] = field(compare=False, repr=False)

    @property
    def needs_gradients(self) -> bool:
        """Whether a backward pass goes through it."""
        return not self.kind.endswith(NONE)

    @property
    def is_first(self) -> bool:
        """Whether nothing before it is trained."""
        return self.kind.endswith((FIRST, NONE))


def primitives_of(architecture: Architecture, batch: int) -> Counter[Primitive]:
    """What one step of a network is made of.

    Args:
        architecture: The network.
        batch: Examples in a step.

    Returns:
        How often each primitive occurs.

    Raises:
        MotherNetsError: A size is free (an axis of `None`), so that nothing can be told.

    Example:
        >>> import keras
        >>> from keras_mothernets.graph import read
        >>> layers = [keras.layers.Dense(8) for _ in range(3)]
        >>> net = keras.Sequential([keras.Input((8,)), *layers])
        >>> [(one.kind, count) for one, count in primitives_of(read(net), 32).items()]
        [('Dense (first)', 1), ('Dense', 2)]
    """
    return Counter(_primitives(architecture, batch))


def _primitives(architecture: Architecture, batch: int) -> Iterator[Primitive]:
    dtypes = {entry.tensor: entry.dtype for entry in architecture.inputs}
    trained: set[int] = set()  # tensors that depend on something that is trained
    for node in architecture.nodes:
        is_trained = bool(node.num_params) and _is_trainable(node)
        is_fed = any(tensor in trained for tensor in node.inputs)
        if is_trained or is_fed:
            trained.update(node.outputs)
        flow = WHOLE if is_fed else FIRST if is_trained else NONE
        computed = _compute_dtype(node)
        given = tuple(dtypes.get(tensor, computed) for tensor in node.inputs)
        dtypes.update(dict.fromkeys(node.outputs, computed))
        if not _is_free(node):
            yield Primitive(_kind(node) + flow, _sizes(node, batch), node, batch, given)


def _is_trainable(node: Node) -> bool:
    return bool(node.config.get("trainable", True))


def _is_free(node: Node) -> bool:
    """Whether a call costs nothing: layers that pass on what they are given."""
    return node.kind in ("Flatten", "Identity", "linear", "InputLayer")


def _compute_dtype(node: Node) -> str:
    policy = node.config.get("dtype")
    if isinstance(policy, Mapping):
        policy = policy.get("config", {}).get("name")
    name = str(policy or "float32")
    return name.removeprefix("mixed_") if name.startswith("mixed_") else name


def _kind(node: Node) -> str:
    if node.activation is not None:
        name = str(node.activation)
    else:
        told = {
            key: value
            for key, value in sorted(node.config.items())
            if key not in _SAYS_NOTHING
            and not key.endswith(_SAYS_NOTHING_AT_END)
            and value not in (None, False, "channels_last", 1, 1.0, [1, 1], (1, 1), [1], (1,))
        }
        name = node.layer.cls.__name__
        if told:
            text = json.dumps(told, sort_keys=True, default=str)
            name += f" {hashlib.sha256(text.encode()).hexdigest()[:8]}"
    dtype = _compute_dtype(node)
    return name if dtype == "float32" else f"{name} {dtype}"


def _sizes(node: Node, batch: int) -> Sizes:
    for shape in (*node.input_shapes, *node.output_shapes):
        if None in shape:
            raise MotherNetsError(
                f"Layer `{node.name}` has a free axis, so that its time cannot be predicted",
                expected="inputs of one size",
                received=f"shape {shape}",
            )
    return Sizes(
        work=batch * (0 if node.fused else node_multiplications(node) or 0),
        inputs=batch * _numbers(node.input_shapes),
        outputs=batch * _numbers(node.output_shapes),
        parameters=node.num_params,
        channels_in=_channels(node.input_shapes),
        channels_out=_channels(node.output_shapes),
    )


def _numbers(shapes: Any) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _channels(shapes: Any) -> int:
    return max((shape[-1] for shape in shapes if shape), default=1)


def references(node: Node) -> list[TensorRef]:
    """The tensors of a call, each once."""
    return [TensorRef(number) for number in dict.fromkeys(node.inputs)]
