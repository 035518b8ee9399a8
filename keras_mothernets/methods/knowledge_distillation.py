"""Knowledge distillation: one network teaches all others."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets.ensembles.combine import check_alike
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member, as_members
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.method import Method
from keras_mothernets.training.fingerprint import weights_fingerprint
from keras_mothernets.training.job import Job, Lesson


class KnowledgeDistillation(Method):
    """Trains a teacher on the labels, and all others on its outputs and the labels.

    The outputs of the teacher on all examples are computed once, as they come (without
    augmentation inside the networks), and kept in memory: one number per example and class.

    Args:
        members: See `Method`.
        teacher: A trained model, which teaches all members and is no member itself. By default
            the member with the most parameters, the first of several, which is trained first.
        temperature: Divides the logits of teacher and student before they are compared; above 1
            the teacher's second and third choices count for more.
        alpha: Share of the teacher in the loss, from 0 to 1; the rest is that of the labels.
        seed: See `Method`.

    Raises:
        MotherNetsError: The members do not match each other or the teacher, or a setting cannot
            be used. Networks must have one output of class probabilities or logits.

    Example:
        >>> import keras, numpy as np
        >>> nets = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, "relu"),
        ...                           keras.layers.Dense(3, "softmax")], name=name)
        ...         for name, width in (("small", 2), ("large", 9))]
        >>> method = KnowledgeDistillation(nets)
        >>> method.compile("sgd", "sparse_categorical_crossentropy")
        >>> x, y = np.ones((8, 4), "float32"), np.arange(8) % 3
        >>> history = method.fit(x, y, epochs=1, verbose=0)
        >>> [(row.job, row.waits_for) for row in history.ledger]
        [('large', ''), ('small', 'large')]

    Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network (2015); as an
    ensemble method: Wasay et al., MotherNets (MLSys 2020), section 3. They do not say which
    temperature and share they used; the defaults are ours.
    """

    def __init__(
        self,
        members: Sequence[keras.Model | Member],
        *,
        teacher: keras.Model | Member | None = None,
        temperature: float = 4.0,
        alpha: float = 0.9,
        seed: int = 0,
    ) -> None:
        super().__init__(members, seed=seed)
        self.teacher = None if teacher is None else as_members([teacher])[0]
        if self.teacher is not None:
            check_alike([self.teacher, *self._members])
        self.temperature = _number("temperature", temperature, math.inf)
        self.alpha = _number("alpha", alpha, 1.0)
        if not self.temperature:
            raise MotherNetsError("`temperature` must be above 0", received=temperature)

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        return (
            f"KnowledgeDistillation(temperature={self.temperature:g}, alpha={self.alpha:g}, "
            f"seed={self.seed})"
        )

    def design(self, schedule: Schedule) -> Design:
        """The teacher's job, if it has one, and a job for every student."""
        networks = {member.label: member.model for member in self._members}
        lesson = self._lesson(networks)
        jobs: list[Job] = []
        for member in self._members:
            is_teacher = member.label == lesson.teacher
            job = self.member_job(member, schedule, lesson=None if is_teacher else lesson)
            jobs.insert(0 if is_teacher else len(jobs), job)
        return Design(tuple(jobs), networks)

    def _lesson(self, networks: dict[str, keras.Model]) -> Lesson:
        """What all students learn; a teacher that was given joins the networks."""
        if self.teacher is None:
            largest = max(self._members, key=lambda member: member.model.count_params())
            return Lesson(largest.label, largest.label, self.temperature, self.alpha)
        key = "teacher"
        while key in networks:
            key += "_"
        networks[key] = self.teacher.model
        weights = weights_fingerprint(self.teacher.model)
        return Lesson(None, key, self.temperature, self.alpha, weights)


def _number(name: str, value: Any, most: float) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0.0 <= value <= most or math.isinf(value):
        upper = "" if math.isinf(most) else f" and at most {most:g}"
        raise MotherNetsError(
            f"`{name}` cannot be used",
            expected=f"a finite number of at least 0{upper}",
            received=repr(value),
        )
    return float(value)
