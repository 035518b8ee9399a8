"""How long a primitive takes here: it is run alone, forward and backward."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.graph import Architecture, Chain, Input, build
from keras_mothernets.planning.primitive import Primitive, references

SECONDS = 0.06  # that one thing is repeated for
LEAST, MOST = 5, 100  # repetitions
SHORTEST = 5e-6  # seconds; what is faster cannot be told from the call itself


def measure(primitive: Primitive) -> tuple[float, float]:
    """Run a primitive on random numbers.

    Args:
        primitive: What to measure.

    Returns:
        Seconds of a call for inference, and of a call for training with its backward pass.
    """
    model = _model(primitive)
    given = [_numbers(tensor, primitive.batch) for tensor in model.inputs]
    forward, training = _calls(model, primitive)
    nothing = call_seconds(lambda: _nothing(given))
    return (
        max(SHORTEST, call_seconds(lambda: forward(given)) - nothing),
        max(SHORTEST, call_seconds(lambda: training(given)) - nothing),
    )


def call_seconds(run: Callable[[], Any], seconds: float = SECONDS) -> float:
    """Time of a call, in seconds; the first two calls do not count.

    It is the quartile of the faster calls: what else runs on the machine makes calls slower, never
    faster.

    Args:
        run: What to time; it must wait until its result is there.
        seconds: How long to repeat it.
    """
    run()
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or (len(times) < MOST and time.perf_counter() < end):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return float(np.quantile(times, 0.25))


def _model(primitive: Primitive) -> keras.Model:
    """The call alone, as a model."""
    node = primitive.node
    told = zip(node.inputs, node.input_shapes, primitive.dtypes, strict=True)
    inputs = {
        number: Input(number, f"input_{number}", shape, dtype) for number, shape, dtype in told
    }
    alone = Architecture(
        "primitive",
        tuple(inputs.values()),
        node.outputs,
        (node,),
        Chain((node,)),
        input_structure=references(node),
    )
    return build(alone, outputs=list(node.outputs), blank=False)


def _numbers(tensor: Any, batch: int) -> tf.Tensor:
    shape = (batch, *tensor.shape[1:])
    dtype = tf.as_dtype(tensor.dtype)
    if dtype.is_floating:
        return tf.cast(tf.random.normal(shape), dtype)
    return tf.zeros(shape, dtype)


@tf.function
def _nothing_graph(given: Any) -> tf.Tensor:
    return tf.reshape(given[0], [-1])[:1]


def _nothing(given: Any) -> None:
    _nothing_graph(given).numpy()


def _calls(model: keras.Model, primitive: Primitive) -> tuple[Callable[..., Any], ...]:
    """Functions of the inputs that compute, and wait; a single number is fetched of each result."""
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function
    def forward(given: Any) -> Any:
        return _corner(model(given, training=False))

    @tf.function
    def training(given: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(given)
            made = keras.tree.flatten(model(given, training=True))
        if not primitive.needs_gradients:
            return _corner(made)
        wanted = variables + ([] if primitive.is_first else list(given))
        back = tape.gradient(made, wanted, output_gradients=[tf.ones_like(one) for one in made])
        return _corner([*made, *(one for one in back if one is not None)])

    def waiting(graph: Callable[..., Any]) -> Callable[..., Any]:
        return lambda given: [one.numpy() for one in graph(given)]

    return waiting(forward), waiting(training)


def _corner(tensors: Any) -> Any:
    return [tf.reshape(one, [-1])[:1] for one in keras.tree.flatten(tensors)]
