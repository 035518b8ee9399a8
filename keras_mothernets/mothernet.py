"""The MotherNet: the largest network from which all members of a cluster can be grown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_mothernets.errors import SurgeryError, naming
from keras_mothernets.graph import (
    Architecture,
    Seeded,
    build,
    read,
)
from keras_mothernets.member import Member, as_members
from keras_mothernets.rules import check_rules
from keras_mothernets.surgery import (
    TASTES,
    Taste,
    align,
    copy_given,
    keep_common,
    make_plan,
    meet,
    settle_widths,
    shared_params,
)

_ALL_ORDERS_UP_TO = 3
_SOME_ORDERS_UP_TO = 10


def mothernet(members: Sequence[Any], *, name: str = "mothernet", seed: int = 0) -> keras.Model:
    """Build the largest network from which every member can be hatched.

    The members are aligned call by call. What all of them have stays, with the
    smallest width and kernel at each position; what some members lack goes, as
    long as hatching can put it back as an identity.

    Args:
        members: Built Functional or Sequential models, or `km.Member`s, with
            equal inputs and outputs.
        name: Name of the new model.
        seed: Seed of its random initial weights.

    Returns:
        A new, built, uncompiled Functional model. Layers are named as in one of
        the members. Settings that the user made (the mean of a
        `Normalization`) are copied from there, and so are layers that are
        frozen with the same weights in all members; they stay frozen. All other
        layers are trainable, frozen in a member or not.

    Raises:
        GraphError: A member cannot be read, or has a layer without a rule.
        SurgeryError: The members have no network in common; the message names
            the first one that does not fit, and the layer.

    Example:
        >>> def net(units, name):
        ...     hidden, head = keras.layers.Dense(units, "relu"), keras.layers.Dense(2)
        ...     return keras.Sequential([keras.Input((4,)), hidden, head], name=name)
        >>> mothernet([net(3, "a"), net(5, "b")]).layers[1].units
        3

    Source: Wasay et al. 2020, construction of the MotherNet: per block the
    fewest layers, per position the fewest filters and the smallest filter.
    Blocks are not given here but follow from the alignment, and identity
    insertion is demanded wherever a member has more.
    """
    entries = as_members(members)
    architectures = [read_member(entry.label, entry.model) for entry in entries]
    common = common_architecture(architectures, name=name)
    return build_mother(entries, architectures, common, name=name, seed=seed)


def build_mother(
    members: Sequence[Member],
    architectures: Sequence[Architecture],
    common: Architecture,
    *,
    name: str = "mothernet",
    seed: int = 0,
) -> keras.Model:
    """Build what some members have in common.

    Args:
        members: The members.
        architectures: What was read of them.
        common: What `common_architecture` found.
        name: Name of the model.
        seed: Seed of its initial weights.
    """
    model = build(common, name=name, edit=Seeded(seed))
    copy_given(members, architectures, common, model)
    return model


def read_member(label: str, model: keras.Model) -> Architecture:
    """Read a member's architecture under its name, and check that every layer has a rule."""
    with naming(f"Member `{label}`"):
        architecture = replace(read(model), name=label)
        check_rules(architecture)
    return architecture


def common_architecture(
    architectures: Sequence[Architecture], *, name: str = "mothernet"
) -> Architecture:
    """The largest architecture from which all given ones can be grown.

    Args:
        architectures: At least one.
        name: Name of the result.

    Returns:
        The common architecture, from which each member has been proved to grow.

    Raises:
        SurgeryError: There is none.
    """
    smallest = min(architectures, key=lambda architecture: architecture.num_params)
    if _grows_into_all(smallest, architectures):  # no mother is larger than a member
        return replace(smallest, name=name)
    best: Architecture | None = None
    failures: list[SurgeryError] = []
    for taste in TASTES:
        candidates = _candidates(architectures, taste, failures)
        for candidate in candidates:
            try:
                found = _proved(candidate.architecture, architectures)
            except SurgeryError as error:
                failures.append(error)
                continue
            if best is None or found.num_params > best.num_params:
                best = found
            if shared_params(found) >= candidate.params:  # as promised, and none promises more
                return replace(best, name=name)
        if not candidates and not any(isinstance(f, _Misfit) for f in failures):
            break  # the networks differ, whatever is sought first
    if best is None:
        first = failures[0]
        raise SurgeryError(**vars(first)) if isinstance(first, _Misfit) else first
    return replace(best, name=name)


def same_architecture(first: keras.Model, second: keras.Model) -> bool:
    """Whether two models are equal but for names and weights.

    Args:
        first: A built Functional or Sequential model.
        second: Another one.

    Example:
        >>> def net(name):
        ...     return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name=name)
        >>> same_architecture(net("a"), net("b"))
        True
    """
    return equal_architectures(read(first), read(second))


def equal_architectures(first: Architecture, second: Architecture) -> bool:
    """Whether two architectures are equal but for names."""
    if len(first.nodes) != len(second.nodes):
        return False
    if [(e.shape, e.dtype) for e in first.inputs] != [(e.shape, e.dtype) for e in second.inputs]:
        return False
    tensors = {a.tensor: b.tensor for a, b in zip(first.inputs, second.inputs, strict=True)}
    for ours, theirs in zip(first.nodes, second.nodes, strict=True):
        if tuple(tensors[tensor] for tensor in ours.inputs) != theirs.inputs:
            return False
        if meet(ours, theirs) != {} or meet(theirs, ours) != {}:
            return False
        tensors.update(zip(ours.outputs, theirs.outputs, strict=True))
    return tuple(tensors[tensor] for tensor in first.outputs) == second.outputs


@dataclass(frozen=True)
class _Candidate:
    """A network in common, its widths not settled yet, and the parameters it may share."""

    architecture: Architecture
    params: int


def _grows_into_all(smallest: Architecture, architectures: Sequence[Architecture]) -> bool:
    try:
        for architecture in architectures:
            make_plan(smallest, architecture)
    except SurgeryError:
        return False
    return True


class _Misfit(SurgeryError):
    """What an alignment matches makes no network: axes that must agree do not."""


def _candidates(
    architectures: Sequence[Architecture], taste: Taste, failures: list[SurgeryError]
) -> list[_Candidate]:
    """What folding in several orders gives, the largest promise first; adds to `failures`."""
    found = []
    for order in _orders(architectures):
        try:
            found.append(_fold([architectures[number] for number in order], taste))
        except SurgeryError as error:
            failures.append(error)
    return sorted(found, key=lambda candidate: -candidate.params)


def _proved(common: Architecture, architectures: Sequence[Architecture]) -> Architecture:
    """A common network with settled widths, from which every member has a plan to grow."""
    settled = settle_widths(common, architectures)
    for architecture in architectures:
        with naming(f"Member `{architecture.name}`"):
            make_plan(settled, architecture)
    return settled


def _orders(architectures: Sequence[Architecture]) -> list[tuple[int, ...]]:
    """Orders in which to fold. Any gives a common network; which is largest can depend on it."""
    count = len(architectures)
    given = tuple(range(count))
    if count <= _ALL_ORDERS_UP_TO:
        return list(itertools.permutations(given))
    by_size = tuple(sorted(given, key=lambda number: architectures[number].num_params))
    return [given, by_size, by_size[::-1]] if count <= _SOME_ORDERS_UP_TO else [by_size]


def _fold(architectures: Sequence[Architecture], taste: Taste) -> _Candidate:
    common = architectures[0]
    params = shared_params(common)
    for architecture in architectures[1:]:
        alignment = align(common, architecture, grow_only=False, taste=taste)
        params = alignment.params
        try:
            with naming(f"Member `{common.name}`"):
                common = keep_common(common, alignment.pairs)
        except SurgeryError as error:
            raise _Misfit(**vars(error)) from error
    return _Candidate(common, params)
