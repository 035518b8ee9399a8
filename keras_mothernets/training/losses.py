"""What a loss says about the labels it takes and the numbers a network gives."""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.training.signature import output_keys

SIGMOIDS = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")
# Last activations behind which there are no logits.
PROBABILITIES = ("softmax", "sparsemax", *SIGMOIDS)


class LossKind(enum.Enum):
    """Families of losses that take the same labels."""

    SPARSE = "class numbers"
    CATEGORICAL = "one-hot labels"
    BINARY = "a number from 0 to 1 for every output unit"
    ELEMENTWISE = "targets of the shape of the output"
    OTHER = "not known to this package"


@dataclass(frozen=True)
class LossSpec:
    """One output's loss, as far as labels and probabilities are concerned.

    Args:
        kind: Which labels it takes.
        from_logits: Whether the network gives logits and the loss turns them into probabilities.
        ignore_class: A label that does not count, or `None`.
        units: Units of the output; `None` where that is not known.
    """

    kind: LossKind
    from_logits: bool = False
    ignore_class: int | None = None
    units: int | None = None

    @property
    def squashing(self) -> str | None:
        """The activation that makes probabilities of this network's outputs, if they are logits.

        Raises:
            MotherNetsError: The loss is none of Keras' own, and there are several units.
        """
        if not self.from_logits:
            return None
        if self.kind is LossKind.BINARY or self.units == 1:
            return "sigmoid"
        if self.kind is LossKind.OTHER:
            raise MotherNetsError(
                "The loss takes logits and is none of Keras' own, so they may mean classes of"
                " which one is right, or units that are right or wrong each",
                fix='Say which: `logits="softmax"` or `logits="sigmoid"`',
            )
        return "softmax"

    @property
    def is_classification(self) -> bool:
        """Whether labels are known to be classes."""
        return self.kind in (LossKind.SPARSE, LossKind.CATEGORICAL, LossKind.BINARY)


_KINDS = {
    "sparse_categorical_crossentropy": LossKind.SPARSE,
    "categorical_crossentropy": LossKind.CATEGORICAL,
    "categorical_focal_crossentropy": LossKind.CATEGORICAL,
    "binary_crossentropy": LossKind.BINARY,
    "binary_focal_crossentropy": LossKind.BINARY,
    "mean_squared_error": LossKind.ELEMENTWISE,
    "mean_absolute_error": LossKind.ELEMENTWISE,
    "mean_absolute_percentage_error": LossKind.ELEMENTWISE,
    "mean_squared_logarithmic_error": LossKind.ELEMENTWISE,
    "huber": LossKind.ELEMENTWISE,
    "log_cosh": LossKind.ELEMENTWISE,
    "poisson": LossKind.ELEMENTWISE,
}


def doubt_about(loss: Any, model: keras.Model) -> str | None:
    """What a network ends in and its loss do not seem to go together; `None` if they do.

    Keras trains such a pair, and badly.

    Args:
        loss: The `loss` argument of `compile`.
        model: A built model.
    """
    for position, (key, spec) in enumerate(
        zip(output_keys(model), loss_specs(loss, model), strict=True)
    ):
        last = last_activation(model, position)
        if spec.from_logits and last in PROBABILITIES:
            return f"output `{key}` ends in {last}, but its loss takes logits (`from_logits=True`)"
        if last == "linear" and spec.is_classification and not spec.from_logits:
            return f"output `{key}` ends without an activation, but its loss takes probabilities"
    return None


def losses_by_output(loss: Any, model: keras.Model) -> list[Any]:
    """The loss of each of a model's outputs, in the order of `model.outputs`.

    Args:
        loss: The `loss` argument of `compile`: one loss, or a list or dict of them.
        model: A built model.

    Raises:
        MotherNetsError: A list or dict does not match the model's outputs.
    """
    names = output_keys(model)
    if isinstance(loss, dict):
        unknown = [name for name in loss if name not in names]
        if unknown:
            raise MotherNetsError(
                f"`loss` names output `{unknown[0]}`, which the network does not have",
                expected=f"outputs {names}",
                received=f"{list(loss)}",
                fix="Name the outputs of all networks alike, or give a list",
            )
        return [loss.get(name) for name in names]
    if isinstance(loss, (list, tuple)):
        if len(loss) != len(names):
            raise MotherNetsError(
                "`loss` must have one entry per output",
                expected=f"{len(names)} entries",
                received=f"{len(loss)}",
            )
        return list(loss)
    return [loss] * len(names)


def loss_specs(
    loss: Any, model: keras.Model, label_shapes: Sequence[tuple[int | None, ...]] | None = None
) -> list[LossSpec]:
    """What is known of the loss of each output.

    Args:
        loss: The `loss` argument of `compile`.
        model: A built model.
        label_shapes: Shape of each output's labels, to tell which one "crossentropy" means.
    """
    shapes = label_shapes or itertools.repeat(None, len(model.outputs))
    return [
        _spec(entry, tuple(output.shape), labels)
        for entry, output, labels in zip(
            losses_by_output(loss, model), model.outputs, shapes, strict=True
        )
    ]


def _spec(
    loss: Any, output: tuple[int | None, ...], labels: tuple[int | None, ...] | None
) -> LossSpec:
    if loss in ("crossentropy", "ce"):
        return LossSpec(_kind_of_crossentropy(output, labels), units=output[-1])
    if isinstance(loss, (str, dict)):
        loss = keras.losses.get(loss)
    keywords: dict[str, Any] = {}
    while isinstance(loss, functools.partial):
        keywords = {**loss.keywords, **keywords}
        loss = loss.func
    values = {**vars(loss), **keywords} if hasattr(loss, "__dict__") else keywords
    return LossSpec(
        _kind(loss), bool(values.get("from_logits", False)), values.get("ignore_class"), output[-1]
    )


def _kind(loss: Any) -> LossKind:
    """The family of a loss: that of the first of Keras' own from which it is derived."""
    ancestors = [loss] if hasattr(loss, "__name__") else type(loss).__mro__
    kinds = (_KINDS.get(_snake_case(_keras_name(ancestor))) for ancestor in ancestors)
    return next((kind for kind in kinds if kind is not None), LossKind.OTHER)


def _kind_of_crossentropy(
    output: tuple[int | None, ...], labels: tuple[int | None, ...] | None
) -> LossKind:
    if output[-1] == 1:
        return LossKind.BINARY
    if labels is not None and len(labels) == len(output) and labels[-1] == output[-1]:
        return LossKind.CATEGORICAL
    return LossKind.SPARSE


def _keras_name(loss: Any) -> str:
    """The name of Keras' own losses; "" for those of the user, whatever they are called."""
    return loss.__name__ if str(loss.__module__).split(".")[0] == "keras" else ""


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def of_probabilities(loss: Any, spec: LossSpec) -> Any:
    """The loss of a network that gives probabilities where this one's network gives logits.

    Args:
        loss: One output's loss.
        spec: What `loss_specs` says of it.

    Returns:
        The loss itself, or the same one with `from_logits=False`.
    """
    if not spec.from_logits:
        return loss
    if isinstance(loss, functools.partial):
        return functools.partial(loss.func, *loss.args, **{**loss.keywords, "from_logits": False})
    return without_logits(loss)


def without_logits(scorer: Any) -> Any:
    """A loss or metric object like this one with `from_logits=False`."""
    config: dict[str, Any] = scorer.get_config()
    make: Callable[[dict[str, Any]], Any] = type(scorer).from_config
    return make({**config, "from_logits": False})
