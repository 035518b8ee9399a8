"""Small networks for tests: random weights, random chains, and random growth of a chain.

Fresh layers have zero biases and unit scales, which hide errors, so every
network that is tested gets random weights and random running statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

# Element-wise activations of Keras that need no argument.
ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh",
    "sigmoid", "softplus", "softsign", "exponential", "hard_sigmoid", "hard_silu", "hard_tanh",
    "hard_shrink", "soft_shrink", "tanh_shrink", "squareplus", "sparse_plus", "sparse_sigmoid",
    "log_sigmoid", "linear",
)  # fmt: skip

# The ways in which one and the same function can stand in a network.
FORMS = ("fused", "layer", "class", "operation")

_CLASSES = {
    "relu": layers.ReLU,
    "relu6": lambda: layers.ReLU(max_value=6.0),
    "leaky_relu": lambda: layers.LeakyReLU(negative_slope=0.2),
    "elu": layers.ELU,
}

# May be inserted after itself / on pairs f(x), f(-x); tests/surgery proves both by numbers.
IDEMPOTENT = ("relu", "relu6", "hard_tanh", "hard_shrink")
PAIRED = (
    "leaky_relu", "gelu", "silu", "hard_silu", "softplus", "squareplus", "sparse_plus",
    "log_sigmoid",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_keras() -> None:
    """Fix the seeds; to be imported over the fixture of all tests, which takes 0.4 s each time.

    It clears Keras, for the sake of names, at which surgery does not look.
    """
    keras.utils.set_random_seed(0)


def activate(x: Any, name: str, form: str) -> Any:
    """Apply an activation that is not fused, in one of the other `FORMS`."""
    if form == "operation" and name != "linear":
        # Only here has `gelu` another default than in the other forms.
        options = {"approximate": False} if name == "gelu" else {}
        function = getattr(keras.ops, name, None)
        if function is not None:
            return function(x, **options)
    if form == "class" and name in _CLASSES:
        return _CLASSES[name]()(x)
    return layers.Activation(name)(x)


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight and running statistic a random value; settings of the user's stay."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        value = _random_value(variable.name, tuple(variable.shape), generator)
        if value is not None:
            variable.assign(value.astype(variable.dtype))
    return model


def _random_value(
    name: str, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray | None:
    if name in {"mean", "variance", "count"}:  # of a Normalization
        return None
    if name in {"moving_variance", "gamma"}:
        return generator.uniform(0.4, 1.8, shape)
    if name == "alpha":
        return generator.uniform(-0.3, 0.6, shape)
    if len(shape) < 2:
        return 0.5 * generator.normal(size=shape)
    return 1.2 * generator.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))


def examples(model: keras.Model, count: int = 8, seed: int = 1) -> Any:
    """Random inputs as a model takes them: normal numbers, or whole ones from 0 to 6."""
    generator = np.random.default_rng(seed)

    def one(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (count, *(6 if size is None else size for size in tensor.shape[1:]))
        if "int" in str(tensor.dtype):
            return generator.integers(0, 7, shape).astype(str(tensor.dtype))
        return generator.normal(size=shape).astype(str(tensor.dtype))

    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(one, structure)


def outputs(model: keras.Model, x: Any, *, training: bool = False) -> list[np.ndarray]:
    """What a model computes, as a flat list of arrays."""
    found = keras.tree.flatten(model(x, training=training))
    return [keras.ops.convert_to_numpy(value) for value in found]


def distance(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Largest difference of two lists of arrays, relative to the largest number of the first."""
    worst = 0.0
    for ours, theirs in zip(first, second, strict=True):
        assert ours.shape == theirs.shape
        assert np.isfinite(ours).all() and np.isfinite(theirs).all()
        difference = np.abs(ours.astype("float64") - theirs.astype("float64")).max()
        worst = max(worst, float(difference / np.abs(ours).max()))
    return worst


def weights(model: keras.Model) -> list[np.ndarray]:
    """All variables of a model, states of random generators too."""
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in model.variables]


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Build models of another float type in a block: inputs, weights and computation."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


@dataclass(frozen=True)
class Unit:
    """A layer with weights and what follows it: normalisation, activation, dropout."""

    kind: str
    size: int = 4
    kernel: int = 3
    stride: int = 1
    padding: str = "same"
    dilation: int = 1
    multiplier: int = 1
    activation: str = "relu"
    form: str = "layer"
    norm: bool = False
    bias: bool = True
    dropout: float = 0.0


@dataclass(frozen=True)
class Network:
    """A random chain: what comes in, its units, and the head.

    `input_shape` decides the kind of units: images, sequences or vectors.
    """

    input_shape: tuple[int, ...]
    units: tuple[Unit, ...]
    head: str = "flatten"
    hidden: int = 5
    classes: int = 3

    def build(self, name: str, *, seed: int | None = 0) -> keras.Model:
        """Make a model of it, with random weights unless `seed` is None."""
        x = inputs = keras.Input(self.input_shape)
        for unit in self.units:
            x = _unit(x, unit)
        if len(self.input_shape) > 1:
            rank = len(self.input_shape) - 1
            pooling = getattr(layers, f"GlobalAveragePooling{rank}D")
            x = layers.Flatten()(x) if self.head == "flatten" else pooling()(x)
            x = layers.Dense(self.hidden, activation="tanh")(x)
        model = keras.Model(inputs, layers.Dense(self.classes)(x), name=name)
        return model if seed is None else randomise(model, seed)


def _unit(x: Any, unit: Unit) -> Any:
    fused = unit.activation if unit.form == "fused" and not unit.norm else None
    x = _weights_layer(x, unit, fused)
    if unit.kind == "pool":
        return x
    if unit.norm:
        x = layers.BatchNormalization()(x)
    if unit.activation == "prelu":
        shared = list(range(1, len(x.shape) - 1))
        x = layers.PReLU(shared_axes=shared or None)(x)
    elif fused is None:
        x = activate(x, unit.activation, "layer" if unit.form == "fused" else unit.form)
    return layers.Dropout(unit.dropout)(x) if unit.dropout else x


def _weights_layer(x: Any, unit: Unit, activation: str | None) -> Any:
    if activation == "prelu":
        activation = None
    common: dict[str, Any] = {"activation": activation, "use_bias": unit.bias}
    if unit.kind == "dense":
        return layers.Dense(unit.size, **common)(x)
    rank = len(x.shape) - 2
    if unit.kind == "pool":
        return getattr(layers, f"MaxPooling{rank}D")(2)(x)
    common |= {"strides": unit.stride, "padding": unit.padding}
    if unit.kind == "conv":
        layer = getattr(layers, f"Conv{rank}D")
        return layer(unit.size, unit.kernel, dilation_rate=unit.dilation, **common)(x)
    common |= {"depth_multiplier": unit.multiplier}
    if unit.kind == "separable":
        return getattr(layers, f"SeparableConv{rank}D")(unit.size, unit.kernel, **common)(x)
    return getattr(layers, f"DepthwiseConv{rank}D")(unit.kernel, **common)(x)


def random_network(seed: int) -> Network:
    """A random chain of two to four units on images, sequences or vectors."""
    generator = np.random.default_rng(seed)
    shape = [(8, 8, 3), (8, 2), (5,)][seed % 3]
    units = [_random_unit(len(shape), generator) for _ in range(generator.integers(2, 5))]
    # One layer without padding is enough; more could leave nothing of the image.
    units[1:] = [
        replace(unit, padding="same") if unit.padding == "valid" else unit for unit in units[1:]
    ]
    if len(shape) > 1 and generator.random() < 0.5:
        units.insert(1, Unit("pool"))
    head = str(generator.choice(["flatten", "global"]))
    return Network(shape, tuple(units), head, hidden=int(generator.integers(3, 6)))


def _random_unit(rank: int, generator: np.random.Generator) -> Unit:
    kinds = {1: ["dense"], 2: ["conv", "conv", "separable", "dense"]}
    kinds[3] = ["conv", "conv", "depthwise", "separable"]
    kind = str(generator.choice(kinds[rank]))
    paddings = ["same", "same", "valid", *(["causal"] if rank == 2 and kind == "conv" else [])]
    unit = Unit(
        kind,
        size=int(generator.integers(2, 5)),
        kernel=int(generator.integers(1, 4)),
        padding=str(generator.choice(paddings)),
        activation=str(generator.choice([*ACTIVATIONS, "prelu", "relu", "relu"])),
        form=str(generator.choice(FORMS)),
        norm=bool(generator.random() < 0.4),
        bias=bool(generator.random() < 0.7),
        dropout=0.2 if generator.random() < 0.2 else 0.0,
    )
    if unit.activation == "exponential":  # of large numbers it is infinite
        unit = replace(unit, activation="softsign")
    if kind == "conv" and unit.padding != "valid" and generator.random() < 0.3:
        unit = replace(unit, dilation=2)
    elif kind == "conv" and unit.padding != "causal" and generator.random() < 0.3:
        unit = replace(unit, stride=2, padding="same", kernel=unit.kernel + 1)
    return unit


def grow(network: Network, seed: int) -> Network:
    """A random larger network that must be hatchable: wider, larger kernels, inserted units."""
    generator = np.random.default_rng([seed, 7])
    units: list[Unit] = []
    width = network.input_shape[-1]
    for unit in network.units:
        if unit.kind == "pool":
            units.append(unit)
            continue
        made = width * unit.multiplier if unit.kind == "depthwise" else unit.size
        units += _grown(unit, made, generator)
        width = made
    hidden = network.hidden + int(generator.integers(0, 4))
    return replace(network, units=tuple(units), hidden=hidden)


def _grown(unit: Unit, made: int, generator: np.random.Generator) -> list[Unit]:
    """A unit, larger, and what is inserted after it."""
    grown = replace(
        unit,
        size=unit.size + int(generator.integers(0, 4)),
        kernel=unit.kernel + _more_taps(unit, generator),
        multiplier=unit.multiplier + int(generator.integers(0, 2)),
        dropout=0.3 if generator.random() < 0.3 else 0.0,
    )
    chance = generator.random()
    if unit.kind not in {"conv", "dense"} or chance > 0.5:
        return [grown]
    new = replace(
        grown, stride=1, padding="same" if grown.padding == "valid" else grown.padding, dilation=1
    )
    new = replace(new, size=made + int(generator.integers(0, 3)))
    if new.padding == "same":  # a single tap has no exact place in an even kernel
        new = replace(new, kernel=int(generator.choice([1, 3])))
    if chance < 0.15:
        return [grown, replace(new, activation="linear", form="layer")]
    if unit.activation in IDEMPOTENT or unit.activation in {"linear", "prelu"}:
        return [grown, new]
    if unit.activation in PAIRED:
        return [replace(grown, size=2 * unit.size + int(generator.integers(0, 3))), new]
    return [grown]


def _more_taps(unit: Unit, generator: np.random.Generator) -> int:
    if unit.kind in {"dense", "pool"} or unit.padding == "valid":
        return 0
    if unit.padding == "causal":
        return int(generator.integers(0, 3))
    return int(generator.choice([0, 2])) if unit.kernel >= unit.stride else 0
