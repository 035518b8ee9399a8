"""The same network with fewer channels, untrained: what a chain of growths begins with."""

from __future__ import annotations

from dataclasses import replace

import keras

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Seeded, build, live_layers, read
from keras_mothernets.member import Member
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery.coupling import coupled_layers, follow
from keras_mothernets.surgery.edited import readable, with_layer
from keras_mothernets.surgery.given import copy_given, is_frozen
from keras_mothernets.surgery.plan import make_plan


def narrow(model: keras.Model, share: float, *, name: str, seed: int = 0) -> keras.Model:
    """Build a network with a part of another one's widths, from which that one can be hatched.

    Widths that follow from others, that of the head, and those that can only grow to a multiple
    stay as they are.

    Args:
        model: A built model; it is not modified.
        share: Part of the units or filters of each layer, above 0 and below 1; one stays at least.
        name: Name of the new model.
        seed: Seed of its random initial weights.

    Returns:
        A new, built, uncompiled Functional model.

    Raises:
        GraphError: The model cannot be read.
        SurgeryError: There is no such network, the model cannot be grown from it, or it has frozen
            layers.

    Example:
        >>> hidden, head = keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(2)
        >>> model = keras.Sequential([keras.Input((4,)), hidden, head])
        >>> narrow(model, 0.5, name="half").get_layer("hidden").units
        4
    """
    architecture = readable(model)
    frozen = [path for path, layer in live_layers(model).items() if is_frozen(layer)]
    if frozen:
        raise SurgeryError(
            f"`{architecture.name}` has frozen layers, which cannot be narrower",
            received=f"layer `{'/'.join(frozen[0])}`",
        )
    sizes = {
        layer: max(1, round(share * group.width))
        for group in coupled_layers(architecture)
        if not group.must_divide
        for layer in group.layers
    }
    if not sizes:
        raise SurgeryError(f"`{architecture.name}` has no layer that could be narrower")
    nodes = [
        with_layer(node, rule_for(node).sized(node, sizes[node.layer.name]))
        if node.layer.name in sizes and not node.fused
        else node
        for node in architecture.nodes
    ]
    edited = replace(architecture, nodes=tuple(follow(architecture, nodes)))
    narrower = build(edited, name=name, edit=Seeded(seed))
    built = read(narrower)
    make_plan(built, architecture)  # proves that the model can be grown from it
    copy_given([Member(model)], [architecture], built, narrower)
    return narrower
