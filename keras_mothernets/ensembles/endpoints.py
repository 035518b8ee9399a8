"""The endpoints of an exported ensemble, as one Functional model that gives them all by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mothernets.ensembles.combine import combine, free_name, named_inputs
from keras_mothernets.ensembles.preprocessing import NAME as PREPROCESSING
from keras_mothernets.ensembles.preprocessing import as_preprocessing
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.uncertainty import (
    disagreement,
    entropy,
    mutual_information,
    variance,
    weighted_mean,
)
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import live_layers
from keras_mothernets.member import Member
from keras_mothernets.training.signature import input_structure

# Endpoints by task, and what each gives.
ENDPOINTS: dict[Task, dict[str, tuple[str, ...]]] = {
    Task.CLASSES: {
        "probabilities": ("probabilities",),
        "member_probabilities": ("member_probabilities",),
        "uncertainty": ("predictive_entropy", "mutual_information", "disagreement"),
    },
    Task.NUMBERS: {
        "mean": ("mean",),
        "member_predictions": ("member_predictions",),
        "uncertainty": ("variance",),
    },
}

MEANINGS = {
    "probabilities": "probability of each class: the (weighted) mean of the members'",
    "member_probabilities": "probability of each class by each member",
    "predictive_entropy": "entropy of `probabilities`, in nats: all the uncertainty there is",
    "mutual_information": "what of it comes from the members' differences, in nats; high for inputs"
    " unlike those of the training",
    "disagreement": "share of pairs of members that name different classes, from 0 to 1",
    "mean": "the (weighted) mean of the members' predictions",
    "member_predictions": "prediction of each member",
    "variance": "(weighted) variance of the members' predictions",
}


@dataclass(frozen=True, eq=False)
class Served:
    """What is exported.

    Args:
        model: A Functional model of stock layers, from a dict of inputs to a dict of outputs.
        endpoints: For each endpoint the names of its outputs.
    """

    model: keras.Model
    endpoints: dict[str, tuple[str, ...]]

    def input_specs(self) -> dict[str, keras.InputSpec]:
        """Shape and type of each input, for any number of examples."""
        return {
            name: keras.InputSpec(shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=name)
            for name, tensor in self.model.input.items()
        }

    def layer_at(self, path: str) -> str:
        """The layer of a member to which a name in TensorFlow's graph belongs; "" for none.

        Args:
            path: Names of nested scopes, such as "functional_1/vgg_1/block_2/Relu", each that of
                a layer or operation, with a number behind it where it was used before.
        """
        names = {path[-1] for path in live_layers(self.model)}
        for scope in reversed(path.split("/")):
            for name in (scope, re.sub(r"_\d+$", "", scope)):
                if name in names:
                    return name
        return ""


def chosen_endpoints(names: Iterable[str] | None, task: Task) -> dict[str, tuple[str, ...]]:
    """Endpoints and their outputs.

    Args:
        names: Names of endpoints; `None` for all that the task has.
        task: What the members predict.

    Raises:
        MotherNetsError: A name is not known, or has no meaning for the task, or there is none.

    Example:
        >>> chosen_endpoints(["mean"], Task.NUMBERS)
        {'mean': ('mean',)}
    """
    known = ENDPOINTS[task]
    wanted = list(known if names is None else [names] if isinstance(names, str) else names)
    for name in wanted:
        if name not in known:
            is_another_tasks = any(name in others for others in ENDPOINTS.values())
            no_meaning = f"has no meaning for a {task.value}"
            problem = no_meaning if is_another_tasks else "is not known"
            raise MotherNetsError(
                f"Endpoint `{name}` {problem}", expected=f"some of {list(known)}", received=wanted
            )
    if not wanted:
        raise MotherNetsError("`endpoints` is empty", expected=f"some of {list(known)}")
    return {name: known[name] for name in wanted}


def serve(
    members: Sequence[Member],
    shares: np.ndarray,
    squashings: Sequence[str | None],
    task: Task,
    *,
    endpoints: Iterable[str] | None = None,
    preprocessing: Any = None,
) -> Served:
    """Build what is exported.

    Args:
        members: Members that match, with one output of shape (examples, units).
        shares: Their weights, summing to one, (members,).
        squashings: For each what makes probabilities of its logits, or `None`.
        task: What the members predict.
        endpoints: As `chosen_endpoints` takes them.
        preprocessing: As `as_preprocessing` takes it, or `None`.

    Returns:
        The model and its endpoints. One unit behind a sigmoid gives two classes, no and yes.

    Raises:
        MotherNetsError: Endpoints or preprocessing cannot be used.

    Example:
        >>> members = [Member(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), name)
        ...            for name in ("one", "two")]
        >>> served = serve(members, np.array([0.5, 0.5]), [None, None], Task.NUMBERS)
        >>> {name: output.shape for name, output in served.model.output.items()}
        {'mean': (None, 3), 'member_predictions': (None, 2, 3), 'variance': (None, 3)}
    """
    chosen = chosen_endpoints(endpoints, task)
    first = members[0].model
    before = None if preprocessing is None else as_preprocessing(preprocessing, first)
    inputs = named_inputs(first if before is None else before)
    given = inputs if before is None else _call(before, inputs)
    taken = {tensor.name for tensor in inputs} | {PREPROCESSING}
    values = []
    for member, squashing in zip(members, squashings, strict=True):
        # A member as an ensemble of one: copied, in float32, and giving probabilities.
        name = free_name(member.label, taken)
        taken.add(name)
        alone = combine([member.model], logits=squashing or False, name=name)
        values.append(_call(alone, given)[0])
    outputs = _outputs(_stacked(values, task), shares, task)
    named = {name: outputs[name]() for names in chosen.values() for name in names}
    return Served(keras.Model({tensor.name: tensor for tensor in inputs}, named), chosen)


def _call(model: keras.Model, tensors: list[Any]) -> list[Any]:
    structure = input_structure(model)
    return list(keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, tensors))))


def _stacked(values: list[Any], task: Task) -> Any:
    """All members in one tensor, (examples, members, classes or targets)."""
    if task is Task.CLASSES and values[0].shape[-1] == 1:
        values = [ops.concatenate([1.0 - yes, yes], axis=-1) for yes in values]
    return ops.stack(values, axis=1)


def _outputs(values: Any, shares: np.ndarray, task: Task) -> dict[str, Callable[[], Any]]:
    """How each output is made of all members' values; made only if it is asked for."""
    if task is Task.NUMBERS:
        return {
            "mean": lambda: weighted_mean(values, shares),
            "member_predictions": lambda: values,
            "variance": lambda: variance(values, shares),
        }
    return {
        "probabilities": lambda: weighted_mean(values, shares),
        "member_probabilities": lambda: values,
        "predictive_entropy": lambda: entropy(weighted_mean(values, shares)),
        "mutual_information": lambda: mutual_information(values, shares),
        "disagreement": lambda: disagreement(values, shares),
    }
