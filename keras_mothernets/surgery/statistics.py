"""Mean and variance of what flows into an inserted BatchNormalization.

In training a BatchNormalization divides by the statistics of the batch. To be
an identity there too, its scale and offset must be the standard deviation and
mean of what flows in. They are measured on calibration data, or derived from
the BatchNormalization and activations before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import SurgeryError, reason_of
from keras_mothernets.graph import (
    Architecture,
    Node,
    build,
    copy_into_flat,
    live_layers,
)
from keras_mothernets.rules import Statistics, rule_for, static_arguments
from keras_mothernets.rules.shape import GlobalPoolingRule, ResizingRule


def measure(
    mother: keras.Model, architecture: Architecture, places: Mapping[int, int], calibration: Any
) -> dict[int, Statistics]:
    """Measure statistics on data, as the mother computes in training mode without dropout.

    Args:
        mother: The live mother; it is copied and stays as it is.
        architecture: What was read from it.
        places: For each tensor wanted its channel axis, the batch axis left out.
        calibration: Inputs of the mother, a few hundred examples.

    Returns:
        The statistics of each tensor.

    Raises:
        SurgeryError: The mother does not take these inputs, or there are none, or what
            comes out of them is not finite.
    """
    probe = build(
        architecture,
        name="calibration",
        blank=True,
        keep=lambda node: not rule_for(node).is_transparent,
        outputs=list(places),
    )
    copy_into_flat(mother, architecture, probe)
    try:
        inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, calibration)
        outputs = keras.tree.flatten(probe(inputs, training=True))
    except Exception as error:  # each backend has its own for shapes that do not fit
        shapes = [str((None, *entry.shape)) for entry in architecture.inputs]
        raise SurgeryError(
            f"`calibration` cannot be given to `{architecture.name}`",
            expected=f"inputs of shape {', '.join(shapes)}",
            received=reason_of(error),
        ) from error
    found = [keras.ops.convert_to_numpy(value) for value in outputs]
    if not all(value.size and np.isfinite(value).all() for value in found):
        raise SurgeryError(
            f"`calibration` gives `{architecture.name}` nothing to measure",
            expected="at least one example, and finite numbers",
        )
    return {
        tensor: _moments(value, axis)
        for (tensor, axis), value in zip(places.items(), found, strict=True)
    }


def derive(
    mother: keras.Model, architecture: Architecture, tensor: int, axis: int
) -> Statistics | None:
    """Statistics in closed form: behind a BatchNormalization each channel is nearly normal.

    Its mean is beta and its standard deviation |gamma|; what activations after
    it make of that follows by quadrature. Pooling in between is passed over; where branches
    are summed they are taken as independent.

    Args:
        mother: The live mother.
        architecture: What was read from it.
        tensor: Number of the tensor.
        axis: Its channel axis, the batch axis left out.

    Returns:
        The statistics, or None if not every way to it comes from a BatchNormalization of
        the same channels.
    """
    makers = {out: node for node in architecture.nodes for out in node.outputs}
    if tensor not in makers:
        return None
    layers = live_layers(mother)
    rank = len(makers[tensor].output_shapes[0])
    return _derived(tensor, axis - rank, makers, lambda node: _normal(layers[node.layer.path]))


def _derived(
    tensor: int, axis: int, makers: Mapping[int, Node], normal: Callable[[Node], Statistics]
) -> Statistics | None:
    """Statistics along an axis of a tensor, which is counted from the end."""
    behind: list[Node] = []
    while tensor in makers:
        node = makers[tensor]
        rule = rule_for(node)
        if node.layer.cls is keras.layers.BatchNormalization and node.activation is None:
            is_same = rule.channel_axis(node) - len(node.output_shapes[0]) == axis
            return _through(normal(node), behind[::-1]) if is_same else None
        if rule.merge is not None:
            met = _met(node, [_derived(number, axis, makers, normal) for number in node.inputs])
            return _through(met, behind[::-1]) if met is not None else None
        if not (node.activation is not None or rule.is_transparent or _keeps_channels(node)):
            return None
        behind.append(node)
        tensor = node.inputs[0]
    return None


def _keeps_channels(node: Node) -> bool:
    """Whether channels pass one by one, as in pooling; its numbers are taken as they were."""
    return isinstance(rule_for(node), (ResizingRule, GlobalPoolingRule))


def _met(node: Node, branches: Sequence[Statistics | None]) -> Statistics | None:
    """Statistics where branches meet: side by side, or summed as if they were independent."""
    known = [branch for branch in branches if branch is not None]
    means, variances = [b.mean for b in known], [b.variance for b in known]
    rule = rule_for(node)
    if len(known) < len(branches) or static_arguments(node):
        return None
    if (
        rule.merge == "sum"
        and rule.commutes(node)
        and len({branch.mean.shape for branch in known}) == 1
    ):
        return Statistics(np.sum(means, axis=0), np.sum(variances, axis=0))
    if rule.merge == "concat" and rule.channel_axis(node) == len(node.output_shapes[0]) - 1:
        return Statistics(np.concatenate(means), np.concatenate(variances))
    return None


def _normal(layer: Any) -> Statistics:
    size = layer.moving_mean.shape[0]
    beta = keras.ops.convert_to_numpy(layer.beta) if layer.center else np.zeros(size)
    gamma = keras.ops.convert_to_numpy(layer.gamma) if layer.scale else np.ones(size)
    return Statistics(beta.astype("float64"), gamma.astype("float64") ** 2)


def _through(statistics: Statistics, nodes: Sequence[Node]) -> Statistics:
    """Moments of f(z) for normal z, by the trapezoidal rule on 8 standard deviations."""
    grid = np.linspace(-8.0, 8.0, 401)
    weights = np.exp(-0.5 * grid**2)
    weights /= weights.sum()
    values = statistics.mean[:, None] + np.sqrt(statistics.variance)[:, None] * grid[None, :]
    for node in nodes:
        if node.activation is not None and not node.activation.mixes_channels:
            values = keras.ops.convert_to_numpy(
                node.activation.function(keras.ops.convert_to_tensor(values.astype("float32")))
            ).astype("float64")
    mean = values @ weights
    return Statistics(mean, ((values - mean[:, None]) ** 2) @ weights)


def _moments(values: np.ndarray, axis: int) -> Statistics:
    flat = np.moveaxis(values, axis + 1, -1).reshape(-1, values.shape[axis + 1]).astype("float64")
    return Statistics(flat.mean(axis=0), flat.var(axis=0))
