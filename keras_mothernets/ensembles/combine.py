"""Several trained networks as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_mothernets.ensembles.outputs import gives_independent_units, squashings_of
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.uncertainty import votes
from keras_mothernets.errors import MotherNetsError, naming
from keras_mothernets.graph import check_model_name, check_readable, clone
from keras_mothernets.member import Member, as_members
from keras_mothernets.training.signature import (
    input_keys,
    input_structure,
    output_keys,
    output_names,
    output_structure,
)

METHODS = ("average", "weighted", "vote")


def combine(
    models: Sequence[keras.Model | Member],
    method: str = "average",
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    logits: Any = None,
    name: str = "ensemble",
) -> keras.Model:
    """One plain Functional model that gives what several networks give together.

    The members are copied, so that yours stay as they are and stay independent of the ensemble.
    Only stock Keras layers are used: the ensemble saves, loads, clones and exports without
    this package. Each copy is one layer, named as its member: `ensemble.get_layer("vgg16")`.

    What comes out, for each output of the members and in its shape:

    - "average": the mean of the members' outputs: class probabilities, or the mean prediction
      of a regression.
    - "weighted": the same with a weight for each member; weights are scaled to sum to one.
    - "vote": the share of members that voted for each class. Where units are independent
      (one unit, or a sigmoid behind several), the share of members that said yes to
      the unit, that is, gave it more than one half.

    Members that give logits: their outputs pass softmax (or sigmoid) first, because the mean of
    logits is not the mean of probabilities. The ensemble then gives probabilities
    where its members give logits, and wants a loss with `from_logits=False`.

    Args:
        models: Built models with the same input shapes and the same output shapes.
        method: "average", "weighted" or "vote".
        weights: One number of at least 0 per member; only with "weighted". `km.super_learner` and
            `km.greedy_selection` find them.
        logits: Whether the members give logits. `None` finds out from the loss that each is
            compiled with and from its last activation (uncompiled: as the others; if none is,
            they do not); `True` and `False` say so of all; "softmax" or
            "sigmoid" also says which probabilities are meant; a list or dict of these says
            it for each output. `True` means sigmoid for a single unit, else softmax.
        name: Name of the ensemble.

    Returns:
        A new, built, uncompiled model. Its inputs are named as the first member's, its outputs
        too if all members agree on the names; else "predictions" or "predictions_1", ...

    Raises:
        MotherNetsError: There are no models, they do not match each other, or an argument
            is not one of the above; the member is named.

    Example:
        >>> members = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name=name)
        ...            for name in ("one", "two")]
        >>> ensemble = combine(members, logits=True)
        >>> ensemble.output_shape, [layer.name for layer in ensemble.layers[1:3]]
        ((None, 3), ['one', 'two'])

    Source: averaging as the combination of MotherNets: Wasay et al., MLSys 2020, section 3.4.
    That probabilities are averaged, and not logits: Lakshminarayanan, Pritzel & Blundell, Simple
    and Scalable Predictive Uncertainty Estimation using Deep Ensembles, 2017.
    """
    members = as_members(list(models) if isinstance(models, tuple) else models)
    check_model_name(name)
    check_alike(members)
    shares = _shares(method, weights, len(members))
    squashings = squashings_of(logits, [member.model for member in members])
    inputs = named_inputs(members[0].model)
    names = _names(members, {tensor.name for tensor in inputs})
    outputs = [
        _call(member, inputs, name) for member, name in zip(members, names.members, strict=True)
    ]
    first = members[0].model
    combined = [
        _combine_output(
            [output[position] for output in outputs],
            [member.model for member in members],
            position,
            shares,
            [squashing[position] for squashing in squashings],
            output_name,
        )
        for position, output_name in enumerate(names.outputs)
    ]
    pack = keras.tree.pack_sequence_as
    given, taken_out = pack(input_structure(first), inputs), pack(output_structure(first), combined)
    return keras.Model(given, taken_out, name=name)


def check_alike(members: Sequence[Member]) -> None:
    """Members must be built and agree on the shapes of inputs and outputs.

    Args:
        members: At least one member.

    Raises:
        MotherNetsError: They do not; the member that differs from the first is named.
    """
    for member in members:
        with naming(f"Member `{member.label}`"):
            check_readable(member.model)
    first = members[0]
    for member in members[1:]:
        for side, structure, keys in (
            ("input", input_structure, input_keys),
            ("output", output_structure, output_keys),
        ):
            mine, its = (_shapes(entry.model, f"{side}s") for entry in (member, first))
            if mine != its:
                raise MotherNetsError(
                    f"Member `{member.label}` has other {side} shapes than member `{first.label}`",
                    expected=f"{its}",
                    received=f"{mine}",
                )
            if isinstance(structure(first.model), dict) and keys(member.model) != keys(first.model):
                raise MotherNetsError(
                    f"Member `{member.label}` has other {side} names than member `{first.label}`",
                    expected=f"{keys(first.model)}",
                    received=f"{keys(member.model)}",
                )


def _shapes(model: keras.Model, side: str) -> list[tuple[int | None, ...]]:
    return [tuple(tensor.shape)[1:] for tensor in getattr(model, side)]


def _shares(
    method: str, weights: Sequence[float] | np.ndarray | None, count: int
) -> list[float] | None:
    """The weights of the members, summing to one; `None` stands for votes."""
    if method not in METHODS:
        raise MotherNetsError(
            "`method` of the combination is not known",
            expected=f"one of {list(METHODS)}",
            received=repr(method),
        )
    if (weights is not None) != (method == "weighted"):
        raise MotherNetsError(
            f"`weights` {'are missing' if weights is None else 'are given'} with `{method}`",
            expected='`weights` with "weighted", and only there',
        )
    if method == "vote":
        return None
    return [float(number) for number in as_shares(weights, count)]


def named_inputs(model: keras.Model) -> list[Any]:
    """One new Input per input of a model, of its name unless Keras made that up.

    Args:
        model: A built model.

    Returns:
        Symbolic tensors in the order of `model.inputs`, for any number of examples.
    """
    names = input_keys(model)
    if any(re.fullmatch(r"(keras_tensor|input_layer)(_\d+)?", name) for name in names):
        names = ["input"] if len(names) == 1 else [f"input_{i + 1}" for i in range(len(names))]
    return [
        keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=name)
        for tensor, name in zip(model.inputs, names, strict=True)
    ]


def _call(member: Member, inputs: list[Any], name: str) -> list[Any]:
    model = clone(member.model, name=name)
    return keras.tree.flatten(
        model(keras.tree.pack_sequence_as(input_structure(member.model), inputs))
    )


class _Names(NamedTuple):
    outputs: list[str]
    members: list[str]


def _names(members: Sequence[Member], inputs: set[str]) -> _Names:
    """Names of the outputs and of the members' layers, all different.

    Inputs keep theirs, and outputs on whose names all members agree: dicts of arrays and of
    losses use them. Then come the members, then names that are made up.
    """
    labels = {member.label for member in members}
    given, are_agreed = _output_names(members)
    outputs: list[str] = []
    for name in given:
        taken = inputs | set(outputs) | (set() if are_agreed else labels)
        outputs.append(free_name(name, taken))
    taken = inputs | set(outputs)
    chosen: list[str] = []
    for member in members:
        is_free = member.label not in taken
        chosen.append(member.label if is_free else free_name(member.label, taken | labels))
        taken.add(chosen[-1])
    return _Names(outputs, chosen)


def _output_names(members: Sequence[Member]) -> tuple[list[str], bool]:
    """Names for the outputs, and whether they are the members' own."""
    names = output_names(members[0].model)
    is_shared = all(output_names(member.model) == names for member in members)
    if is_shared and len(set(names)) == len(names):
        return names, True
    count = len(names)
    made_up = ["predictions"] if count == 1 else [f"predictions_{i + 1}" for i in range(count)]
    return made_up, False


def free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken: itself, or with `_2`, `_3`, ... behind it.

    Example:
        >>> free_name("predictions", {"predictions"})
        'predictions_2'
    """
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _combine_output(
    tensors: list[Any],
    models: list[keras.Model],
    position: int,
    shares: list[float] | None,
    squashings: list[str | None],
    name: str,
) -> Any:
    # Half precision is for inside the members; a mean of probabilities is taken in float32.
    dtype = "float64" if tensors[0].dtype == "float64" else "float32"
    if shares is None:
        tensors = [
            _vote(
                tensor,
                gives_independent_units(model, position, squashing),
                0.0 if squashing else 0.5,
                dtype,
            )
            for tensor, model, squashing in zip(tensors, models, squashings, strict=True)
        ]
        shares = [1.0 / len(tensors)] * len(tensors)
    else:
        stem = f"{name}_probabilities"
        tensors = [
            keras.layers.Activation(squashing, dtype=dtype, name=f"{stem}_{number}")(tensor)
            if squashing
            else tensor
            for number, (tensor, squashing) in enumerate(
                zip(tensors, squashings, strict=True), start=1
            )
        ]
    return _weighted_mean(tensors, shares, name, dtype)


def _vote(tensor: Any, is_yes_or_no: bool, threshold: float, dtype: str) -> Any:
    if is_yes_or_no:
        return keras.ops.cast(tensor > threshold, dtype)
    return keras.ops.cast(votes(tensor), dtype)


def _weighted_mean(tensors: list[Any], shares: list[float], name: str, dtype: str) -> Any:
    if len(tensors) == 1:
        return keras.layers.Identity(dtype=dtype, name=name)(tensors[0])
    if len(set(shares)) == 1:
        return keras.layers.Average(dtype=dtype, name=name)(tensors)
    scaled = [
        keras.layers.Rescaling(share, dtype=dtype, name=f"{name}_share_{number}")(tensor)
        for number, (tensor, share) in enumerate(zip(tensors, shares, strict=True), start=1)
    ]
    return keras.layers.Add(dtype=dtype, name=name)(scaled)
