"""Lets the graphs of a job's training go when the job is done.

While TensorFlow traces a training step, it registers a function for the gradient of each part
that has one of its own, and Keras' optimizers have such a part. It never forgets them, and each
holds the whole graph: 5 MB and 7,000 objects for the smallest network, for every job until the
process ends.
"""

from __future__ import annotations

import contextlib
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

PREFIX = "CustomGradient-"  # of the names that TensorFlow makes up
HELD = "_keras_mothernets_gradients"


@contextlib.contextmanager
def gradients_end_with_graphs() -> Iterator[None]:
    """Let each graph that is traced in a block hold its gradients itself.

    As long as somebody holds the graph, gradients can be taken through it as before; then both
    go. Where another version of TensorFlow does it otherwise, nothing is changed.
    """
    entries = _entries()
    before = set(entries)
    try:
        yield
    finally:
        for name in entries.keys() - before:
            if name.startswith(PREFIX):
                _tie_to_graph(entries, name)


def _entries() -> dict[str, dict[str, Any]]:
    """What is registered, by name: TensorFlow's own table, which it offers no way to shorten."""
    try:
        from tensorflow.python.framework import ops

        entries = ops.gradient_registry._registry
    except (ImportError, AttributeError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _tie_to_graph(entries: dict[str, dict[str, Any]], name: str) -> None:
    """Let the graph hold the function, and the table only know of it."""
    try:
        function = entries[name]["type"]
        graph = _graph_of(function)
        setattr(graph, HELD, [*getattr(graph, HELD, []), function])
    except (LookupError, TypeError, ValueError, AttributeError):
        return
    entries[name] = {**entries[name], "type": _known(weakref.ref(function))}
    weakref.finalize(function, entries.pop, name, None).atexit = False


def _known(function: weakref.ref[Callable[..., Any]]) -> Callable[..., Any]:
    def gradient(operation: Any, *gradients: Any) -> Any:
        alive = function()
        assert alive is not None, "the operation's graph holds it"
        return alive(operation, *gradients)

    return gradient


def _graph_of(function: Callable[..., Any]) -> Any:
    """The graph in which a gradient function was registered: that of what it is the gradient of."""
    inner = inspect.getclosurevars(function).nonlocals["tape_grad_fn"]
    results = tf.nest.flatten(inspect.getclosurevars(inner).nonlocals["result"])
    (graph,) = {result.graph for result in results if isinstance(result, tf.Tensor)}
    return graph
