"""Growing a network at one place at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_mothernets.errors import GraphError, SurgeryError
from keras_mothernets.graph import live_layers
from keras_mothernets.surgery.deepen import deepen
from keras_mothernets.surgery.edit import enlarge_kernels, widen
from keras_mothernets.surgery.edited import readable
from keras_mothernets.surgery.given import is_frozen
from keras_mothernets.surgery.places import Place, Sizes, find_places, places_at
from keras_mothernets.surgery.plan import explain


@dataclass(frozen=True, eq=False)
class Grown:
    """A network that has grown at one place and computes what it did before.

    Args:
        place: The place.
        model: The grown network.
        inherited: Fraction of its parameters that come from the network before.
    """

    place: Place
    model: keras.Model
    inherited: float


def grow_each(
    model: keras.Model, positions: Sequence[Any] | None = None, *, growth: float = 2.0
) -> tuple[list[Grown], dict[Place, str]]:
    """Grow a network at one place at a time, without changing what it computes.

    Args:
        model: A built Functional or Sequential model; it is not modified.
        positions: Names of layers, `(layer, kind)` or `Place`s; every place by default.
        growth: Factor on widths, see `find_places`.

    Returns:
        The grown networks in the order of the layers, and why the other places were left out.

    Raises:
        GraphError: The model cannot be read, or has no layer of a name.
        SurgeryError: It cannot grow at a position.

    Example:
        >>> hidden, head = keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)
        >>> grown, _ = grow_each(keras.Sequential([keras.Input((4,)), hidden, head]))
        >>> [(str(each.place), each.model.count_params()) for each in grown]
        [('hidden, wider', 44), ('hidden, deeper', 35)]
    """
    architecture = readable(model)
    sizes = find_places(architecture, growth)
    wanted = [list(sizes)]
    if positions is not None:
        wanted = [places_at(architecture, sizes, position) for position in _as_list(positions)]
    grown: dict[Place, Grown] = {}
    left_out: dict[Place, str] = {}
    for places in wanted:
        for place in places:
            try:
                grown[place] = _grow(model, place, sizes[place])
            except (GraphError, SurgeryError) as error:
                left_out[place] = error.problem
        if grown.keys().isdisjoint(places):
            raise SurgeryError(
                f"`{architecture.name}` cannot grow"
                + (f" at `{places[0].where}`" if positions is not None else " anywhere"),
                details="\n".join(f"{place}: {left_out[place]}" for place in places),
            )
    return [grown[place] for place in sizes if place in grown], left_out


def _as_list(positions: Any) -> list[Any]:
    if not isinstance(positions, (list, tuple)) or not positions:
        raise SurgeryError(
            "`positions` must be a list of layers, or `None` for every place",
            received=repr(positions),
        )
    return list(positions)


def _grow(model: keras.Model, place: Place, sizes: Sizes) -> Grown:
    """Grow at one place.

    Raises:
        SurgeryError: That would change the function, or nothing that is added could learn.
    """
    if place.kind == "wider":
        grown = widen(model, sizes)
    elif place.kind == "deeper":
        grown = deepen(model, place.layers[0])
    else:
        grown = enlarge_kernels(model, sizes)
    layers = {"/".join(path): layer for path, layer in live_layers(model).items()}
    is_kept = any(is_frozen(layers[name]) for name in place.layers)
    if is_kept or _trainable(grown) <= _trainable(model):
        raise SurgeryError("what is added could not learn, for it is frozen (`trainable`)")
    return Grown(place, grown, float(explain(model, grown).inherited))


def _trainable(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)
