"""Which tensor stands at which argument of a call that takes several."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import keras

from keras_mothernets.graph import Node, TensorRef
from keras_mothernets.rules.rule import Refusal


def tensors_of(node: Node, argument: str) -> tuple[int, ...]:
    """Places among `node.inputs` of the tensors that a call passes as one argument.

    Args:
        node: A call of a layer.
        argument: Name of a parameter of the layer's `call`.

    Returns:
        One number per tensor; none where the argument is left out.
    """
    # `None` stands for `self`.
    bound = inspect.signature(node.layer.cls.call).bind_partial(  # type: ignore[attr-defined]
        None, *node.args, **node.kwargs
    )
    leaves = keras.tree.flatten(bound.arguments.get(argument))
    return tuple(node.inputs.index(leaf.tensor) for leaf in leaves if isinstance(leaf, TensorRef))


def flag_of(node: Node, argument: str) -> bool:
    """Whether a call passes a true value as an argument."""
    bound = inspect.signature(node.layer.cls.call).bind_partial(  # type: ignore[attr-defined]
        None, *node.args, **node.kwargs
    )
    return bound.arguments.get(argument) is True


def same_places(first: Node, second: Node, arguments: Sequence[str]) -> Refusal | None:
    """Why two calls take their tensors differently; None if they do not.

    Keras lists tensors in the order of a call's arguments, and keyword arguments
    after the others, so that `f(a, b)` and `f(y=b, x=a)` need not agree. Branches
    are matched in that order.
    """
    for argument in arguments:
        if tensors_of(first, argument) != tensors_of(second, argument):
            return Refusal(f"their calls pass `{argument}` in different ways")
    return None
