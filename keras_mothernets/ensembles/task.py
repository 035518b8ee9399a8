"""What the members are asked: which class it is, or how large some numbers are."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets.ensembles.outputs import gives_independent_units
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.member import Member
from keras_mothernets.training.losses import SIGMOIDS, LossKind, loss_specs
from keras_mothernets.training.signature import output_keys

CLASS_ACTIVATIONS = ("softmax", "sparsemax")


class Task(enum.Enum):
    """What members can be measured for."""

    CLASSES = "classification"  # one class of several is right
    NUMBERS = "regression"


def task_of(
    members: Sequence[Member],
    squashings: Sequence[str | None],
    label_shape: tuple[int, ...],
    said: str | None = None,
) -> Task:
    """What the members predict, by their losses and last activations.

    One unit behind a sigmoid is a classifier of two classes. Where a network tells nothing (no
    loss, no activation) class numbers as labels of several units make it a classifier.

    Args:
        members: Members of the same output shapes.
        squashings: For each what makes probabilities of its outputs; `None` if they are.
        label_shape: Shape of the labels, examples first.
        said: "classification" or "regression", in place of what networks tell.

    Raises:
        MotherNetsError: `said` is neither; or a member has several outputs, or an output that is
            neither task; or members differ in their task.
    """
    for member in members:
        _check_form(member)
    losses = [member.model.loss if member.model.compiled else None for member in members]
    known = next((loss for loss in losses if loss is not None), None)
    tasks = [
        _as_said(said)
        or _task_of_one(member.model, known if loss is None else loss, squashing, label_shape)
        for member, loss, squashing in zip(members, losses, squashings, strict=True)
    ]
    for member, task, squashing in zip(members, tasks, squashings, strict=True):
        if task is Task.CLASSES:
            _check_classes(member, squashing)
    for member, task in zip(members, tasks, strict=True):
        if task is not tasks[0]:
            raise MotherNetsError(
                f"Member `{member.label}` has another task than member `{members[0].label}`",
                expected=tasks[0].value,
                received=task.value,
                fix="Compile the members with their losses, or say what they give with `logits`",
            )
    return tasks[0]


def _check_form(member: Member) -> None:
    outputs = member.model.outputs
    if len(outputs) != 1:
        raise MotherNetsError(
            f"Member `{member.label}` has several outputs, and measures are for one",
            expected="one output",
            received=f"{output_keys(member.model)}",
            fix="Measure each output by a model that gives it alone",
        )
    shape = tuple(outputs[0].shape)
    if len(shape) != 2:
        raise MotherNetsError(
            f"Member `{member.label}` gives more than one row of numbers per example",
            expected="an output of shape (None, units)",
            received=f"{shape}",
        )


def _as_said(said: str | None) -> Task | None:
    known = [task.value for task in Task]
    if said is not None and said not in known:
        raise MotherNetsError(
            "`task` is not known", expected=f"one of {known}", received=repr(said)
        )
    return None if said is None else Task(said)


def _check_classes(member: Member, squashing: str | None) -> None:
    model = member.model
    units = model.outputs[0].shape[-1]
    if units > 1 and gives_independent_units(model, 0, squashing):
        raise MotherNetsError(
            f"Member `{member.label}` says yes or no to each of several units",
            expected="one class of several (softmax), one yes or no (a single unit), or numbers",
            received=f"{units} independent units",
        )
    if units == 1 and squashing != "sigmoid" and last_activation(model) in CLASS_ACTIVATIONS:
        raise MotherNetsError(
            f"Member `{member.label}` gives softmax of a single unit, which is always one",
            expected="two units or more, or a sigmoid",
        )


def _task_of_one(
    model: keras.Model, loss: Any, squashing: str | None, label_shape: tuple[int, ...]
) -> Task:
    last = last_activation(model)
    if squashing is not None or last in CLASS_ACTIVATIONS:
        return Task.CLASSES
    kind = LossKind.OTHER if loss is None else loss_specs(loss, model)[0].kind
    if kind is not LossKind.OTHER:
        return Task.NUMBERS if kind is LossKind.ELEMENTWISE else Task.CLASSES
    has_class_numbers = model.outputs[0].shape[-1] > 1 and label_shape[1:] in ((), (1,))
    return Task.CLASSES if last in SIGMOIDS or has_class_numbers else Task.NUMBERS
