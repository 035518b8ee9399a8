"""Optimizers, metrics and losses made anew: the same settings, none of the state."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError, reason_of
from keras_mothernets.graph import has_variables_without_decay, names_without_decay

# Names that Keras resolves only when it sees the shapes of labels and outputs.
_SHAPE_NAMES = ("accuracy", "acc", "crossentropy", "ce", None)
# Arguments of a constructor that every `get_config` of Keras' base classes tells.
_TOLD_BY_ALL = {"self", "name", "dtype"}


def fresh_optimizer(choice: Any) -> keras.optimizers.Optimizer:
    """A new, unused optimizer with the settings of the one chosen.

    Raises:
        MotherNetsError: It cannot be made anew.
        ValueError: Keras does not know what is meant.
    """
    if choice is None:
        raise ValueError("it is None")
    if not isinstance(choice, keras.optimizers.Optimizer):
        return keras.optimizers.get(choice)
    check_weight_decay(choice)
    made = _made_anew(choice, fix="Give a function of the job: `lambda job: MyOptimizer(...)`")
    for old, new in zip(with_inner(choice), with_inner(made), strict=True):
        names = names_without_decay(old)  # which are not part of the config
        if names is not None:
            new.exclude_from_weight_decay(var_names=[names])
    return made


def check_weight_decay(optimizer: keras.optimizers.Optimizer) -> None:
    """What is left out of weight decay must be said by names.

    Raises:
        MotherNetsError: It is said by variables, which are those of another network.
    """
    if any(has_variables_without_decay(each) for each in with_inner(optimizer)):
        raise MotherNetsError(
            "`optimizer` leaves single variables out of weight decay, but every job has its own",
            expected="`exclude_from_weight_decay(var_names=...)`",
            received="`var_list`",
            fix='Give names: `optimizer.exclude_from_weight_decay(var_names=["bias"])`',
        )


def with_inner(optimizer: keras.optimizers.Optimizer) -> Iterator[keras.optimizers.Optimizer]:
    """An optimizer, and the one inside it if it scales the loss of another."""
    yield optimizer
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        yield inner


def fresh_metric(metric: Any) -> Any:
    """A new metric like this one; names and functions as they are.

    Raises:
        MotherNetsError: It cannot be made anew.
        ValueError: Keras does not know what is meant.
    """
    if isinstance(metric, keras.metrics.Metric):
        return _made_anew(metric, fix="Write its `get_config`, or give a function instead")
    if metric not in _SHAPE_NAMES:
        keras.metrics.get(metric)  # raises for an unknown name
    return metric


def fresh_loss(loss: Any) -> Any:
    """A new loss object like this one; one that cannot be made anew stays, having no state."""
    if isinstance(loss, keras.losses.Loss) and tells_its_config(loss):
        return _made_anew(loss, fix="Mend its `get_config`")
    return loss


def check_loss(loss: Any) -> None:
    """Keras must know what is meant by a loss.

    Raises:
        ValueError: It does not.
    """
    if isinstance(loss, type):
        raise ValueError(f"it is the class `{loss.__name__}`; give an object: `{loss.__name__}()`")
    if loss not in _SHAPE_NAMES:
        keras.losses.get(loss)


def tells_its_config(entry: Any) -> bool:
    """Whether an object's `get_config` knows all that its constructor was given.

    It does where the class that has the constructor, or one below it, has `get_config` too,
    and where the constructor takes nothing but a name and a dtype. Keras' own classes all
    do; some inherit it (AdamW has its arguments from Adam).
    """
    for ancestor in type(entry).__mro__:
        if "get_config" in vars(ancestor) or ancestor.__module__.split(".")[0] == "keras":
            return hasattr(entry, "get_config")
        if "__init__" in vars(ancestor) and not _takes_a_name_only(ancestor):
            return False
    return False


def _takes_a_name_only(owner: type) -> bool:
    parameters = inspect.signature(vars(owner)["__init__"]).parameters
    return all(
        name in _TOLD_BY_ALL or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for name, parameter in parameters.items()
    )


def _made_anew(entry: Any, fix: str) -> Any:
    name = type(entry).__name__
    if not tells_its_config(entry):
        raise MotherNetsError(
            f"`{name}` has arguments of its own and no `get_config`, "
            "so it cannot be made anew for each job",
            fix=fix,
        )
    try:
        with keras.saving.custom_object_scope(classes_inside(entry)):
            return type(entry).from_config(entry.get_config())
    except Exception as error:
        raise MotherNetsError(
            f"`{name}` cannot be made anew for each job from its `get_config`",
            received=reason_of(error),
            fix=fix,
        ) from error


def classes_inside(entry: Any) -> dict[str, type]:
    """Classes of the parts of an optimizer by name, so that the user's need not be registered.

    Functions have to be: Keras takes every text in the config for one of the same name.
    """
    found: dict[str, type] = {}
    for part in vars(entry).values():
        if isinstance(part, keras.optimizers.schedules.LearningRateSchedule):
            found[type(part).__name__] = type(part)
        elif isinstance(part, keras.optimizers.Optimizer):
            found |= {type(part).__name__: type(part), **classes_inside(part)}
    return found
