"""Hatching: give a member's architecture the mother's function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import MotherNetsError, SurgeryError, naming
from keras_mothernets.graph import (
    Seeded,
    clone,
    finish,
    layer_variables,
    live_layers,
    read,
)
from keras_mothernets.member import Member, as_model
from keras_mothernets.rules import Statistics, rule_for
from keras_mothernets.surgery.arrays import grow
from keras_mothernets.surgery.plan import HatchPlan, LayerPlan, VariablePlan, make_plan
from keras_mothernets.surgery.statistics import derive, measure


def hatch(
    mother: keras.Model | Member,
    member: keras.Model | Member,
    *,
    seed: int = 0,
    noise: float = 0.0,
    shrink: float = 1.0,
    calibration: Any = None,
    name: str | None = None,
    new_channels: str = "copies",
) -> keras.Model:
    """Give a member's architecture the function of its mother.

    The member is built anew from its own config and every one of its variables
    is assigned once. With `noise=0` and `shrink=1` the result computes what the
    mother computes, to rounding. Copies of a channel get uneven, random shares
    of its outgoing weights, so that training tells them apart.

    Args:
        mother: A built Functional or Sequential model (or `km.Member`), with the weights
            to start from.
        member: A built model (or `km.Member`) that can be grown from the mother. Its own
            weights do not matter, and it is not modified.
        seed: Seed of the choice of copies, of their shares, and of the noise.
        noise: Standard deviation of Gaussian noise added to every kernel, as a
            fraction of that kernel's own standard deviation.
        shrink: Factor on every kernel before noise is added (shrink and perturb).
        calibration: Inputs of the mother, a few hundred examples. On them the
            statistics of inserted BatchNormalization layers are measured;
            otherwise they are derived from the layers before.
        name: Name of the new model; the member's by default.
        new_channels: "copies" of the mother's, or "fresh": with initial weights, and at first
            with outgoing weights of zero. Fresh ones learn sooner where channels are lacking.
            A normalization over channels needs copies and gets them.

    Returns:
        A new, built, uncompiled model.

    Raises:
        GraphError: One of the two cannot be read, or has a layer without a rule.
        SurgeryError: The member cannot be grown from the mother.
        MotherNetsError: `noise`, `shrink`, `seed`, `new_channels` or `calibration` cannot be used.

    Example:
        >>> def net(units, name):
        ...     hidden, head = keras.layers.Dense(units, "relu"), keras.layers.Dense(2)
        ...     return keras.Sequential([keras.Input((4,)), hidden, head], name=name)
        >>> mother, member = net(3, "mother"), net(5, "member")
        >>> x = np.ones((1, 4), "float32")
        >>> bool(np.allclose(hatch(mother, member)(x), mother(x), atol=1e-6))
        True

    Source: Wasay et al. 2020, section on hatching; widening as in Net2Net (Chen
    et al. 2016), but with uneven shares instead of equal ones plus noise.
    Shrink and perturb: Ash and Adams 2020.
    """
    mother, member = as_model(mother), as_model(member)
    _check_numbers(noise, shrink, seed)
    copies = check_new_channels(new_channels) == "copies"
    plan = make_plan(read(mother), read(member), seed=seed, copies=copies)
    return apply_plan(
        plan, mother, member, noise=noise, shrink=shrink, calibration=calibration, name=name
    )


def can_hatch(mother: keras.Model | Member, member: keras.Model | Member) -> bool:
    """Whether `member` can be grown from `mother` without changing its function.

    Args:
        mother: A built Functional or Sequential model, or `km.Member`.
        member: Another one.

    Returns:
        True if `hatch(mother, member)` works; `explain` says why it does not.

    Raises:
        GraphError: One of the two cannot be read, or has a layer without a rule.

    Example:
        >>> small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> can_hatch(small, small)
        True
    """
    try:
        make_plan(read(as_model(mother)), read(as_model(member)))
    except SurgeryError:
        return False
    return True


def apply_plan(
    plan: HatchPlan,
    mother: keras.Model,
    member: keras.Model,
    *,
    noise: float = 0.0,
    shrink: float = 1.0,
    calibration: Any = None,
    name: str | None = None,
) -> keras.Model:
    """Build the member anew and assign its variables as the plan says."""
    hatched = clone(member, name=name, weights=False)
    fill(plan, mother, hatched, noise=noise, shrink=shrink, calibration=calibration)
    return hatched


def fill(
    plan: HatchPlan,
    mother: keras.Model,
    hatched: keras.Model,
    *,
    noise: float = 0.0,
    shrink: float = 1.0,
    calibration: Any = None,
) -> None:
    """Assign the variables of a model that was built for it, as the plan says."""
    statistics = _statistics(plan, mother, calibration)
    sources, targets = live_layers(mother), live_layers(hatched)
    generator = np.random.default_rng([plan.seed, 1])
    for place, layer in enumerate(plan.layers):
        if not layer.variables:
            continue
        with naming(f"Layer `{layer.name}`"):
            values = _mother_values(layer, sources, statistics)
            target = targets[layer.step.member.layer.path]
            initial = _Initial(target, plan.seed, place)
            _assign(layer, values, target, plan, generator, initial)
            _perturb(target, noise, shrink, generator)
            finish(target)


def _assign(
    layer: LayerPlan,
    values: Mapping[str, np.ndarray],
    target: Any,
    plan: HatchPlan,
    generator: np.random.Generator,
    initial: _Initial,
) -> None:
    for variable, live in zip(layer.variables, layer_variables(target).values(), strict=True):
        value = values.get(variable.name)
        if variable.source == "initial":
            live.assign(initial.value(variable.name))
            continue
        if value is None:
            rule = rule_for(layer.step.member)
            fill = 0.0 if variable.source == "zero" else rule.absent(variable.name)
            value = np.full(variable.shape, fill)
        elif value.dtype.kind == "f":
            value = value.astype(live.dtype, copy=False)
        if variable.name in values:
            value = grow(
                value,
                variable.roles,
                plan.maps,
                variable.shape,
                generator,
                partial(initial.value, variable.name),
            )
        live.assign(value)


class _Initial:
    """The initial weights that a layer would have, drawn only if they are asked for."""

    def __init__(self, layer: Any, seed: int, place: int) -> None:
        self._layer = layer
        self._seed = seed
        self._place = place
        self._values: dict[str, np.ndarray] | None = None

    def value(self, name: str) -> np.ndarray:
        """Initial value of one variable."""
        if self._values is None:
            config = Seeded(self._seed, self._place)(self._layer.get_config())
            twin = type(self._layer).from_config(config)
            twin.build_from_config(self._layer.get_build_config())
            self._values = {
                key: keras.ops.convert_to_numpy(variable.value)
                for key, variable in layer_variables(twin).items()
            }
        return self._values[name]


def _mother_values(
    layer: LayerPlan, sources: Mapping[tuple[str, ...], Any], statistics: Mapping[int, Statistics]
) -> dict[str, np.ndarray]:
    """The weights of the mother's layer, or of the identity that stands for it."""
    step = layer.step
    rule = rule_for(step.member)
    if step.how in ("fresh", "zeroed"):
        return {}
    if layer.is_inserted:
        channel = rule.channel_axis(step.member)
        channels = step.mother.output_shapes[0][channel]
        assert channels is not None
        return rule.identity_values(step.member, channels, statistics.get(step.place))
    variables = layer_variables(sources[step.mother.layer.path])
    values = {key: keras.ops.convert_to_numpy(value) for key, value in variables.items()}
    return rule.rebase(step.mother, step.member, values)


def _statistics(plan: HatchPlan, mother: keras.Model, calibration: Any) -> dict[int, Statistics]:
    """Mean and variance at every place where a BatchNormalization is inserted."""
    architecture = plan.correspondence.mother
    places = {
        layer.step.place: rule_for(layer.step.member).channel_axis(layer.step.member)
        for layer in plan.layers
        if layer.step.how == "inserted" and _is_normalization(layer.variables)
    }
    if places and calibration is not None:
        return measure(mother, architecture, places, calibration)
    derived = {place: derive(mother, architecture, place, axis) for place, axis in places.items()}
    return {place: found for place, found in derived.items() if found is not None}


def _is_normalization(variables: tuple[VariablePlan, ...]) -> bool:
    return any(variable.name == "moving_mean" for variable in variables)


def _perturb(layer: Any, noise: float, shrink: float, generator: np.random.Generator) -> None:
    if not noise and shrink == 1.0:
        return
    for variable in layer.trainable_variables:
        if len(variable.shape) > 1:
            value = keras.ops.convert_to_numpy(variable.value)
            drawn = generator.normal(0.0, noise * float(value.std()), value.shape)
            variable.assign((shrink * value + drawn).astype(value.dtype))


def check_new_channels(value: object) -> str:
    """Either "copies" or "fresh".

    Raises:
        MotherNetsError: It is something else.
    """
    if value not in ("copies", "fresh"):
        raise MotherNetsError(
            "`new_channels` is not known", expected='"copies" or "fresh"', received=repr(value)
        )
    return str(value)


def _check_numbers(noise: float, shrink: float, seed: int) -> None:
    if not (_is_number(noise) and 0.0 <= noise < math.inf):
        raise MotherNetsError("`noise` must be a finite number of at least 0", received=repr(noise))
    if not (_is_number(shrink) and 0.0 <= shrink <= 1.0):
        raise MotherNetsError("`shrink` must be a number from 0 to 1", received=repr(shrink))
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise MotherNetsError("`seed` must be a whole number of at least 0", received=repr(seed))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
