"""A network of the user's, with settings of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, naming, whole_number

# What Keras takes for a model's name under TensorFlow, and what can be a folder's.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Member:
    """One network of an ensemble together with settings that differ from the others'.

    Args:
        model: A built Functional or Sequential `keras.Model`. It is never modified.
        name: Name in tables, folders and layer names; the model's name by default. Up to 100
            letters a to z, digits, `_`, `-` and `.`, the first a letter or a digit.
        optimizer: A `keras.optimizers.Optimizer`, its name, or a function of the
            job that returns one; the method's `compile` argument by default.
        epochs: Number of epochs of this member's own training; the method's by default.
        callbacks: Callbacks for this member alone, in addition to those of `fit`.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="tiny")
        >>> Member(model, epochs=3).label
        'tiny'
    """

    model: keras.Model
    name: str | None = None
    optimizer: Any = None
    epochs: int | None = None
    callbacks: Sequence[keras.callbacks.Callback] | None = None

    @property
    def label(self) -> str:
        """The member's name: its own if given, else its model's."""
        return self.model.name if self.name is None else self.name


def as_model(network: Any) -> Any:
    """The model of a `Member`; anything else as it is.

    Args:
        network: A `Member`, or a model.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> as_model(Member(model)) is as_model(model) is model
        True
    """
    return network.model if isinstance(network, Member) else network


def as_members(members: object) -> list[Member]:
    """Turn models and `Member`s into a list of `Member`s with names that differ.

    Args:
        members: A sequence of built `keras.Model`s, `Member`s, or both.

    Returns:
        A list of `Member`s in the same order; a name used more than once gets
        `_2`, `_3`, ... appended in order of appearance.

    Raises:
        MotherNetsError: The sequence is empty or is not one, or an entry is no model, or has a
            name or number of epochs that cannot be used.
    """
    if isinstance(members, (keras.Model, Member)) or not isinstance(members, Sequence):
        is_iterable = isinstance(members, Iterable) and not isinstance(members, (str, Mapping))
        raise MotherNetsError(
            "`members` must be a list of models",
            expected="a list of built `keras.Model`s or `km.Member`s",
            received=f"a {type(members).__name__}",
            fix="Make a list of them: `list(members)`"
            if is_iterable
            else "Put the model into a list: `[model]`",
        )
    if not members:
        raise MotherNetsError(
            "An ensemble needs at least one member",
            expected="a list of built `keras.Model`s or `km.Member`s",
            received="an empty list",
        )
    return _distinct([_as_member(position, entry) for position, entry in enumerate(members)])


def _as_member(position: int, entry: object) -> Member:
    member = entry if isinstance(entry, Member) else Member(entry)
    if not isinstance(member.model, keras.Model):
        raise MotherNetsError(
            f"Member {position} is not a Keras model",
            expected="a built Functional or Sequential `keras.Model`",
            received=f"a {type(member.model).__name__}",
        )
    _check_name(position, member)
    if member.epochs is None:
        return member
    with naming(f"Member `{member.label}`"):
        return replace(member, epochs=whole_number("epochs", member.epochs, 0))


def _check_name(position: int, member: Member) -> None:
    if not isinstance(member.label, str) or not NAME.fullmatch(member.label):
        raise MotherNetsError(
            f"Member {position} has a name that layers and folders cannot have",
            expected="up to 100 letters a to z, digits, `_`, `-` and `.`, the first a letter or a"
            " digit",
            received=repr(member.label),
            fix='Give it another one: `km.Member(model, name="wide_net")`',
        )


def _distinct(members: list[Member]) -> list[Member]:
    taken: set[str] = set()
    named = []
    for member in members:
        name, count = member.label, 1
        while name in taken:
            count += 1
            name = f"{member.label}_{count}"
        taken.add(name)
        named.append(replace(member, name=name))
    return named
