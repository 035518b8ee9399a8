"""Where a network can grow, and to which sizes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, Node
from keras_mothernets.rules import rule_for
from keras_mothernets.surgery.coupling import coupled_layers
from keras_mothernets.surgery.deepen import regions_in
from keras_mothernets.surgery.edited import find

KINDS = ("wider", "deeper", "larger kernel")
_MORE_TAPS = 2  # one on each side, so that the kernel stays where it is

# New sizes by layer name, as `widen` and `enlarge_kernels` take them; none for `deepen`.
Sizes = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A place where a network can grow, and how.

    Args:
        layers: Names of the layers that grow. If several get wider, they can only have one width;
            if several get deeper, it is one of them, and the same network whichever it is.
        kind: "wider", "deeper" or "larger kernel".

    Example:
        >>> print(Place(("stem", "project"), "wider"))
        stem + project, wider
        >>> print(Place(("add_1", "add_2"), "deeper"))
        add_1 or add_2, deeper
    """

    layers: tuple[str, ...]
    kind: str

    @property
    def where(self) -> str:
        """The layers in a few words."""
        word = " or " if self.kind == "deeper" else " + "
        if len(self.layers) > 3:
            return f"{self.layers[0]}{word}{len(self.layers) - 1} more"
        return word.join(self.layers)

    def __str__(self) -> str:
        return f"{self.where}, {self.kind}"


def find_places(architecture: Architecture, growth: float = 2.0) -> dict[Place, Sizes]:
    """All places where growth can be tried, each with the sizes that its layers are to have.

    Args:
        architecture: A network of which every layer has a rule.
        growth: Factor on widths. What is normalised over channels grows by a whole factor. A
            kernel grows by two along each axis, and what gets deeper by one copy.

    Returns:
        The places in the order of the layers. The layers that make an output are none.
    """
    outputs = _output_layers(architecture)
    nodes: dict[str, Node] = {}
    for node in architecture.nodes:
        if not node.fused and node.layer.name not in outputs:
            nodes.setdefault(node.layer.name, node)
    found = _wider(architecture, growth)
    units = {region.name for region in regions_in(architecture.tree)}
    for name, node in nodes.items():
        is_unit = name in units and rule_for(node).merge in ("sum", "concat")
        if is_unit or rule_for(node).width is not None:
            found[Place((name,), "deeper")] = {}
        if "kernel_size" in node.config and node.layer.variables:
            kernel = tuple(taps + _MORE_TAPS for taps in node.config["kernel_size"])
            found[Place((name,), "larger kernel")] = {name: kernel}
    order = list(nodes)
    return dict(
        sorted(
            ((place, new) for place, new in found.items() if not outputs & set(place.layers)),
            key=lambda entry: (order.index(entry[0].layers[0]), KINDS.index(entry[0].kind)),
        )
    )


def _wider(architecture: Architecture, growth: float) -> dict[Place, Sizes]:
    found: dict[Place, Sizes] = {}
    for group in coupled_layers(architecture):
        width = max(group.width + 1, round(growth * group.width))
        if group.must_divide:
            width = group.width * math.ceil(growth)
        found[Place(group.layers, "wider")] = dict.fromkeys(group.layers, width)
    return found


def _output_layers(architecture: Architecture) -> set[str]:
    """Names of the layers whose channels are those of an output."""
    tensors = set(architecture.outputs)
    names = set()
    for node in reversed(architecture.nodes):
        if tensors.isdisjoint(node.outputs):
            continue
        if rule_for(node).width is not None and not node.fused:
            names.add(node.layer.name)
        else:
            tensors.update(node.inputs)
    return names


def places_at(architecture: Architecture, places: Collection[Place], position: Any) -> list[Place]:
    """The places that a position speaks of.

    Args:
        architecture: The network.
        places: All of its places.
        position: The name of a layer, `(name, kind)` or a `Place`.

    Raises:
        GraphError: There is no such layer.
        SurgeryError: It is no position, or no place to grow.
    """
    name, kinds = _parsed(position)
    layer = find(architecture, name).layer.name
    if layer in _output_layers(architecture):
        raise SurgeryError(
            f"Layer `{layer}` makes the output, so it cannot grow", expected="a hidden layer"
        )
    found = [place for place in places if layer in place.layers and place.kind in kinds]
    if found:
        return found
    names = [name for place in places if place.kind in kinds for name in place.layers]
    raise SurgeryError(
        f"Layer `{layer}` cannot grow" + (f" {kinds[0]}" if len(kinds) == 1 else ""),
        expected="one of " + ", ".join(f"`{name}`" for name in dict.fromkeys(names)),
    )


def _parsed(position: Any) -> tuple[str, tuple[str, ...]]:
    """The layer and the kinds of growth that a position speaks of."""
    if isinstance(position, Place):
        position = (position.layers[0], position.kind)
    if isinstance(position, str):
        return position, KINDS
    if isinstance(position, (tuple, list)) and len(position) == 2:
        name, kind = position
        if isinstance(name, str) and kind in KINDS:
            return name, (kind,)
    kinds = ", ".join(f'"{kind}"' for kind in KINDS)
    raise SurgeryError(
        "A position cannot be understood",
        expected=f"the name of a layer, or `(name, kind)` with one of the kinds {kinds}",
        received=repr(position),
    )
