"""What a user should know before a training begins that will disappoint."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mothernets.graph import live_layers
from keras_mothernets.member import Member

MOST_LEFT = 0.1  # of the initial statistics, at the end of the training


def slow_statistics(members: Sequence[Member], steps: int) -> str:
    """Say whose BatchNormalizations will not have forgotten how they began.

    Their running statistics move by a hundredth in a step with Keras' momentum of 0.99: after 70
    steps half of them is still what they began with, and validation is as bad as that.

    Args:
        members: The networks.
        steps: Training steps of a network that starts from scratch.

    Returns:
        A sentence or two; "" if nothing is the matter.

    Example:
        >>> layers = [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
        >>> slow_statistics([Member(keras.Sequential(layers), name="mine")], 1000)
        ''
    """
    momenta = {member.label: _momentum(member.model) for member in members}
    slow = {label: value for label, value in momenta.items() if value**steps > MOST_LEFT}
    if not slow:
        return ""
    worst = max(slow.values())
    names = ", ".join(f"`{label}`" for label in slow)
    return (
        f"Mind: after the {steps:,} steps of this training, {worst**steps:.0%} of the running"
        f" statistics of BatchNormalization are still what they began with (momentum {worst:g}), in"
        f" {names}. Validation and test will look worse than training does. Take more steps"
        " (--batch-size, --epochs), or give these layers a momentum such as 0.9."
    )


def _momentum(model: keras.Model) -> float:
    """The largest momentum of a layer that is trained; 0 without any."""
    found = [
        float(layer.momentum)
        for layer in live_layers(model).values()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    return max(found, default=0.0)
