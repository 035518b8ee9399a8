"""Operations of a forward pass, against published counts, TensorFlow's counter and hand counts."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from keras import layers, ops
from marks import quick_ones

from keras_mothernets import zoo
from keras_mothernets.graph import forward_flops

# Published multiply-adds for one 224 x 224 image, in millions, and how far we may be from them.
PUBLISHED = {
    "MobileNet": (569, 1),  # Howard et al. 2017, Table 8
    "MobileNetV2": (300, 1),  # Sandler et al. 2018, Table 4
    "ResNet50": (3_800, 100),  # He et al. 2016, Table 1
    "VGG16": (15_300, 200),  # the same, section 3.3
    "ConvNeXtTiny": (4_500, 50),  # Liu et al. 2022, Table 1
}


@pytest.mark.parametrize("name", quick_ones(PUBLISHED, {"MobileNet"}))
def test_published_counts(name):
    model = getattr(keras.applications, name)(weights=None)
    millions, margin = PUBLISHED[name]
    assert abs(forward_flops(model) / 2e6 - millions) <= margin


@pytest.mark.slow
def test_v5_is_that_of_the_paper():
    # Multiply-adds per 32 x 32 image in millions, worked out by hand from the table.
    members = zoo.v5((32, 32, 3), 10, batch_norm=False)
    counts = [round(forward_flops(member.model) / 2e6, 1) for member in members]
    assert counts == [228.3, 237.7, 319.4, 313.2, 398.1]


PRODUCTS = {
    "MatMul", "BatchMatMulV2", "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput",
}  # fmt: skip


def tensorflow_count(model):
    """Operations of one example in products, as TensorFlow's own profiler counts them."""
    spec = [tf.TensorSpec((1, *tensor.shape[1:])) for tensor in model.inputs]
    graph = tf.function(model).get_concrete_function(spec[0] if len(spec) == 1 else spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    found = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    total = 0
    while found.children:  # each type of operation stands below the one before it
        (found,) = found.children
        total += found.float_ops if found.name in PRODUCTS else 0
    return total


# Left out is what TensorFlow counts otherwise: einsums and grouped convolutions not at all.
COUNTED_BY_TENSORFLOW = {
    "dense": ((7,), layers.Dense(5, activation="relu")),
    "dense at places": ((4, 7), layers.Dense(5)),
    "convolution": ((9, 8, 4), layers.Conv2D(6, (3, 2))),
    "strides": ((9, 8, 4), layers.Conv2D(6, 3, strides=2, padding="same")),
    "dilation": ((10, 8, 4), layers.Conv2D(6, 3, dilation_rate=2)),
    "1D": ((9, 4), layers.Conv1D(6, 3)),
    "3D": ((5, 6, 7, 2), layers.Conv3D(6, 3)),
    "depthwise": ((9, 8, 4), layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "separable": ((9, 8, 4), layers.SeparableConv2D(6, 3, depth_multiplier=2)),
    "transposed": ((9, 8, 4), layers.Conv2DTranspose(6, 3, strides=2, padding="same")),
    "einsum": ((9, 4), layers.EinsumDense("abc,cde->abde", (None, 2, 3))),
    "simple rnn": ((5, 4), layers.SimpleRNN(3, unroll=True)),
    "lstm": ((5, 4), layers.LSTM(3, unroll=True, use_cudnn=False)),
    "gru": ((5, 4), layers.GRU(3, unroll=True, use_cudnn=False)),
    "cell": ((5, 4), layers.RNN(layers.LSTMCell(3), unroll=True)),
    "both ways": ((5, 4), layers.Bidirectional(layers.GRU(3, unroll=True, use_cudnn=False))),
    "conv lstm": ((3, 6, 5, 2), layers.ConvLSTM2D(4, 3, unroll=True, return_sequences=True)),
    "over time": ((5, 9, 8, 4), layers.TimeDistributed(layers.Conv2D(6, 3))),
    "attention": ((6, 4), lambda x: layers.Attention()([x, x])),
    "dot": ((6, 4), lambda x: layers.Dot(axes=(2, 2))([x, x])),
    "matmul": ((6, 4), lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
}


@pytest.mark.parametrize("name", COUNTED_BY_TENSORFLOW)
def test_tensorflow_counts_the_same(name):
    shape, call = COUNTED_BY_TENSORFLOW[name]
    image = keras.Input(shape)
    model = keras.Model(image, call(image))
    assert forward_flops(model) == tensorflow_count(model)


def multiplications(call, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    flops = forward_flops(keras.Model(inputs, call(*inputs)))
    return None if flops is None else flops / 2


def called_twice(x):
    shared = layers.Dense(4)
    return shared(shared(x))


def nested_twice(x):
    inside = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
    return inside(inside(x))


def attends(x, y):
    return layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=7)(x, value=y)


def attends_to_keys(x, y, z):
    return layers.MultiHeadAttention(2, 3, value_dim=5)(query=x, key=z, value=y)


HAND_COUNTS = {
    # Each of 4 outputs of a group of 2 reads 3 x 3 x 2 numbers, at 7 x 6 places.
    "groups": (lambda x: layers.Conv2D(8, 3, groups=2)(x), [(9, 8, 4)], 7 * 6 * 8 * 9 * 2),
    "channels first": (
        lambda x: layers.Conv2D(8, 3, data_format="channels_first")(x),
        [(4, 9, 8)],
        7 * 6 * 8 * 9 * 4,
    ),
    "shared": (called_twice, [(4,)], 2 * 16),
    "nested": (nested_twice, [(4,)], 4 * 16),
    # Query 6 x 4 and value 9 x 8: projections to 2 heads of 3 or 5, scores, sums, output.
    "cross attention": (
        attends,
        [(6, 4), (9, 8)],
        6 * 4 * 6 + 9 * 8 * 6 + 9 * 8 * 10 + 2 * 6 * 9 * (3 + 5) + 6 * 10 * 7,
    ),
    "a key of its own": (
        attends_to_keys,
        [(6, 4), (9, 8), (9, 2)],
        6 * 4 * 6 + 9 * 2 * 6 + 9 * 8 * 10 + 2 * 6 * 9 * (3 + 5) + 6 * 10 * 4,
    ),
    # 5 rows of 6 places, each of which attends to the 6 of its row.
    "attention along rows": (
        lambda x: layers.MultiHeadAttention(2, 3, attention_axes=2)(x, x),
        [(5, 6, 4)],
        30 * 4 * 6 * 3 + 2 * 5 * 6 * 6 * (3 + 3) + 30 * 6 * 4,
    ),
    # 4 heads of 3 for the query, 2 for key and value.
    "grouped queries": (
        lambda x: layers.GroupQueryAttention(3, 4, 2)(x, x),
        [(6, 5)],
        6 * 5 * 12 + 2 * 6 * 5 * 6 + 4 * 6 * 6 * (3 + 3) + 6 * 12 * 5,
    ),
    "additive attention": (
        lambda x: layers.AdditiveAttention()([x, x]), [(6, 4)], 6 * 6 * (4 + 4)
    ),
    "additive attention without scale": (
        lambda x: layers.AdditiveAttention(use_scale=False)([x, x]), [(6, 4)], 6 * 6 * 4
    ),
    "stacked cells": (
        lambda x: layers.RNN([layers.SimpleRNNCell(3), layers.SimpleRNNCell(2)])(x),
        [(5, 4)],
        5 * (4 * 3 + 3 * 3 + 3 * 2 + 2 * 2),
    ),
    "both ways, two classes": (
        lambda x: layers.Bidirectional(
            layers.SimpleRNN(3), backward_layer=layers.SimpleRNN(2, go_backwards=True)
        )(x),
        [(5, 4)],
        5 * (4 * 3 + 3 * 3 + 4 * 2 + 2 * 2),
    ),
    "embedding": (lambda x: layers.Embedding(10, 4)(x), [(6,)], 0),
    "elementwise": (lambda x: layers.PReLU()(layers.BatchNormalization()(x)), [(6, 5, 4)], 0),
    "steps over pixels": (
        lambda x: layers.TimeDistributed(layers.TimeDistributed(layers.Dense(7)))(x),
        [(5, 6, 4)],
        5 * 6 * 4 * 7,
    ),
    "constant": (lambda x: ops.matmul(x, ops.ones((4, 7))), [(6, 4)], 6 * 4 * 7),
    "constant before": (lambda x: ops.matmul(ops.ones((7, 6)), x), [(6, 4)], 7 * 6 * 4),
    "dot": (lambda x: ops.dot(x, ops.ones((4, 7))), [(6, 4)], 6 * 4 * 7),
    "dot with a number": (lambda x: ops.dot(2.0, x), [(6, 4)], 0),
    "einsum": (lambda x: ops.einsum("bij,bkj->bik", x, x), [(6, 4)], 6 * 6 * 4),
    "einsum with dots": (
        lambda x: ops.einsum("...j,jk->...k", x, ops.ones((4, 7))), [(5, 6, 4)], 5 * 6 * 4 * 7
    ),
    "einsum of one": (lambda x: ops.einsum("bij->bji", x), [(6, 4)], 0),
    "reshaped": (lambda x: layers.Dense(3)(ops.reshape(x, (-1, 24))), [(6, 4)], 24 * 3),
    "free, then pooled": (
        lambda x: layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), [(None, None, 4)], 4 * 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_COUNTS)
def test_hand_counts(name):
    call, shapes, expected = HAND_COUNTS[name]
    assert multiplications(call, *shapes) == expected


class Own(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=(shape[-1], 3), name="table")

    def call(self, x):
        return x @ self.table


class OwnDense(layers.Dense):
    """May compute anything."""


NOT_KNOWN = {
    "a kernel of one's own": (lambda x: Own()(x), (4,)),
    "a class derived from one of Keras": (lambda x: OwnDense(3)(x), (4,)),
    "a wrapper that is not known": (
        lambda x: layers.SpectralNormalization(layers.Dense(3))(x), (4,)
    ),
    "a layer inside over time": (lambda x: layers.TimeDistributed(OwnDense(3))(x), (5, 4)),
    "an image of any size": (lambda x: layers.Conv2D(3, 3)(x), (None, None, 4)),
    "a sequence of any length": (lambda x: layers.LSTM(3)(x), (None, 4)),
    "attention of any length": (
        lambda x: layers.MultiHeadAttention(2, 3)(x, x), (None, 4)
    ),
    "windows": (lambda x: layers.Dense(3)(ops.reshape(x, (-1, 2, 4))), (6, 4)),
    "examples one after the other": (
        lambda x: layers.Dense(3)(layers.Concatenate(axis=0)([x, x])), (4,)
    ),
    "every example with every other": (lambda x: ops.einsum("bij,cij->bc", x, x), (6, 4)),
    "matmul over examples": (lambda x: ops.matmul(ops.transpose(x), x), (4,)),
    "three operands": (lambda x: ops.einsum("bi,bi,bi->b", x, x, x), (4,)),
    "convolution without a layer": (lambda x: ops.conv(x, ops.ones((2, 4, 3))), (5, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_is_not_known_is_not_guessed(name):
    call, shape = NOT_KNOWN[name]
    assert multiplications(call, shape) is None


def test_of_a_model_that_cannot_be_read_nothing_is_known():
    assert forward_flops(keras.Sequential([layers.Dense(3)])) is None
