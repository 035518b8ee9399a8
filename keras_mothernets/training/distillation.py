"""Distillation: a network learns from the outputs of a teacher besides the labels.

With logits z of the student and v of the teacher and a temperature T the loss of an example is

    (1 - alpha) * loss(y, z) + alpha * T^2 * KL(softmax(v / T) || softmax(z / T))

(with one sigmoid per unit, the mean of their divergences). T^2 keeps the size of the gradients
independent of T. What the teacher says is computed once for all examples, before the
first student begins.

Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network (2015), section 2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import ArraySource
from keras_mothernets.training.distribute import scope_of
from keras_mothernets.training.job import Job, Lesson
from keras_mothernets.training.losses import SIGMOIDS, LossKind, loss_specs
from keras_mothernets.training.signature import input_structure, output_structure

_BATCH = 256  # rows that the teacher sees at once
_SMALL = 1e-7  # below that, probabilities are not told from zero


class Student(keras.Model):
    """A network whose targets may come with a teacher's outputs: `(y, taught)`.

    Without them, as in validation, it is like any other.
    """

    def learn(self, lesson: Lesson, squashing: str, gives_logits: bool) -> None:
        """Say how to learn.

        Args:
            lesson: Temperature and share of the teacher.
            squashing: What makes probabilities of logits, "softmax" or "sigmoid".
            gives_logits: Whether the network's outputs are logits, and not probabilities.
        """
        self.lesson = lesson
        self.squashing = squashing
        self.gives_logits = gives_logits

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss on the labels, or both losses; what regularizers add counts whole.

        Of several replicas each gives its part of the sum, as Keras' own losses do.
        """
        if not isinstance(y, (tuple, list)):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        y, taught = y
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        added = sum(self.losses) / replicas
        of_labels = super().compute_loss(x, y, y_pred, sample_weight, training) - added
        of_teacher = self._divergence(taught, y_pred, sample_weight) / replicas
        alpha = self.lesson.alpha
        return (1 - alpha) * of_labels + alpha * of_teacher + added

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics on the labels."""
        y = y[0] if isinstance(y, (tuple, list)) else y
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _divergence(self, taught: Any, y_pred: Any, sample_weight: Any) -> Any:
        temperature = self.lesson.temperature
        logits = keras.ops.cast(y_pred, "float32")
        if not self.gives_logits:
            logits = logits_of(logits, self.squashing)
        taught = keras.ops.cast(taught, "float32")
        each = divergence(taught, logits / temperature, self.squashing)
        if sample_weight is not None:
            each = each * _shaped_like(each, keras.ops.cast(sample_weight, "float32"))
        return temperature**2 * keras.ops.mean(each)


def _shaped_like(each: Any, weights: Any) -> Any:
    """Sample weights with as many axes as what they weigh, as Keras' own losses take them."""
    while len(weights.shape) > len(each.shape):
        weights = keras.ops.squeeze(weights, axis=-1)
    while len(weights.shape) < len(each.shape):
        weights = keras.ops.expand_dims(weights, axis=-1)
    return weights


def divergence(taught: Any, logits: Any, squashing: str) -> Any:
    """KL divergence of a student's probabilities from a teacher's.

    Args:
        taught: The teacher's probabilities, shape `(..., units)`.
        logits: The student's logits, of the same shape.
        squashing: "softmax", or "sigmoid" for units that are right or wrong each.

    Returns:
        Shape `(...)`.

    Example:
        >>> taught = np.array([[0.5, 0.5]])
        >>> float(divergence(taught, np.array([[1.0, 1.0]]), "softmax")[0])
        0.0
    """
    ops = keras.ops
    if squashing == "softmax":
        says = ops.log_softmax(logits, axis=-1)
        return ops.sum(taught * (ops.log(ops.maximum(taught, _SMALL)) - says), axis=-1)
    parts = [
        share * (ops.log(ops.maximum(share, _SMALL)) - ops.log_sigmoid(sign * logits))
        for share, sign in ((taught, 1.0), (1.0 - taught, -1.0))
    ]
    return ops.mean(parts[0] + parts[1], axis=-1)


def logits_of(probabilities: Any, squashing: str) -> Any:
    """Logits that give these probabilities."""
    ops = keras.ops
    positive = ops.log(ops.clip(probabilities, _SMALL, 1.0))
    if squashing == "softmax":
        return positive
    return positive - ops.log(ops.clip(1.0 - probabilities, _SMALL, 1.0))


def as_student(model: keras.Model, job: Job, context: RunContext) -> Student:
    """A network that shares all layers with another, and learns as its job says."""
    assert job.lesson is not None
    squashing, gives_logits = _reading(model, context)
    with scope_of(context.distribute):
        student = Student(input_structure(model), output_structure(model), name=model.name)
    student.learn(job.lesson, squashing, gives_logits)
    return student


def fit_arguments_of(
    job: Job, context: RunContext, model: keras.Model, teacher: keras.Model | None
) -> dict[str, Any]:
    """Arguments of `keras.Model.fit` that feed a job, with what its teacher says.

    Args:
        job: The job.
        context: What the jobs of the run share.
        model: The job's network.
        teacher: The trained network of the teacher's job; `None` if it has none.
    """
    data = context.data
    if job.lesson is not None:
        taught = _taught(job.lesson, context, teacher)
        train = data.train.for_network(model)
        assert isinstance(train, ArraySource), "checked before"
        data = replace(data, train=replace(train, y=(train.y, taught)))
    return data.fit_arguments(model, job.batch_size, job.seed, job.bootstrap)


def check_lesson(job: Job, context: RunContext) -> None:
    """A student needs arrays, and one output of probabilities or logits.

    Raises:
        DataError: The data come in batches.
        MotherNetsError: It begins from another network than it learns from; the output is another
            one, or the loss is.
    """
    if job.lesson is None:
        return
    parents = {*job.start.waits_for, *job.lesson.waits_for}
    if len(parents) > 1:
        raise MotherNetsError(
            f"Job `{job.name}` begins from one network and learns from another, and a job is"
            " brought one",
            received=" and ".join(f"`{name}`" for name in sorted(parents)),
            fix="Let it learn from the network that it begins from",
        )
    if not isinstance(context.data.train, ArraySource):
        raise DataError(
            "Distillation needs arrays, since what the teacher says is computed once for every"
            " example",
            received=f"{context.data.train.dataset!r}",
        )
    student, teacher = (
        _reading(context.networks[key], context)[0] for key in (job.network, job.lesson.network)
    )
    if student != teacher:
        raise MotherNetsError(
            "It cannot learn from a teacher whose outputs mean something else",
            expected=f"probabilities of a {student}, or their logits",
            received=f"those of a {teacher}",
        )


def _taught(lesson: Lesson, context: RunContext, teacher: keras.Model | None) -> np.ndarray:
    """The teacher's probabilities at the lesson's temperature, for every row of the arrays."""
    key = f"{lesson.network} at {lesson.temperature}"
    if key not in context.taught:
        model = context.networks[lesson.network] if lesson.teacher is None else teacher
        assert model is not None, "the executor brings the teacher"
        context.taught[key] = teach(model, lesson, context)
    return context.taught[key]


def teach(teacher: keras.Model, lesson: Lesson, context: RunContext) -> np.ndarray:
    """What a teacher says to every training example.

    Args:
        teacher: A trained network.
        lesson: Its temperature.
        context: The data, and the loss that tells what outputs mean.

    Returns:
        Probabilities of shape `(examples, units)`.
    """
    squashing, gives_logits = _reading(teacher, context)
    source = context.data.train.for_network(teacher)
    assert isinstance(source, ArraySource), "checked before"
    inputs = ArraySource(source.x).batches(_BATCH)
    outputs = np.asarray(teacher.predict(inputs, verbose=0)).astype("float32")
    logits = outputs if gives_logits else logits_of(outputs, squashing)
    return np.asarray(getattr(keras.ops, squashing)(logits / lesson.temperature))


def _reading(model: keras.Model, context: RunContext) -> tuple[str, bool]:
    """What makes probabilities of a network's logits, and whether it gives logits.

    Raises:
        MotherNetsError: It gives neither.
    """
    if len(model.outputs) > 1:
        raise MotherNetsError(
            "Distillation needs networks of one output", received=f"{len(model.outputs)} outputs"
        )
    (spec,) = loss_specs(context.settings.loss, model)
    last = last_activation(model)
    if last == "softmax":
        return "softmax", False
    if last in SIGMOIDS:
        return "sigmoid", False
    if spec.from_logits:
        return spec.squashing or "softmax", True
    if spec.kind in (LossKind.SPARSE, LossKind.CATEGORICAL):
        return "softmax", False
    if spec.kind is LossKind.BINARY:
        return "sigmoid", False
    raise MotherNetsError(
        "Distillation needs probabilities or logits, and the loss says that these are none",
        expected="a loss of classification, such as `sparse_categorical_crossentropy`",
        received=f"output `{last or 'of unknown kind'}`, {spec.kind.value}",
    )
