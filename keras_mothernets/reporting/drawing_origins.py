"""Where the blocks of a hatched member come from, as its `HatchPlan` says."""

from __future__ import annotations

import math

from keras_mothernets.graph import Node, Region
from keras_mothernets.reporting.drawing_blocks import (
    How,
    Origin,
    OriginOf,
    channels_of,
    kernel_of,
    makes_block,
)
from keras_mothernets.rules import Copy
from keras_mothernets.surgery import HatchPlan
from keras_mothernets.surgery.correspondence import Step
from keras_mothernets.surgery.plan import LayerPlan

_HOW: dict[str, How] = {
    "matched": "inherited",
    "inserted": "inserted",
    "fresh": "branch",
    "zeroed": "branch",
}


def origins(plan: HatchPlan) -> OriginOf:
    """Tell for every call and indivisible region of a member where it comes from.

    Args:
        plan: How the member is hatched.
    """
    steps = {step.member.outputs: step for step in plan.correspondence.steps}
    layers = {layer.step.member.layer.path: layer for layer in plan.layers}

    def origin_of(item: Node | Region) -> Origin:
        if isinstance(item, Region):
            return _of_region(item, steps, layers)
        return _of_call(steps[item.outputs], layers[item.layer.path], plan)

    return origin_of


def _of_call(step: Step, layer: LayerPlan, plan: HatchPlan) -> Origin:
    how = _HOW[step.how]
    if how != "inherited":
        return Origin(how)
    ours, theirs = kernel_of(step.mother), kernel_of(step.member)
    return Origin(how, _kept(step, layer, plan), ours if ours != theirs else None)


def _kept(step: Step, layer: LayerPlan, plan: HatchPlan) -> int:
    """The mother's channels; of a layer that grew only inside (more heads) the same share."""
    ours, channels = channels_of(step.mother), channels_of(step.member)
    if ours < channels:
        return ours
    shares = [1.0]
    for variable in layer.variables:
        for role in variable.roles:
            channel_map = plan.maps[role.axis] if isinstance(role, Copy) else None
            if channel_map is not None and len(channel_map.index) > channel_map.size:
                shares.append(channel_map.size / len(channel_map.index))
    return max(1, round(channels * min(shares)))


def _of_region(
    region: Region,
    steps: dict[tuple[int, ...], Step],
    layers: dict[tuple[str, ...], LayerPlan],
) -> Origin:
    """Of an indivisible region only the share of its parameters is told."""
    how = _HOW[steps[region.nodes[-1].outputs].how]
    if how != "inherited":
        return Origin(how)
    paths = {node.layer.path for node in region.nodes if makes_block(node)}
    inside = [variable for path in paths for variable in layers[path].variables]
    total = sum(math.prod(variable.shape) for variable in inside)
    share = sum(variable.shared for variable in inside) / total if total else 1.0
    channels = channels_of(region.nodes[-1])
    return Origin(how, min(channels, max(1, round(channels * share))))
