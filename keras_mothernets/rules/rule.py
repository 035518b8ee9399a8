"""The interface of a rule: all that surgery must know of one layer family.

Surgery walks a mother and a member side by side. For a pair of calls that
correspond, the rule of their layer says (1) whether the two are the same but
for sizes that may grow (`meet`), (2) how channels pass through (`flow`), and
(3) which axes of which variable belong to which channels (`roles`). All
arithmetic on weights then follows from the roles, in one place, for all layers.

A call that only the member has is treated as if it corresponded to an identity
of the mother's, with weights that the rule writes down (`identity_values`).
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import Activation, Node, Shape, TensorRef
from keras_mothernets.rules.axes import Axis
from keras_mothernets.rules.spaces import Spaces

Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Copy:
    """An axis of a variable along which the mother's entries are copied.

    Args:
        axis: The tensor axis to which it belongs.
        odd: Whether a negated copy of the channel needs a negated entry.
    """

    axis: Axis
    odd: bool = False


@dataclass(frozen=True)
class Split:
    """An axis that is summed over: entries for copies of a channel add up to the mother's."""

    axis: Axis


@dataclass(frozen=True)
class Taps:
    """A spatial axis of a kernel: the mother's taps stand at `offset`, zeros elsewhere."""

    offset: int


@dataclass(frozen=True)
class Keep:
    """An axis that is the same in both."""


Role = Copy | Split | Taps | Keep


class Refusal(str):
    """Why something cannot be done, as half a sentence; never an exception by itself."""


@dataclass(frozen=True)
class Value:
    """What is known of the numbers that flow at some place.

    Args:
        low: No number is below this.
        high: No number is above this.
        fixed_by: An idempotent activation that leaves every such number unchanged.
    """

    low: float = -math.inf
    high: float = math.inf
    fixed_by: Activation | None = None


@dataclass(frozen=True)
class Statistics:
    """Mean and variance per channel of what flows at some place, each of shape `(channels,)`."""

    mean: np.ndarray
    variance: np.ndarray


# Config entries that say nothing about the function of a trained layer.
_IRRELEVANT = frozenset({"name", "dtype", "trainable", "seed", "quantization_config", "autocast"})
_IRRELEVANT_ENDINGS = ("_initializer", "_regularizer", "_constraint")


class Rule:
    """Base of all rules, and the rule of layers about which nothing needs saying.

    A subclass for a layer family sets the attributes and overrides the methods
    in which its layers differ. `register_rule` tells surgery to use it.

    Example:
        >>> class SquareRule(Rule):  # of a layer that squares what it is given
        ...     def value(self, node, value):
        ...         return Value(low=0.0)
        >>> rule = SquareRule()
        >>> rule.width is None, rule.is_transparent
        (True, False)
    """

    width: str | None = None
    """Config entry that holds the number of channels that the layer makes."""

    flags: tuple[str, ...] = ()
    """Config entries for variables that may be absent: the mother has them if all members do."""

    free: frozenset[str] = frozenset()
    """Config entries that may differ without changing what an inference computes."""

    is_linear: bool = False
    """Whether the output is a linear function of the input, plus a bias."""

    carries_sign: bool = False
    """Whether a negated input channel gives a negated output channel."""

    holds_settings: bool = False
    """Whether the variables are settings of the user's (a Normalization's mean), not learned."""

    counts: bool = False
    """Whether matching such layers is worth something though they have no `width`."""

    keeps_zero: bool = False
    """Whether zeros give zeros under initial weights, and gradients pass there."""

    merge: str | None = None
    """For layers that join branches: "sum", "concat", "product" or "other"."""

    is_transparent: bool = False
    """Whether the layer gives back its input at inference, so that it can be there or not."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        """The largest call from which both can be grown, as changes to the config of the first.

        Args:
            first: A call in one network.
            second: A call of a layer of the same class in another network.

        Returns:
            The config entries that differ from the first's, or why there is no such call.
        """
        if not same(static_arguments(first), static_arguments(second)):
            return Refusal("they are called with different arguments")
        changes: dict[str, Any] = {}
        for key in dict.fromkeys([*first.config, *second.config]):
            ours, theirs = first.config.get(key), second.config.get(key)
            if not self._matters(key) or same(ours, theirs):
                continue
            if key == self.width and isinstance(ours, int) and isinstance(theirs, int):
                changes[key] = min(ours, theirs)
            elif key in self.flags:
                changes[key] = False
            else:
                return Refusal(
                    f"`{key}` is {_short(ours)} in one and {_short(theirs)} in the other"
                )
        return {key: value for key, value in changes.items() if value != first.config.get(key)}

    def commutes(self, node: Node) -> bool:
        """Whether a merge gives the same whatever the order of its inputs.

        Of a sum that does not, the first input is the one that counts as it is.

        Args:
            node: The call.

        Returns:
            Whether the order does not matter.
        """
        return False

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        """Pass channels through a pair of calls.

        Args:
            mother: The call in the mother, or an identity that stands for it.
            member: The call in the member.
            inputs: Axes of each input tensor, the batch axis left out.
            spaces: Where fresh axes are made, and axes joined or pinned.

        Returns:
            Axes of each output tensor.

        Raises:
            SurgeryError: The channels cannot pass.
        """
        return (inputs[0],)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        """What each axis of each variable of the member belongs to.

        Args:
            mother: The call in the mother, or an identity that stands for it.
            member: The call in the member.
            inputs: Axes of each input tensor, the batch axis left out.
            outputs: Axes of each output tensor, as `flow` gave them.

        Returns:
            For each variable by name one role per axis.
        """
        return {
            name: tuple(Keep() for _ in shape) for name, shape in member.layer.variables.items()
        }

    def value(self, node: Node, value: Value) -> Value:
        """What is known of the numbers that come out, given what is known of those that go in.

        Args:
            node: The call.
            value: What is known of its inputs.

        Returns:
            Bounds on the output; `Value()` for none.
        """
        return Value()

    def merge_value(self, node: Node, values: Sequence[Value]) -> Value:
        """What is known of the numbers that come out of a merge, from those of its branches.

        Args:
            node: The call.
            values: What is known of each input.

        Returns:
            Bounds on the output; `Value()` for none.
        """
        return Value()

    def zeros(self, node: Node) -> tuple[str, ...]:
        """Variables that, set to zero, make the output zero while the layer can still learn.

        Args:
            node: The call.

        Returns:
            Names of variables; none if the layer cannot begin as nothing.
        """
        return ()

    def same_class(self, first: Node, second: Node) -> bool:
        """Whether two calls that have this rule are of one kind.

        Args:
            first: A call in one network.
            second: A call in another network.

        Returns:
            Whether `meet` may compare them.
        """
        return first.layer.cls is second.layer.cls

    def absent(self, name: str) -> float:
        """The number that a variable of the member's gets where the mother has no such variable.

        Args:
            name: Name of the variable in the layer.

        Returns:
            The number that has no effect: 0 for a bias, 1 for a scale.
        """
        return 0.0

    def rebase(
        self, mother: Node, member: Node, values: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The mother's weights as they would be under the member's constants (an epsilon, say).

        Args:
            mother: The call in the mother.
            member: The call in the member.
            values: The mother's weights by variable name.

        Returns:
            Weights of the same shapes.
        """
        return values

    def resized(self, before: Node, after: Node) -> Node:
        """A call of the mother's once its inputs have other sizes; its config may depend on them.

        Args:
            before: The call as it was.
            after: The same with the new sizes.

        Returns:
            The call with a config that fits the new sizes.
        """
        return after

    def cannot_insert(self, node: Node) -> Refusal | None:
        """Why the call cannot be made an identity; None if it can, wherever shapes allow.

        Args:
            node: The call.

        Returns:
            Half a sentence that says why not, or `None`.
        """
        return Refusal(f"a {node.kind} layer is never an identity")

    def identity_node(self, node: Node, channels: int) -> Node:
        """The identity on `channels` channels to which an inserted call is said to correspond.

        Args:
            node: The inserted call of the member.
            channels: Number of channels of the mother's tensor at that place.

        Returns:
            A call that the mother could have there.
        """
        return node

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        """Weights of that identity, by variable name.

        Args:
            node: The inserted call of the member.
            channels: Number of channels of the mother's tensor at that place.
            statistics: Mean and variance of what flows there, for normalisations.

        Returns:
            An array for each variable of `identity_node`.
        """
        return {}

    def channel_axis(self, node: Node) -> int:
        """Which output axis, the batch axis left out, holds the channels.

        Args:
            node: The call.

        Returns:
            Number of the axis, counted without the batch axis.
        """
        rank = len(node.output_shapes[0])
        return 0 if node.config.get("data_format") == "channels_first" else rank - 1

    def sized(self, node: Node, size: int) -> dict[str, Any]:
        """The config entries of a layer that makes `size` channels (or units, ...).

        Args:
            node: The call.
            size: Number of channels.

        Returns:
            Config entries by name.
        """
        return {str(self.width): size}

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        """Config entries that must change where what flows out has got other sizes.

        Args:
            node: The call, of a layer without a `width`.
            sizes: New sizes of its output, the batch axis left out; None where unknown.
            *others: Those of its other outputs, then of the axes inside, as `flow` gave them.

        Returns:
            Config entries by name; none if nothing must change.
        """
        return {}

    def made_axis(self, node: Node, outputs: Sequence[Axes]) -> Axis:
        """The axis whose size `width` tells, from the axes that `flow` gave.

        Args:
            node: The call.
            outputs: Axes of each output tensor, as `flow` gave them.

        Returns:
            One of these axes.
        """
        return outputs[0][self.channel_axis(node)]

    def _matters(self, key: str) -> bool:
        return not (key in _IRRELEVANT or key in self.free or key.endswith(_IRRELEVANT_ENDINGS))


def static_arguments(node: Node) -> dict[str, Any]:
    """The arguments of a call that are not tensors, by parameter, for comparison.

    Where tensors stand among them it says so (`x - 1` is not `1 - x`), but not how many:
    a merge may take more in one network than in another.
    """
    signature = _signature(node.layer.cls)
    # `None` stands for `self`.
    bound = signature.bind(None, *node.args, **node.kwargs)
    given = {
        name: _without_tensors(value)
        for name, value in list(bound.arguments.items())[1:]
        if value is not None and not _is_default(value, signature.parameters[name])
    }
    return {} if all(value is _TENSOR for value in given.values()) else given


@functools.cache
def _signature(layer_class: type) -> inspect.Signature:
    return inspect.signature(layer_class.call)  # type: ignore[attr-defined]


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    return parameter.default is not parameter.empty and same(value, parameter.default)


_TENSOR = "a tensor"


def _without_tensors(value: Any) -> Any:
    """A structure with a word in place of its tensors, and of lists of nothing but tensors."""
    if isinstance(value, TensorRef):
        return _TENSOR
    if isinstance(value, (list, tuple)):
        parts = [_without_tensors(part) for part in value]
        return _TENSOR if all(part is _TENSOR for part in parts) else parts
    return value


def with_config(node: Node, changes: Mapping[str, Any]) -> Node:
    """The same call of a layer with another config."""
    config = MappingProxyType({**node.config, **changes})
    return replace(node, layer=replace(node.layer, config=config))


def with_channels(shape: Shape, axis: int, channels: int | None) -> Shape:
    """A shape with another size on one axis."""
    return (*shape[:axis], channels, *shape[axis + 1 :])


def keep_position(node: Node) -> bool:
    """Whether a call keeps the sizes of all axes but the channel axis."""
    axis = 0 if node.config.get("data_format") == "channels_first" else -1
    ours, theirs = list(node.input_shapes[0]), list(node.output_shapes[0])
    del ours[axis], theirs[axis]
    return ours == theirs


_PLAIN = (str, int, float, type(None))  # no need to ask a backend whether these are tensors


def same(first: Any, second: Any) -> bool:
    """Whether two config entries are equal; they may hold arrays, or tensors of a backend."""
    if isinstance(first, _PLAIN) and isinstance(second, _PLAIN):
        return bool(first == second)
    first, second = _as_array(first), _as_array(second)
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def _as_array(value: Any) -> Any:
    if isinstance(value, (*_PLAIN, list, tuple, dict)):
        return value
    return keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
