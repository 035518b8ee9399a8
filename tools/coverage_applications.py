#!/usr/bin/env python
"""What surgery can do with the networks of keras.applications: a table in docs/COVERAGE.md.

Every network is built without weights at a small size, gets random weights and statistics, and is
then read, widened by an uneven factor, deepened, and put under a MotherNet with its widened
version. All is built and computed in float64, on one random image. One process per network, so
that memory is given back; what is in the table already is not measured again, so a long run can
be stopped and started.

    tools/coverage_applications.py --minutes 15
    tools/coverage_applications.py --only ResNet50 --again
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import coverage_parts as parts

# Height and width of the image where 64 is not allowed.
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
SIDE = 64
CLASSES = 5
FACTOR = 1.3
TRIES = 12
# Of larger networks (in parameters) only a share of the layers is widened at once: memory.
LARGE = 40_000_000

SECTION = parts.Section(
    "keras.applications",
    ("network", "read", "without a rule", "layers", "parameters", "widened", "deepened")
    + ("mother of it and the widened", "seconds"),
    "Written by `tools/coverage_applications.py`. The networks have random weights and statistics,"
    f" take images of {SIDE} x {SIDE} pixels (or the smallest that the network takes) and have"
    f" {CLASSES} classes. Numbers are the largest difference of the outputs before and after,"
    " relative to the largest output, on one random image; all is built and computed in"
    " float64.\n\n"
    f"*Widened*: all layers at once whose width is free, each times {FACTOR} and rounded up, or"
    ' times 2 where a normalisation over channels needs an integer factor ("even"); of networks'
    f" with more than {LARGE // 10**6} million parameters every {TRIES}th of these widths."
    " *Deepened*: one unit with branches where that is allowed, and one layer (with what follows"
    " it) repeated as an identity: of a dozen places spread over the network the first that allows"
    " it. *Mother*: what the MotherNet of the network and its widened version is, and how far the"
    " version hatched from it is from the network.\n\n"
    "Deep networks with random weights magnify rounding. Where a deviation above 1e-10 stands,"
    " *last digit* is how far the outputs move if the last digit of the weights does.\n\n"
    "In networks that store float32, an inserted BatchNormalization is an identity only as well as"
    " float32 can say it: with a scale the one layer was off by 1e-11 at most over 512 random"
    " channels; without one (InceptionV3, InceptionResNetV2) its variance alone must make it an"
    " identity, and float32 does not hold 1 - epsilon (4e-9 was measured for InceptionV3).",
)


def architectures() -> list[str]:
    """All functions of keras.applications that build a network, by name."""
    import inspect

    import keras

    found = vars(keras.applications).items()
    return sorted(name for name, value in found if inspect.isfunction(value))


def build(name: str) -> Any:
    """A network of keras.applications with random weights, in float64."""
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    side = SIDES.get(name, SIDE)
    options = {"input_shape": (side, side, 3), "classes": CLASSES, "classifier_activation": None}
    return parts.randomise(getattr(keras.applications, name)(weights=None, **options))


def measure(name: str) -> Iterator[parts.Row]:
    """Build a network, change it in all ways, and say how far each is from the original."""
    from keras_mothernets.errors import MotherNetsError
    from keras_mothernets.graph import read

    model = build(name)
    yield {"parameters": f"{model.count_params():,}"}
    try:
        architecture = read(model)
    except MotherNetsError as error:
        yield {"read": f"refused: {parts.sentence(error)}"}
        return
    unknown = without_rule(architecture)
    yield {
        "read": "yes",
        "layers": str(len(architecture.layers)),
        "without a rule": ", ".join(unknown) or "none",
    }
    if unknown:
        return
    reference = parts.Reference(model)
    yield {"deepened": deepen(model, architecture, reference)}
    gc.collect()
    widened, text = widen(model, architecture, reference)
    yield {"widened": text}
    if widened is not None:
        yield {SECTION.columns[-2]: mother(model, widened, reference)}


def without_rule(architecture: Any) -> list[str]:
    """Kinds of layers that surgery refuses to touch."""
    from keras_mothernets.errors import GraphError
    from keras_mothernets.rules import rule_for

    unknown = []
    for node in architecture.nodes:
        try:
            rule_for(node)
        except GraphError:
            unknown.append(node.kind)
    return sorted(set(unknown))


def widen(model: Any, architecture: Any, reference: parts.Reference) -> tuple[Any, str]:
    """Widen all layers whose width is free."""
    import math

    import keras_mothernets as km
    from keras_mothernets.errors import MotherNetsError
    from keras_mothernets.surgery.coupling import coupled_layers

    groups = [group for group in coupled_layers(architecture) if group.key != "depth_multiplier"]
    if model.count_params() > LARGE:
        groups = groups[::TRIES]
    sizes = {
        layer: 2 * group.width if group.must_divide else math.ceil(FACTOR * group.width)
        for group in groups
        for layer in group.layers
    }
    try:
        widened = km.widen(model, sizes)
    except MotherNetsError as error:
        return None, f"refused: {parts.sentence(error)}"
    even = sum(len(group.layers) for group in groups if group.must_divide)
    count = f"{len(sizes)} layers" + (f", {even} of them even" if even else "")
    return widened, f"{count}, {reference.shown(reference.deviation(widened))}"


def deepen(model: Any, architecture: Any, reference: parts.Reference) -> str:
    """Repeat a unit with branches, and a layer."""
    from keras_mothernets.rules import rule_for

    hidden = architecture.nodes[:-1]
    merges = [node.layer.name for node in hidden if rule_for(node).merge == "sum"]
    makers = [
        node.layer.name
        for node in hidden
        if rule_for(node).width in ("filters", "units") and not node.fused
    ]
    found = [repeat(model, places, reference) for places in (merges, makers) if places]
    works = [text for text in found if not text.startswith("refused")]
    return "; ".join(works or found[-1:])


def repeat(model: Any, places: Sequence[str], reference: parts.Reference) -> str:
    """Deepen at the first place that allows it; if none does, say why the first not."""
    import keras_mothernets as km
    from keras_mothernets.errors import MotherNetsError

    reasons = []
    for layer in places[:: max(1, len(places) // TRIES)]:
        try:
            deepened = km.deepen(model, after=layer)
        except MotherNetsError as error:
            reasons.append(f"refused: {parts.sentence(error)}")
            gc.collect()  # what was built of it is cyclic, and may be gigabytes
            continue
        return f"`{layer}`, {reference.shown(reference.deviation(deepened))}"
    return reasons[0]


def mother(model: Any, widened: Any, reference: parts.Reference) -> str:
    """The MotherNet of a network and its widened version, and the version hatched from it."""
    import keras_mothernets as km
    from keras_mothernets.errors import MotherNetsError
    from keras_mothernets.graph import read
    from keras_mothernets.mothernet import common_architecture, equal_architectures

    architecture = read(model)
    try:
        common = common_architecture([read(widened), architecture])
        if not equal_architectures(common, architecture):
            return f"WRONG: {common.num_params:,} parameters"
        # The mother is the network itself, so its weights may as well be the network's.
        hatched = km.hatch(model, widened, seed=1)
    except MotherNetsError as error:
        return f"refused: {parts.sentence(error)}"
    return f"the network, {reference.shown(reference.deviation(hatched))}"


if __name__ == "__main__":
    sys.exit(parts.main(__doc__ or "", SECTION, architectures, measure))
