"""What the callbacks of a job know, such that others like them can take it over.

Keras' callbacks keep what they know in their attributes: the patience that is left, the best
weights so far. Plain attributes (`plain_values`) are kept. So is a function of `keras.ops`, by its
name: `EarlyStopping` changes the sign of its `min_delta` when it chooses `less`, so that one is
wrong without the other. Functions, files and the like are left alone as long as the attribute is
what it was when the training began. With anything else a callback cannot be kept, since
nobody knows what it means: a queue, a metric, a network that is changed.
"""

from __future__ import annotations

import enum
import functools
import io
import logging
import types
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import keras
import tensorflow as tf

from keras_mothernets.training.describe import WATCHERS, describe
from keras_mothernets.training.fingerprint import weights_fingerprint
from keras_mothernets.training.job import Job
from keras_mothernets.training.plain_values import is_plain

_OF_EVERY_CALLBACK = tuple(vars(keras.callbacks.Callback()))
_GO_BACK_THEMSELVES = (keras.callbacks.BackupAndRestore,)
# What does not change, or is only written to.
_LEFT_ALONE = (
    enum.Enum,
    functools.partial,
    io.IOBase,
    Job,
    keras.losses.Loss,
    keras.optimizers.schedules.LearningRateSchedule,
    logging.Logger,
    PurePath,
    tf.data.Dataset,
    tf.summary.SummaryWriter,
    type,
    types.BuiltinFunctionType,
    types.FunctionType,
    types.ModuleType,
)

State = tuple[str, dict[str, Any], dict[str, str]]


class CannotKeep(Exception):
    """A callback cannot be kept; the message says which one and why."""


class CallbackStates:
    """Takes what callbacks know, and gives it to others like them.

    Those that only watch are not asked, except a `ModelCheckpoint`: it has to know what the
    best model so far was, or it would overwrite it.

    Args:
        callbacks: New callbacks of one job, before it is trained.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._callbacks = [
            (describe(callback), callback)
            for callback in callbacks
            if not isinstance(callback, WATCHERS)
            or type(callback) is keras.callbacks.ModelCheckpoint
        ]
        self._marks: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Remember what is left alone, after the callbacks were told that the training begins."""
        self._marks = [
            {name: _mark(value, callback) for name, value in _not_plain(callback)}
            for _, callback in self._callbacks
        ]

    def take(self) -> list[State]:
        """For each callback what it is, its plain attributes, and its functions of `keras.ops`.

        Raises:
            CannotKeep: A callback has something else that may have changed.
        """
        for (_, callback), marks in zip(self._callbacks, self._marks, strict=True):
            _check(callback, marks)
        return [(told, *_parted(callback)) for told, callback in self._callbacks]

    def give(self, states: Sequence[State]) -> None:
        """Let each callback know what one like it knew."""
        left = list(states)
        for told, callback in self._callbacks:
            state = next((state for state in left if state[0] == told), None)
            if state is not None:  # else one that watches and was not there
                left.remove(state)
                _, plain, functions = state
                for name, value in plain.items():
                    _put(callback, name, value)
                for name, function in functions.items():
                    setattr(callback, name, getattr(keras.ops, function))


def _attributes(callback: keras.callbacks.Callback) -> Iterator[tuple[str, Any]]:
    for name, value in vars(callback).items():
        if name not in _OF_EVERY_CALLBACK:
            yield name, value


def _not_plain(callback: keras.callbacks.Callback) -> Iterator[tuple[str, Any]]:
    for name, value in _attributes(callback):
        if not is_plain(value) and not _is_operation(value):
            yield name, value


def _is_operation(value: Any) -> bool:
    name = getattr(value, "__name__", None)
    return isinstance(name, str) and getattr(keras.ops, name, None) is value


def _parted(callback: keras.callbacks.Callback) -> tuple[dict[str, Any], dict[str, str]]:
    attributes = dict(_attributes(callback))
    plain = {name: value for name, value in attributes.items() if is_plain(value)}
    functions = {name: value.__name__ for name, value in attributes.items() if _is_operation(value)}
    return plain, functions


def _check(callback: keras.callbacks.Callback, marks: dict[str, Any]) -> None:
    kind = type(callback).__name__
    if isinstance(callback, _GO_BACK_THEMSELVES):
        raise CannotKeep(f"`{kind}` keeps epochs of its own and goes back to them")
    for name, value in _not_plain(callback):
        mark = _mark(value, callback)
        if mark is None or marks.get(name) != mark:
            raise CannotKeep(f"callback `{kind}` has `{name}`, a {type(value).__name__}")


def _mark(value: Any, callback: keras.callbacks.Callback) -> Any:
    """What is equal as long as a value is what it was; `None` if that cannot be known."""
    if value is callback.model or value is callback.model.optimizer:
        return "kept with the network"
    if isinstance(value, keras.Model):
        return weights_fingerprint(value)
    return value if isinstance(value, _LEFT_ALONE) else None


def _put(callback: keras.callbacks.Callback, name: str, value: Any) -> None:
    """Set an attribute; a list or dict stays the one that others may hold too."""
    present = getattr(callback, name, None)
    if type(present) is type(value) is list:
        present[:] = value
    elif type(present) is type(value) is dict:
        present.clear()
        present.update(value)
    else:
        setattr(callback, name, value)
