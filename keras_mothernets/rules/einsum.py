"""The rule of EinsumDense: what each letter of its equation does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Keep,
    Refusal,
    Role,
    Rule,
    Split,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces


class EinsumDenseRule(Rule):
    """EinsumDense: a letter of input and kernel is summed over, one of kernel and output is made.

    A letter that stands in all three passes, with weights of its own for each
    channel. One of the input alone is summed over without weights, so it is pinned.
    """

    free = frozenset({"activation"})
    counts = True
    sizes = ("output_shape",)
    """Config entries in which sizes stand; the mother has the smallest."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        ours, theirs = _output_shape(first), _output_shape(second)
        if len(ours) != len(theirs):
            return Refusal(f"they make {len(ours)} and {len(theirs)} axes")
        changes: dict[str, Any] = {}
        least = tuple(
            None if a is None or b is None else min(a, b) for a, b in zip(ours, theirs, strict=True)
        )
        if least != ours:
            changes["output_shape"] = least
        if first.config["bias_axes"] and not second.config["bias_axes"]:
            changes["bias_axes"] = None
        alike = {"output_shape": first.config["output_shape"]}
        if not (first.config["bias_axes"] and second.config["bias_axes"]):
            alike["bias_axes"] = first.config["bias_axes"]
        met = super().meet(first, with_config(second, alike))
        return met if isinstance(met, Refusal) else changes

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        read, kernel, made = _letters(member)
        axes = dict(zip(read[1:], inputs[0], strict=True))
        if read[0] != made[0] or read[0] in kernel:
            raise SurgeryError(
                "An EinsumDense must leave the batch axis alone",
                received=f"the equation `{member.config['equation']}`",
            )
        for letter, axis in axes.items():
            if letter not in kernel and letter not in made:
                spaces.pin(axis, "an einsum sums over it, which counts every copy")
        ours, theirs = _sizes(mother), _sizes(member)
        for letter in kernel:
            if letter not in axes:
                axes[letter] = spaces.new(ours[letter], theirs[letter])
        out = tuple(axes[letter] for letter in made[1:])
        biased = [
            n for n, letter in enumerate(made[1:]) if letter in (member.config["bias_axes"] or "")
        ]
        _refuse_mistaken_bias(out, biased, spaces)
        return (out,)

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        old = _output_shape(node)
        new = tuple(
            None if was is None else size for was, size in zip(old, sizes[-len(old) :], strict=True)
        )
        return {} if new == old else {"output_shape": new}

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        read, kernel, made = _letters(member)
        out: dict[str, Axis] = dict(zip(made[1:], outputs[0], strict=True))
        summed = dict(zip(read[1:], inputs[0], strict=True))
        roles: dict[str, tuple[Role, ...]] = {
            "kernel": tuple(
                Copy(out[letter]) if letter in out else Split(summed[letter]) for letter in kernel
            )
        }
        biased = member.config["bias_axes"]
        if biased:
            first = min(made.index(letter) for letter in biased)
            roles["bias"] = tuple(
                Copy(out[letter]) if letter in biased else Keep() for letter in made[first:]
            )
        return roles

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("kernel", "bias")


def _refuse_mistaken_bias(out: Axes, biased: Sequence[int], spaces: Spaces) -> None:
    """Refuse a bias that Keras adds along another axis than the equation says.

    Under TensorFlow `keras.ops.add` tells a bias by its size alone: one of shape
    `(d, 1)` is added to the last axis if that has `d` entries too (Keras 3.15,
    `backend/tensorflow/numpy.py`). Which axis it is would change with the widths.
    """
    for network in (0, 1):
        sizes = [spaces.size(axis)[network] for axis in out]
        long = [place for place in biased if sizes[place] != 1]
        if len(long) != 1 or long[0] == len(out) - 1:
            continue
        place = long[0]
        if sizes[place] == sizes[-1] or (place and sizes[place] == sizes[0]):
            raise SurgeryError(
                "Keras may add the bias of an EinsumDense along the wrong axis",
                expected="a biased axis whose size differs from those of the first and last axis",
                received=f"outputs of shape {tuple(sizes)}, biased along axis {place + 1}",
                fix="Name more letters in `bias_axes`, or choose other sizes",
            )


def _letters(node: Node) -> tuple[str, str, str]:
    """The equation's three parts, the batch axis included; an ellipsis becomes digits."""
    given, made = node.config["equation"].replace(" ", "").split("->")
    read, kernel = given.split(",")
    elided = len(node.input_shapes[0]) + 1 - len(read.replace("...", ""))
    digits = "".join(str(number) for number in range(elided))
    return read.replace("...", digits), kernel, made.replace("...", digits)


def _sizes(node: Node) -> dict[str, int]:
    """The size of each letter that the layer makes."""
    made = node.config["equation"].replace(" ", "").split("->")[1]
    # The batch axis stands first, on its own or in the ellipsis.
    letters = made[3:] if made.startswith("...") else made.replace("...", "")[1:]
    return {
        letter: size
        for letter, size in zip(letters, _output_shape(node), strict=False)
        if size is not None
    }


def _output_shape(node: Node) -> tuple[int | None, ...]:
    shape = node.config["output_shape"]
    return (shape,) if isinstance(shape, int) else tuple(shape)
