"""What members predict, told by themselves alone: an export sees no labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mothernets.ensembles.task import Task, task_of
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.member import Member

TELLS_NOTHING = ("", "linear")  # as the last activation of a network without a loss


def task_without_labels(
    members: Sequence[Member],
    squashings: Sequence[str | None],
    logits: Any,
    class_names: Sequence[str] | None,
) -> Task:
    """What the members predict; where nothing tells it, it is asked for and not guessed.

    Args:
        members: Members of the same output shapes.
        squashings: For each what makes probabilities of its outputs; `None` if they are.
        logits: What the user says of that.
        class_names: Names of the classes, if the user gives them.

    Raises:
        MotherNetsError: It is not known, or cannot be served.
    """
    units = members[0].model.outputs[0].shape[-1]
    has_loss = any(member.model.compiled and member.model.loss is not None for member in members)
    if not has_loss and logits is None:
        for member in members:
            _check_known(member)
    said = "classification" if class_names is not None and not has_loss else None
    return task_of(members, squashings, (1, units), said)


def check_class_names(
    class_names: Sequence[str] | None, task: Task, units: int
) -> tuple[str, ...] | None:
    """Names of classes must be as many different texts as there are classes.

    Args:
        class_names: The names, or `None`.
        task: What the members predict.
        units: Units of their output; one stands for two classes, no and yes.

    Raises:
        MotherNetsError: They are not, or there are no classes.

    Example:
        >>> check_class_names(["no", "yes"], Task.CLASSES, 1)
        ('no', 'yes')
    """
    if class_names is None:
        return None
    if task is Task.NUMBERS:
        raise MotherNetsError(
            "`class_names` have no meaning for a regression",
            expected="members of a classification",
            fix='If they give logits, say `logits="softmax"`',
        )
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    count = max(units, 2)
    are_names = all(isinstance(name, str) and name and "\n" not in name for name in names)
    if len(names) != count or len(set(names)) != count or not are_names:
        raise MotherNetsError(
            "`class_names` cannot be used",
            expected=f"{count} different names of one line, one for each class",
            received=f"{len(names)}: {names}" if len(names) <= 20 else f"{len(names)} names",
        )
    return tuple(names)


def _check_known(member: Member) -> None:
    if last_activation(member.model) in TELLS_NOTHING:
        raise MotherNetsError(
            f"It is not known what member `{member.label}` gives: it has no loss, and ends in no"
            " activation that would tell",
            expected="probabilities, logits, or the numbers of a regression",
            fix="Compile it with its loss, or say `logits=True` where these are logits, and"
            " `logits=False` where they are not: with `class_names` they are probabilities then,"
            " without them the numbers of a regression",
        )
