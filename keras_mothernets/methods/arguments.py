"""What a method is given: its data, what decides about the best epoch, and networks of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from keras_mothernets.errors import MotherNetsError, check_arguments
from keras_mothernets.graph import own_methods
from keras_mothernets.member import Member
from keras_mothernets.training.data import TrainingData, read_data

# What of a `keras.Model` decides how it is trained and evaluated.
_TRAINING = (
    "train_step",
    "test_step",
    "predict_step",
    "make_train_function",
    "make_test_function",
    "compute_loss",
    "compute_metrics",
    "fit",
    "evaluate",
)


def read_arguments(
    verb: Callable[..., Any], x: Any, y: Any, data_arguments: dict[str, Any]
) -> TrainingData:
    """Read the data that a method's verb was given.

    Args:
        verb: The function that was called, such as `Method.fit`.
        x: As it was given.
        y: The same.
        data_arguments: What it passes on, by name.

    Raises:
        MotherNetsError: A name is none of the verb's and none of `read_data`.
        DataError: The data cannot be used.
    """
    owners = (verb, read_data)
    names = dict.fromkeys(name for owner in owners for name in inspect.signature(owner).parameters)
    known = [name for name in names if name not in ("self", "data_arguments")]
    check_arguments(verb.__name__, data_arguments, known)
    return read_data(x, y, **data_arguments)


def monitor_of(choice: Any, data: TrainingData) -> str:
    """The metric by which the best epoch is kept, "" without one or without a validation.

    Raises:
        MotherNetsError: It is no name.
    """
    if choice is not None and (not isinstance(choice, str) or not choice):
        raise MotherNetsError(
            "`monitor` must be the name of a metric, such as `val_loss`, or `None`",
            received=repr(choice),
        )
    return "" if choice is None or data.validation is None else choice


def check_training(members: Sequence[Member]) -> None:
    """Members are copied as plain models, so training of their own would be lost.

    Args:
        members: The members.

    Raises:
        MotherNetsError: A member's class overrides how it is trained.
    """
    for member in members:
        own = own_methods(member.model, _TRAINING)
        if own:
            raise MotherNetsError(
                f"Member `{member.label}` has a `{own[0]}` of its own, and copies of it would be"
                " trained without",
                expected="a Functional or Sequential model that trains as Keras' own do",
                received=f"class `{type(member.model).__name__}`",
                fix="Give what it does as loss, metrics, optimizer or layers; or train it by itself"
                " and use `km.combine`",
            )
