"""Graphs and pairs that are refused: each message names layer, network and way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.errors import GraphError, MotherNetsError, SurgeryError
from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import hatch

IMAGE, SEQUENCE, VECTOR = (8, 8, 3), (6, 3), (5,)
Build = Callable[[], keras.Model]
Body = Callable[[Any], Any]


def net(name: str, shape: Any, body: Body, *, dtype: str | None = None) -> keras.Model:
    """A network whose body ends in any shape; a head of three classes reads it."""
    inputs = keras.Input(shape, dtype=dtype)
    x = body(inputs)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name=name)


def pair(shape: Any, first: Body, second: Body, **settings: Any) -> tuple[Build, Build]:
    """The builders of two networks, `one` and `two`."""
    return (
        lambda: net("one", shape, first, **settings),
        lambda: net("two", shape, second, **settings),
    )


def alone(shape: Any, body: Body, **settings: Any) -> tuple[Build]:
    """The builder of one network, `one`, which is refused by itself."""
    return (lambda: net("one", shape, body, **settings),)


def dense(units: int = 4, act: str | None = None, **settings: Any) -> Any:
    return layers.Dense(units, activation=act, **settings)


def conv(filters: int = 4, size: Any = 3, **settings: Any) -> Any:
    return layers.Conv2D(filters, size, **{"padding": "same", **settings})


def block(x: Any, *, merge: Any = layers.Add, end: Body = lambda y: y, name: Any = None) -> Any:
    """A residual unit; `end` is what follows the last weights of its branch."""
    y = dense(6, "gelu")(x)
    return merge(name=name)([x, end(dense(x.shape[-1])(y))])


def gated(x: Any, name: str = "gate") -> Any:
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(conv(2, 1, activation="silu")(y))
    return layers.Multiply(name=name)([x, y])


def heads(**settings: Any) -> Body:
    def body(x: Any) -> Any:
        chosen = {"num_heads": 2, "key_dim": 4, **settings}
        return layers.MultiHeadAttention(**chosen, name="attention")(x, x)

    return body


def query_heads(**settings: Any) -> Body:
    def body(x: Any) -> Any:
        chosen = {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2, **settings}
        return layers.GroupQueryAttention(**chosen, name="attention")(x, x)

    return body


def recurrent(kind: Any, units: int = 4, **settings: Any) -> Body:
    return lambda x: kind(units, name="memory", **settings)(x)


def both(inner: Any, **settings: Any) -> Body:
    return lambda x: layers.Bidirectional(inner, name="both", **settings)(x)


def einsum(equation: str, shape: Any, **settings: Any) -> Body:
    return lambda x: layers.EinsumDense(equation, shape, name="einsum", **settings)(x)


def joined(axis: int, size: int = 4, other: int | None = None) -> Body:
    def body(x: Any) -> Any:
        branches = [dense(size)(x), dense(other or size)(x)]
        return layers.Concatenate(axis=axis, name="join")(branches)

    return body


def normalised(width: int, make: Callable[[], Any]) -> Body:
    return lambda x: make()(dense(width, name="wide")(x))


def in_series(count: int, make: Body) -> Body:
    def body(x: Any) -> Any:
        x = dense(4, name="stem")(x)
        for _ in range(count):
            x = make(x)
        return x

    return body


class Gram(layers.Layer):
    """A layer of the user's own, without a rule."""

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))


LN, UNIT = layers.LayerNormalization, layers.UnitNormalization
RNN, GRU, LSTM = layers.SimpleRNN, layers.GRU, layers.LSTM

# What is refused, and pieces of the message: the layer, the network, and the reason or way out.
REFUSED: dict[str, tuple[tuple[Build, ...], tuple[str, ...]]] = {
    # --- layers and operations that no rule serves
    "spectral normalisation": (
        alone(VECTOR, lambda x: layers.SpectralNormalization(dense(), name="spectral")(x)),
        ("Member `one`", "`spectral`", "SpectralNormalization", "register_rule"),
    ),
    "python lambda": (
        alone(VECTOR, lambda x: layers.Lambda(lambda t: 2 * t, name="twice")(x)),
        ("Member `one`", "`twice`", "Lambda", "register_rule"),
    ),
    "layer of the user's own": (
        alone(SEQUENCE, lambda x: Gram(name="gram")(x)),
        ("Member `one`", "`gram`", "Gram", "register_rule"),
    ),
    "raw matmul": (
        alone(SEQUENCE, lambda x: keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))),
        ("Member `one`", "`matmul", "Matmul", "layers.Dot"),
    ),
    "raw reshape of the batch": (
        alone(SEQUENCE, lambda x: keras.ops.reshape(x, (-1, 3))),
        ("`one`", "`reshape", "A reshape mixes"),
    ),
    "raw mean over the batch": (
        alone(SEQUENCE, lambda x: x - keras.ops.mean(x, axis=0, keepdims=True)),
        ("`one`", "`mean", "batch axis alone"),
    ),
    "raw cumsum": (
        alone(SEQUENCE, lambda x: keras.ops.cumsum(x, axis=1)),
        ("Member `one`", "`cumsum", "register_rule"),
    ),
    "weights shared backwards": (
        alone(
            (4,),
            lambda x: layers.ReversibleEmbedding(7, 4, name="words")(x, reverse=False),
            dtype="int32",
        ),
        ("Member `one`", "`words`", "ReversibleEmbedding", "register_rule"),
    ),
    "stateful recurrence": (
        (
            lambda: keras.Model(
                x := keras.Input(batch_shape=(2, 6, 3)),
                dense(3, name="head")(LSTM(4, stateful=True, name="memory")(x)),
                name="one",
            ),
        )
        * 2,
        ("`one`", "`memory`", "stateful", "stateful=False"),
    ),
    # --- normalisation over channels
    "layer normalisation of widths without a divisor": (
        pair(VECTOR, normalised(8, LN), normalised(9, LN)),
        ("Layer `wide`", "normalised over", "8 in `one` and 9 in `two`", "clusters"),
    ),
    "rms normalisation of widths without a divisor": (
        pair(
            VECTOR, normalised(4, layers.RMSNormalization), normalised(7, layers.RMSNormalization)
        ),
        ("Layer `wide`", "normalised over", "4 in `one` and 7 in `two`", "clusters"),
    ),
    "groups that do not divide the common width": (
        pair(
            IMAGE,
            lambda x: layers.ReLU()(layers.GroupNormalization(4)(conv(8, name="wide")(x))),
            lambda x: conv(3, activation="relu")(
                layers.ReLU()(layers.GroupNormalization(4)(conv(8, name="wide")(x)))
            ),
        ),
        ("Layer `wide`", "a multiple of 4 groups", "8 in `one` and 8 in `two`", "clusters"),
    ),
    "other numbers of groups": (
        pair(
            IMAGE,
            lambda x: layers.GroupNormalization(2, name="norm")(conv(8)(x)),
            lambda x: layers.GroupNormalization(4, name="norm")(conv(8)(x)),
        ),
        ("`one`", "`two`", "`norm`", "`groups` is 2 in one and 4", "clusters"),
    ),
    "layer normalisation with another epsilon": (
        pair(
            VECTOR,
            normalised(4, lambda: LN(name="norm")),
            normalised(4, lambda: LN(name="norm", epsilon=1e-6)),
        ),
        ("`one`", "`two`", "`norm`", "`epsilon`"),
    ),
    "layer normalisation behind channels that were joined, in other proportions": (
        pair(
            VECTOR,
            lambda x: LN(name="norm")(joined(-1, 2, 4)(x)),
            lambda x: LN(name="norm")(joined(-1, 4, 4)(x)),
        ),
        ("Member `two`", "normalised over", "2 to 4 and 4 to 4", "one proportion"),
    ),
    "batch and layer normalisation": (
        pair(
            VECTOR,
            normalised(4, lambda: layers.BatchNormalization(name="batch")),
            normalised(4, lambda: LN(name="layer")),
        ),
        ("`one`", "`two`", "`layer`", "LayerNormalization", "never an identity", "clusters"),
    ),
    "a unit normalised after its sum": (
        pair(
            VECTOR, in_series(1, lambda x: LN()(block(x))), in_series(2, lambda x: LN()(block(x)))
        ),
        ("`one`", "`two`", "layer_normalization", "clusters"),
    ),
    # --- activations
    "other activations": (
        pair(
            VECTOR, lambda x: dense(4, "relu", name="h")(x), lambda x: dense(4, "gelu", name="h")(x)
        ),
        ("`one`", "`two`", "`h:relu`", "`gelu`", "clusters"),
    ),
    "sparsemax of other widths": (
        pair(
            VECTOR,
            lambda x: dense(4, "sparsemax", name="h")(x),
            lambda x: dense(8, "sparsemax", name="h")(x),
        ),
        ("`two`", "`h:sparsemax`", "mixes what stands along it", "4", "8"),
    ),
    "a tanh more": (
        pair(
            VECTOR,
            in_series(1, dense(4, "tanh")),
            in_series(1, lambda x: dense(4, "tanh", name="b")(dense(4, "tanh", name="a")(x))),
        ),
        ("`one`", "`two`", "tanh", "cannot be inserted", "clusters"),
    ),
    "relu behind the last weights of a unit": (
        pair(
            VECTOR,
            in_series(1, dense()),
            in_series(1, lambda x: block(x, end=layers.ReLU(name="end"), name="merge")),
        ),
        ("`one`", "`two`", "`merge`", "stops learning at zero", "clusters"),
    ),
    # --- branches
    "a gate in one only": (
        pair(IMAGE, lambda x: conv(4)(x), lambda x: gated(conv(4)(x))),
        ("`one`", "`two`", "`gate`", "Multiply", "not an identity", "clusters"),
    ),
    "a gate in the mother only": (
        pair(IMAGE, lambda x: gated(conv(4)(x)), lambda x: conv(4)(x)),
        ("`one`", "`two`", "`gate`", "Multiply", "clusters"),
    ),
    "an average more": (
        pair(
            VECTOR,
            in_series(1, dense()),
            in_series(1, lambda x: block(x, merge=layers.Average, name="merge")),
        ),
        ("`one`", "`two`", "`merge`", "Average is not an identity", "clusters"),
    ),
    "merges of another kind": (
        pair(
            VECTOR,
            in_series(1, lambda x: block(x, merge=layers.Maximum, name="larger")),
            in_series(1, lambda x: block(x, merge=layers.Subtract, name="less")),
        ),
        ("`one`", "`two`", "Maximum", "Subtract", "clusters"),
    ),
    "branches joined along another axis": (
        pair(
            SEQUENCE,
            lambda x: layers.GlobalAveragePooling1D()(joined(1)(x)),
            lambda x: layers.GlobalAveragePooling1D()(joined(2)(x)),
        ),
        ("`one`", "`two`", "`join`", "different axes", "clusters"),
    ),
    "a third factor": (
        pair(
            VECTOR,
            lambda x: layers.Multiply(name="product")([dense(4)(x), dense(4, "tanh")(x)]),
            lambda x: layers.Multiply(name="product")(
                [dense(4)(x), dense(4, "tanh")(x), dense(4, "sigmoid")(x)]
            ),
        ),
        ("`one`", "`two`", "`product`", "cannot be made to give nothing", "clusters"),
    ),
    "a dot product of other widths": (
        pair(
            VECTOR,
            lambda x: layers.Dot(-1, name="dot")([dense(4)(x), dense(4)(x)]),
            lambda x: layers.Dot(-1, name="dot")([dense(6)(x), dense(6)(x)]),
        ),
        ("`dot`", "Dot sums over it", "4", "6"),
    ),
    "a region without cut points of another size": (
        pair(
            VECTOR,
            lambda x: (
                a := dense(4)(x),
                b := dense(4)(a),
                layers.Add()([layers.Add()([a, b]), layers.Multiply()([a, b])]),
            )[-1],
            lambda x: (
                a := dense(4)(x),
                b := dense(4)(dense(4)(a)),
                layers.Add()([layers.Add()([a, b]), layers.Multiply()([a, b])]),
            )[-1],
        ),
        ("`one`", "`two`", "without cut points", "clusters"),
    ),
    # --- convolutions
    "from 1 to 3 taps with stride 2 at unknown size": (
        pair(
            (None, None, 3),
            lambda x: layers.GlobalMaxPooling2D()(conv(4, 1, strides=2, name="conv")(x)),
            lambda x: layers.GlobalMaxPooling2D()(conv(4, 3, strides=2, name="conv")(x)),
        ),
        ("`one`", "`two`", "`conv`", "1 x 1", "3 x 3", "strides 2 x 2", "? x ?", "clusters"),
    ),
    "groups that do not fit": (
        pair(IMAGE, lambda x: conv(6, groups=3, name="conv")(x), lambda x: conv(6, name="conv")(x)),
        ("`one`", "`two`", "`conv`", "`groups` is 3 in one and 1", "clusters"),
    ),
    "groups that do not fall together": (
        pair(
            IMAGE,
            lambda x: conv(6, groups=2, name="conv")(conv(6, groups=3)(conv(6)(x))),
            lambda x: conv(12, groups=2, name="conv")(conv(12, groups=3)(conv(12)(x))),
        ),
        ("Layer `conv`", "a grouped convolution reads it", "2", "4", "clusters"),
    ),
    "a group for every channel and fewer groups": (
        pair(
            IMAGE,
            lambda x: conv(4, groups=4, name="conv")(conv(4)(x)),
            lambda x: conv(8, groups=2, name="conv")(conv(8)(x)),
        ),
        ("`one`", "`two`", "`conv`", "a group for every channel, and the other has fewer"),
    ),
    "another dilation": (
        pair(
            IMAGE,
            lambda x: conv(name="conv", activation="tanh")(x),
            lambda x: conv(name="conv", activation="tanh", dilation_rate=2)(x),
        ),
        ("`one`", "`two`", "`conv`", "`dilation_rate`", "clusters"),
    ),
    "a pooling more": (
        pair(
            IMAGE,
            lambda x: layers.GlobalMaxPooling2D()(conv()(x)),
            lambda x: layers.GlobalMaxPooling2D()(layers.MaxPooling2D(name="pool")(conv()(x))),
        ),
        ("`one`", "`two`", "8 x 8", "4 x 4", "they part here", "clusters"),
    ),
    "another padding of zeros": (
        pair(
            IMAGE,
            lambda x: conv(4, 3, padding="valid")(layers.ZeroPadding2D(1, name="pad")(x)),
            lambda x: conv(4, 3, padding="valid")(layers.ZeroPadding2D(2, name="pad")(x)),
        ),
        ("`one`", "`two`", "`pad`", "`padding`", "clusters"),
    ),
    # --- attention and einsum
    "query and value of other roles": (
        pair(
            SEQUENCE, heads(), lambda x: layers.MultiHeadAttention(2, 4, name="attention")(x, x, x)
        ),
        ("`one`", "`two`", "`attention`", "clusters"),
    ),
    "causal attention in one only": (
        pair(
            SEQUENCE,
            heads(),
            lambda x: layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True),
        ),
        ("`one`", "`two`", "`attention`", "different arguments", "clusters"),
    ),
    "attention over another axis": (
        pair((4, 4, 3), heads(attention_axes=(1,)), heads(attention_axes=(2,))),
        ("`one`", "`two`", "`attention`", "`attention_axes`", "clusters"),
    ),
    "fewer heads in the member": (
        pair(SEQUENCE, heads(num_heads=4), heads(num_heads=2)),
        ("`one`", "`two`", "`attention`", "`num_heads` shrinks from 4 to 2", "clusters"),
    ),
    "smaller keys in the member": (
        pair(SEQUENCE, heads(key_dim=8), heads(key_dim=4)),
        ("`one`", "`two`", "`attention`", "`key_dim` shrinks from 8 to 4", "clusters"),
    ),
    "fewer queries in a group": (
        pair(SEQUENCE, query_heads(num_query_heads=8), query_heads(num_query_heads=6)),
        ("`one`", "`two`", "`attention`", "`num_query_heads` shrinks", "clusters"),
    ),
    "attention without weights on other widths": (
        pair(
            SEQUENCE,
            lambda x: layers.Attention(name="attention")([dense(4)(x), dense(4)(x)]),
            lambda x: layers.Attention(name="attention")([dense(6)(x), dense(6)(x)]),
        ),
        ("`attention`", "counts every copy", "4", "6"),
    ),
    "other equations": (
        pair(SEQUENCE, einsum("abc,cd->abd", (6, 4)), einsum("abc,bcd->abd", (6, 4))),
        ("`one`", "`two`", "`einsum`", "`equation`", "clusters"),
    ),
    # --- recurrence
    "recurrence with another activation": (
        pair(SEQUENCE, recurrent(RNN), recurrent(RNN, activation="relu")),
        ("`one`", "`two`", "`memory`", "`activation` is tanh in one and relu", "clusters"),
    ),
    "gru before and after its reset": (
        pair(SEQUENCE, recurrent(GRU), recurrent(GRU, reset_after=False)),
        ("`one`", "`two`", "`memory`", "`reset_after`", "clusters"),
    ),
    "gru and lstm": (
        pair(SEQUENCE, recurrent(GRU), recurrent(LSTM)),
        ("`one`", "`two`", "`memory`", "GRU", "LSTM", "clusters"),
    ),
    "fewer units in the member": (
        pair(SEQUENCE, recurrent(LSTM, 6), recurrent(LSTM, 4)),
        ("`one`", "`two`", "`memory`", "`units` shrinks from 6 to 4", "clusters"),
    ),
    "fewer units in both directions": (
        pair(SEQUENCE, both(LSTM(6)), both(LSTM(4))),
        ("`one`", "`two`", "`both`", "`units` shrinks from 6 to 4", "clusters"),
    ),
    "directions merged in another way": (
        pair(SEQUENCE, both(LSTM(4), merge_mode="sum"), both(LSTM(4), merge_mode="ave")),
        ("`one`", "`two`", "`both`", "`merge_mode` is sum in one and ave", "clusters"),
    ),
    "other layers at every step": (
        pair(
            SEQUENCE,
            lambda x: layers.TimeDistributed(dense(4), name="steps")(x),
            lambda x: layers.TimeDistributed(layers.Dropout(0.1), name="steps")(x),
        ),
        ("`one`", "`two`", "`steps`", "Dense", "Dropout", "clusters"),
    ),
    "fewer units at every step": (
        pair(
            SEQUENCE,
            lambda x: layers.TimeDistributed(dense(6), name="steps")(x),
            lambda x: layers.TimeDistributed(dense(4), name="steps")(x),
        ),
        ("`one`", "`two`", "`steps`", "`units` shrinks from 6 to 4", "clusters"),
    ),
    # --- shapes
    "a slice of other channels": (
        pair(VECTOR, lambda x: dense(6)(x)[:, :3], lambda x: dense(6)(x)[:, 3:]),
        ("`one`", "`two`", "get_item", "different parts", "clusters"),
    ),
    "a slice of more channels": (
        pair(VECTOR, lambda x: dense(6)(x)[:, :3], lambda x: dense(8)(x)[:, :3]),
        ("get_item", "a slice takes a part of it", "6", "8"),
    ),
    "axes in another order": (
        pair(
            SEQUENCE,
            lambda x: layers.Permute((2, 1), name="turn")(x),
            lambda x: layers.Permute((1, 2), name="turn")(x),
        ),
        ("`one`", "`two`", "`turn`", "`dims`", "clusters"),
    ),
}
# In these the pair has a mother, but the first is not one of the second.
HATCHED = {
    name for name in REFUSED if name.startswith(("fewer", "smaller")) or name == "another dilation"
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_be_refused_is_refused_with_the_layer_the_network_and_the_way_out(
    name: str,
) -> None:
    builds, pieces = REFUSED[name]
    models = [build() for build in builds]
    with pytest.raises(MotherNetsError) as caught:
        hatch(*models) if name in HATCHED else mothernet(models)
    message = str(caught.value)
    assert isinstance(caught.value, (GraphError, SurgeryError))
    for piece in pieces:
        assert re.search(re.escape(piece), message), message
    sentence = message.partition("\n")[0]  # below it stands a table of stages where two part
    assert sentence.endswith("."), "one line that ends with a full stop"
    assert len(sentence) < 500, message


@pytest.mark.parametrize("name", [name for name in REFUSED if len(REFUSED[name][0]) == 2])
def test_each_of_a_refused_pair_is_fine_by_itself(name: str) -> None:
    if name == "stateful recurrence":
        pytest.skip("it is refused by itself")
    for build in REFUSED[name][0]:
        assert same_architecture(mothernet([build()]), build())
