"""Graphs of a training that is over are let go, and no gradient is lost before."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mothernets.training import graph_gradients
from keras_mothernets.training.graph_gradients import gradients_end_with_graphs

X = np.ones((8, 2), "float32")


@tf.custom_gradient
def doubled(x):
    """Its gradient is not the one that TensorFlow would find: 5 for 2."""
    return 2 * x, lambda upstream: 5 * upstream


def traced():
    """A function with a graph, and the graph."""
    function = tf.function(doubled)
    graph = function.get_concrete_function(tf.TensorSpec((), tf.float32)).graph
    return function, graph


def test_without_it_a_graph_is_never_let_go():
    """If this fails, TensorFlow has mended it, and the module can go."""
    function, graph = traced()
    graph = weakref.ref(graph)
    del function
    gc.collect()
    assert graph() is not None


def test_a_graph_is_let_go_with_all_that_is_registered():
    before = set(graph_gradients._entries())
    with gradients_end_with_graphs():
        function, graph = traced()
    assert len(graph_gradients._entries()) > len(before)
    graph = weakref.ref(graph)
    del function
    gc.collect()
    assert graph() is None
    assert set(graph_gradients._entries()) == before


def test_gradients_can_be_taken_as_long_as_the_function_is_there():
    with gradients_end_with_graphs():
        function, _ = traced()
    gc.collect()
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    assert (float(y), float(tape.gradient(y, x))) == (6, 5)


def test_a_gradient_that_the_user_has_registered_stays():
    with gradients_end_with_graphs():
        tf.RegisterGradient("OfMyOwn")(lambda operation, upstream: upstream)
    entries = graph_gradients._entries()
    gc.collect()
    assert entries.pop("OfMyOwn")["type"](None, 3) == 3


def test_a_network_can_be_trained_on_after_its_graph_was_traced_in_a_block():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "swish")])
    model.compile("adam", "mse")
    with gradients_end_with_graphs():
        model.fit(X, X[:, :1], verbose=0)
    gc.collect()
    model.fit(X, X[:, :1], verbose=0)
    assert np.all(np.isfinite(model.predict(X, verbose=0)))


@pytest.mark.parametrize("entry", [{}, {"type": len}, {"type": lambda operation: None}])
def test_what_is_registered_otherwise_is_left_alone(entry):
    entries = {"CustomGradient-x": entry}
    graph_gradients._tie_to_graph(entries, "CustomGradient-x")
    assert entries == {"CustomGradient-x": entry}
