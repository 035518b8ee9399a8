"""The settings of `compile`, checked once and made fresh for every job."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import MotherNetsError, naming, reason_of, whole_number
from keras_mothernets.training.describe import describe
from keras_mothernets.training.fresh import (
    check_loss,
    check_weight_decay,
    fresh_loss,
    fresh_metric,
    fresh_optimizer,
)
from keras_mothernets.training.job import Job
from keras_mothernets.training.rates import with_average, with_rate
from keras_mothernets.training.signature import (
    input_keys,
    input_structure,
    output_keys,
    output_names,
    output_structure,
)

OptimizerChoice = str | keras.optimizers.Optimizer | Callable[[Job], Any]


@dataclass(frozen=True)
class CompileSettings:
    """The arguments of `keras.Model.compile`, for all the networks of a run.

    Every job gets its own optimizer, metrics and loss objects: the moments of one network's
    Adam mean nothing to another network.

    Args:
        optimizer: Name or object, as in Keras, or a function of the `Job` that returns one,
            for settings that depend on the length of the job.
        loss: As in Keras, and so are all that follow.
        loss_weights: Weights of the outputs' losses.
        metrics: Metrics without sample weights.
        weighted_metrics: Metrics with sample weights.
        run_eagerly: For debugging.
        steps_per_execution: Steps in one call of the compiled function.
        jit_compile: "auto" uses XLA on accelerators only; on a CPU it measured 1.9 times slower.
        auto_scale_loss: Scale the loss under mixed float16.

    Example:
        >>> settings = CompileSettings(
        ...     optimizer=lambda job: keras.optimizers.SGD(
        ...         keras.optimizers.schedules.CosineDecay(0.1, job.steps), momentum=0.9),
        ...     loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> job = Job("vgg16", "member", "vgg16", epochs=2, batch_size=32, steps_per_epoch=5)
        >>> settings.make_optimizer(job).get_config()["learning_rate"]["config"]["decay_steps"]
        10
    """

    optimizer: Any = "rmsprop"
    loss: Any = None
    loss_weights: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    run_eagerly: bool = False
    steps_per_execution: int = 1
    jit_compile: bool | str = "auto"
    auto_scale_loss: bool = True

    def __post_init__(self) -> None:
        if self.loss is None:
            raise MotherNetsError(
                "`loss` is missing", expected="a loss, as in `keras.Model.compile`"
            )
        steps = whole_number("steps_per_execution", self.steps_per_execution, 1)
        object.__setattr__(self, "steps_per_execution", steps)
        check_optimizer(self.optimizer)
        _named("loss", lambda: _map(self.loss, check_loss))
        _named("metrics", self.fresh_metrics)

    def make_optimizer(self, job: Job, choice: Any = None) -> keras.optimizers.Optimizer:
        """A new optimizer for one job.

        Args:
            job: The job.
            choice: A member's own optimizer in place of the common one.

        Raises:
            MotherNetsError: The user's function fails, or returns something else.
        """
        choice = self.optimizer if choice is None else choice
        if not is_job_function(choice):
            check_optimizer(choice)
            return with_average(with_rate(fresh_optimizer(choice), job.rate), job.average)
        if not job.epochs:  # nothing is trained, and no schedule can span that
            job = dataclasses.replace(job, epochs=1)
        try:
            made = choice(job)
        except Exception as error:
            raise MotherNetsError(
                f"`optimizer` as a function of the job fails for job `{job.name}`",
                received=f"{type(error).__name__}: {error}",
                fix="The data have no length: give `steps_per_epoch`"
                if job.steps is None
                else None,
            ) from error
        return with_average(with_rate(_checked_result(job, made), job.rate), job.average)

    def fresh_metrics(self) -> tuple[Any, Any]:
        """New objects for `metrics` and `weighted_metrics`; names and functions stay."""
        return _map(self.metrics, fresh_metric), _map(self.weighted_metrics, fresh_metric)

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compile one network with these settings.

        Args:
            model: The network; compiled in place.
            optimizer: An optimizer of its own.
        """
        metrics, weighted_metrics = self.fresh_metrics()
        model.compile(
            optimizer=optimizer,
            loss=_map(self.loss, fresh_loss),
            loss_weights=self.loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=self.run_eagerly,
            steps_per_execution=self.steps_per_execution,
            jit_compile=self.jit_compile,
            auto_scale_loss=self.auto_scale_loss,
        )

    def try_on(
        self, model: keras.Model, y: Any, sample_weight: Any = None, x: Any = None
    ) -> keras.Model:
        """Compute loss and metrics once, on a few labels and made-up outputs of a network's shape.

        So that a metric that does not match its output is found before anything trains;
        neither the network nor its weights are used.

        Args:
            model: A built network.
            y: A few rows of labels.
            sample_weight: Their weights, or `None`.
            x: The inputs of these rows, on which the free sizes of outputs depend.

        Returns:
            The compiled model without layers of its own on which they were computed.

        Raises:
            MotherNetsError: Loss or metrics cannot be computed.
        """
        for argument in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            _check_keys(argument, getattr(self, argument), model)
        rows = len(keras.tree.flatten(y)[0]) if y is not None else 2
        try:
            probe, outputs = _outputs_alone(model, output_shapes(model, rows, x))
            self.compile(probe, keras.optimizers.SGD())
            probe.compute_loss(None, y, outputs, sample_weight)
            probe.compute_metrics(None, y, outputs, sample_weight)
        except Exception as error:
            raise MotherNetsError(
                "The loss and metrics cannot be computed on the network's outputs",
                expected=f"settings for outputs {_shapes(model)}",
                received=f"{type(error).__name__}: {reason_of(error)}",
            ) from error
        return probe

    def describe(self) -> dict[str, str]:
        """What was chosen, in words, for plans; a function of the job is told by its jobs."""
        return {
            key: value if isinstance(value, str) else describe(value)
            for key, value in vars(self).items()
            if describe(value) != describe(type(self).__dataclass_fields__[key].default)
            and not (key == "optimizer" and is_job_function(value))
        }


def is_job_function(choice: Any) -> bool:
    """Whether an `optimizer` or `callbacks` argument is a function of the job."""
    return callable(choice) and not isinstance(choice, (type, keras.optimizers.Optimizer))


def check_optimizer(choice: Any) -> None:
    """An optimizer must be a name, an object that can be made anew, or a function of the job.

    Raises:
        MotherNetsError: It is not.
    """
    if not is_job_function(choice):
        _named("optimizer", lambda: fresh_optimizer(choice))


def _checked_result(job: Job, made: Any) -> keras.optimizers.Optimizer:
    """What a function of the job returned, which need not be one that can be made anew."""
    with naming(f"Function of the job, for job `{job.name}`"):
        if not isinstance(made, keras.optimizers.Optimizer):
            _named("optimizer", lambda: fresh_optimizer(made))
            return keras.optimizers.get(made)
        if made.built:
            raise MotherNetsError(
                "`optimizer` is a used one",
                expected="a new optimizer from each call",
                fix="Make the optimizer inside the function",
            )
        check_weight_decay(made)
        return made


def _map(structure: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(structure, dict) and "class_name" not in structure:
        return {key: _map(value, function) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_map(value, function) for value in structure]
    return None if structure is None else function(structure)


def _named(argument: str, check: Callable[[], object]) -> None:
    try:
        check()
    except MotherNetsError:
        raise
    except Exception as error:
        raise MotherNetsError(
            f"`{argument}` cannot be used", received=f"{type(error).__name__}: {error}"
        ) from error


def _check_keys(argument: str, choice: Any, model: keras.Model) -> None:
    """Keras passes over names that are no output's; then a metric is just not there."""
    names = output_keys(model)
    if isinstance(choice, dict) and "class_name" not in choice:
        for name in choice:
            if name not in names:
                raise MotherNetsError(
                    f"`{argument}` names output `{name}`, which the network does not have",
                    expected=f"outputs {names}",
                    fix="Name the outputs of all networks alike, or give a list",
                )


def _shapes(model: keras.Model) -> str:
    return str([tuple(output.shape) for output in model.outputs])


def output_shapes(model: keras.Model, rows: int, x: Any) -> list[tuple[int, ...]]:
    """Shapes of a network's outputs for some rows; a size that is not known is 1.

    Args:
        model: A built network.
        rows: Number of rows.
        x: The inputs of these rows, or `None`.
    """
    outputs = model.outputs
    if x is not None and any(None in output.shape[1:] for output in outputs):
        arrays = [x[key] for key in input_keys(model)] if isinstance(x, dict) else x
        given = [
            keras.KerasTensor(_filled(tensor.shape, array.shape), dtype=tensor.dtype)
            for tensor, array in zip(model.inputs, keras.tree.flatten(arrays), strict=True)
        ]
        packed = keras.tree.pack_sequence_as(input_structure(model), given)
        outputs = keras.tree.flatten(model.compute_output_spec(packed))
    return [(rows, *(size or 1 for size in output.shape[1:])) for output in outputs]


def _filled(shape: Sequence[int | None], sizes: Sequence[int]) -> tuple[int | None, ...]:
    """A shape with the free sizes of an input taken from an array."""
    free = [*sizes, *[None] * len(shape)]
    return tuple(own or size for own, size in zip(shape, free, strict=False))


def _outputs_alone(
    model: keras.Model, shapes: Sequence[tuple[int, ...]]
) -> tuple[keras.Model, Any]:
    """A model of nothing but the outputs of another, and made-up values for them."""
    names = output_names(model)
    if len(set(names)) < len(names):  # one layer that gives several outputs
        names = [f"{name}_{position}" for position, name in enumerate(names)]
    inputs = [
        keras.Input(batch_shape=output.shape, name=f"given_{position}")
        for position, output in enumerate(model.outputs)
    ]
    outputs = [
        keras.layers.Identity(name=name)(tensor) for name, tensor in zip(names, inputs, strict=True)
    ]
    values = [np.full(shape, 0.5, "float32") for shape in shapes]
    pack = functools.partial(keras.tree.pack_sequence_as, output_structure(model))
    probe = keras.Model(inputs, pack(outputs))
    return probe, keras.tree.map_structure(keras.ops.convert_to_tensor, pack(values))
