"""What a mother takes from its members as it is: settings of the user's, and frozen layers.

Training finds neither. The mean and variance of a `Normalization` were adapted to data, and a
layer that is frozen in all members, with the same weights, is a pretrained one that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, copy_layer, flat_names, live_layers, read
from keras_mothernets.member import Member
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery.plan import HatchPlan, LayerPlan, make_plan


def copy_given(
    members: Sequence[Member],
    architectures: Sequence[Architecture],
    common: Architecture,
    mother: keras.Model,
) -> None:
    """Copy settings and frozen layers from the members to a mother.

    Args:
        members: The members.
        architectures: What was read from them.
        common: What they have in common.
        mother: The network built of it. Layers that are frozen in all members are frozen; all
            others can be trained.

    Raises:
        SurgeryError: Two members have different settings.
    """
    # Keras passes over a value that is there already, whatever the layers inside have.
    mother.trainable = False
    mother.trainable = True
    _copy_settings(members, common, mother)
    if all(any(map(is_frozen, live_layers(entry.model).values())) for entry in members):
        _copy_frozen(members, architectures, mother)


def lost_layers(plan: HatchPlan, mother: keras.Model, member: keras.Model) -> list[str]:
    """Frozen layers of a member whose weights would be lost if it were hatched.

    Args:
        plan: How the member is hatched.
        mother: The mother, trained or not: layers that are frozen there stay as they are.
        member: The member.

    Returns:
        Names of the member's frozen layers that are not frozen with the same weights in the mother.
    """
    sources = live_layers(mother)
    return [
        step.name
        for step, layer in _frozen(plan, member)
        if step.is_inserted or not _keeps(sources[step.step.mother.layer.path], layer)
    ]


def _copy_settings(members: Sequence[Member], common: Architecture, model: keras.Model) -> None:
    """Copy variables that users set (a Normalization's mean), which no training would find.

    They must be equal in all members, for each member gets the mother's.
    """
    targets = {layer.name: layer for layer in model.layers}
    names = flat_names(common)
    wanted = [
        node for node in common.nodes if rule_for(node).holds_settings and node.layer.variables
    ]
    for number, node in enumerate(wanted):
        owners = [_settings(member)[number] for member in members]
        for member, layer in zip(members, owners, strict=True):
            if not equal_weights(owners[0], layer):
                raise SurgeryError(
                    f"Member `{member.label}`: layer `{layer.name}` has other settings than"
                    f" in member `{members[0].label}`",
                    expected="the same mean and variance in all members",
                    fix="Adapt the layer once and give all members the same values",
                )
        copy_layer(owners[0], targets[names[node.layer.path]])


def _keeps(source: Any, layer: Any) -> bool:
    return is_frozen(source) and equal_weights(source, layer)


def _copy_frozen(
    members: Sequence[Member], architectures: Sequence[Architecture], model: keras.Model
) -> None:
    """Copy layers that are frozen with the same weights in all members (a pretrained base)."""
    mother = read(model)
    frozen: dict[tuple[str, ...], list[Any]] = {}
    for entry, architecture in zip(members, architectures, strict=True):
        for step, layer in _frozen(make_plan(mother, architecture), entry.model):
            if not step.is_inserted:
                frozen.setdefault(step.step.mother.layer.path, []).append(layer)
    for path, layer in live_layers(model).items():
        found = frozen.get(path, [])
        same = len(found) == len(members) and all(equal_weights(found[0], o) for o in found)
        if same and _shapes(found[0]) == _shapes(layer):
            copy_layer(found[0], layer)
            layer.trainable = False


def _frozen(plan: HatchPlan, member: keras.Model) -> list[tuple[LayerPlan, Any]]:
    """A member's frozen layers with weights, each with its part of the plan."""
    layers = live_layers(member)
    found = [(step, layers[step.step.member.layer.path]) for step in plan.layers if step.variables]
    return [(step, layer) for step, layer in found if is_frozen(layer)]


def is_frozen(layer: Any) -> bool:
    """Whether a layer has weights that training leaves alone."""
    return not getattr(layer, "trainable", True) and bool(getattr(layer, "weights", []))


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _settings(member: Member) -> list[Any]:
    layers = live_layers(member.model)
    nodes = [node for node in read(member.model).nodes if node.layer.variables]
    return [layers[node.layer.path] for node in nodes if rule_for(node).holds_settings]


def equal_weights(first: Any, second: Any) -> bool:
    """Whether two layers have the same weights, number for number."""
    if _shapes(first) != _shapes(second):
        return False
    pairs = zip(first.weights, second.weights, strict=True)
    return all(
        np.array_equal(keras.ops.convert_to_numpy(a.value), keras.ops.convert_to_numpy(b.value))
        for a, b in pairs
    )
