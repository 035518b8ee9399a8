"""Rules of recurrent layers: SimpleRNN, GRU, LSTM, ConvLSTM, and Bidirectional around them.

The columns of their kernels stand in blocks, one for each gate, and each block
has one column per unit. So a column's axis is the product of the gates, which
never change, and of the units. Copies of a unit start from the same state and
get the same input, so that they stay equal at every step of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Layer, Node
from keras_mothernets.graph.activations import from_config
from keras_mothernets.rules.arguments import same_places, tensors_of
from keras_mothernets.rules.axes import Axis, Concat, Product
from keras_mothernets.rules.rule import Axes, Copy, Keep, Refusal, Role, Rule, Split
from keras_mothernets.rules.spaces import Spaces

_TIME = "a recurrent layer runs along it"
_ARGUMENTS = ("sequences", "initial_state", "mask")

# Entries that say how training or the device goes about it.
_FREE = frozenset(
    {"dropout", "recurrent_dropout", "unroll", "unit_forget_bias", "implementation", "use_cudnn"}
)


@dataclass(frozen=True)
class _Run:
    """What one recurrent layer makes: its output, its units and the columns of its kernels."""

    output: Axes
    state: Axes
    units: Axis
    columns: Axis


class RecurrentRule(Rule):
    """SimpleRNN, GRU, LSTM: rows read the input or the state, columns are gates by units.

    Args:
        gates: Number of blocks of columns in a kernel.
        states: Number of state tensors.
    """

    width = "units"
    flags = ("use_bias",)
    free = _FREE

    def __init__(self, gates: int, states: int) -> None:
        self.gates = gates
        self.states = states

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        return same_places(first, second, _ARGUMENTS) or super().meet(first, second)

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        states = [inputs[place] for place in tensors_of(member, "initial_state")]
        run = self.run(mother, member, _sequence(member, inputs, spaces), states, spaces)
        returned = [run.state] * self.states if member.config["return_state"] else []
        # The columns live inside the layer: they come after the outputs.
        return (run.output, *returned, (run.columns, run.units))

    def run(
        self, mother: Node, member: Node, sequence: Axes, states: Sequence[Axes], spaces: Spaces
    ) -> _Run:
        """Pass a sequence and initial states through a pair of layers."""
        _refuse_stateful(member)
        spaces.pin(sequence[0], _TIME)
        width = str(self.width)
        units = spaces.new(mother.config[width], member.config[width])
        _pin_if_mixed(member.config, units, spaces)
        state = self.state_axes(mother, member, sequence, units, spaces)
        for given in states:
            for ours, theirs in zip(given, state, strict=True):
                spaces.join(ours, theirs)
        gates = spaces.fixed(self.gates, self.gates, "it counts gates")
        output = (sequence[0], *state) if member.config["return_sequences"] else state
        return _Run(output, state, units, Product((gates, units)))

    def state_axes(
        self, mother: Node, member: Node, sequence: Axes, units: Axis, spaces: Spaces
    ) -> Axes:
        """Axes of a state tensor."""
        return (units,)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        columns, units = outputs[-1]
        read = inputs[tensors_of(member, "sequences")[0]]
        return self.variable_roles(member, read, units, columns, dict(member.layer.variables))

    def variable_roles(
        self,
        member: Node,
        read: Axes,
        units: Axis,
        columns: Axis,
        variables: Mapping[str, tuple[int, ...]],
    ) -> dict[str, tuple[Role, ...]]:
        """Roles of kernel, recurrent kernel and bias, which stand in this order."""
        channel = self.input_channel(member, read)
        roles: dict[str, tuple[Role, ...]] = {}
        for rows, (name, shape) in zip((channel, units, None), variables.items(), strict=False):
            kept = len(shape) - (1 if rows is None else 2)
            last = (Copy(columns),) if rows is None else (Split(rows), Copy(columns))
            roles[name] = (*[Keep()] * kept, *last)
        return roles

    def input_channel(self, member: Node, read: Axes) -> Axis:
        """The axis of the sequence that the kernel's rows read."""
        return read[-1]

    def made_axis(self, node: Node, outputs: Sequence[Axes]) -> Axis:
        return outputs[-1][1]


class ConvRecurrentRule(RecurrentRule):
    """ConvLSTM1D to ConvLSTM3D: an LSTM whose products are convolutions."""

    width = "filters"

    def state_axes(
        self, mother: Node, member: Node, sequence: Axes, units: Axis, spaces: Spaces
    ) -> Axes:
        first = member.config["data_format"] == "channels_first"
        places = range(len(sequence) - 1)
        channel = places[0] if first else places[-1]
        has_time = bool(member.config["return_sequences"])
        state: list[Axis] = []
        for place in places:
            if place == channel:
                state.append(units)
                continue
            spaces.pin(sequence[place + 1], "a convolution slides along it")
            sizes = (
                mother.output_shapes[0][place + has_time],
                member.output_shapes[0][place + has_time],
            )
            state.append(spaces.fixed(*sizes, "a convolution slides along it"))
        return tuple(state)

    def input_channel(self, member: Node, read: Axes) -> Axis:
        return read[1] if member.config["data_format"] == "channels_first" else read[-1]


_RECURRENT = {
    "SimpleRNN": RecurrentRule(1, 1),
    "GRU": RecurrentRule(3, 1),
    "LSTM": RecurrentRule(4, 2),
}


class BidirectionalRule(Rule):
    """Bidirectional: two recurrent layers over one sequence, both as wide; outputs are merged."""

    counts = True
    sizes = ("layer",)
    """Config entries in which sizes stand; the mother has the smallest."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        reason = same_places(first, second, _ARGUMENTS)
        if reason is not None:
            return reason
        if first.config["merge_mode"] != second.config["merge_mode"]:
            return Refusal(
                f"`merge_mode` is {first.config['merge_mode']} in one and"
                f" {second.config['merge_mode']} in the other"
            )
        changes: dict[str, Any] = {}
        for key in ("layer", "backward_layer"):
            met = _meet_wrapped(first, second, key)
            if isinstance(met, Refusal):
                return met
            if met:
                entry = first.config[key]
                changes[key] = {**entry, "config": {**entry["config"], **met}}
        return changes

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        sequence = _sequence(member, inputs, spaces)
        given = [inputs[place] for place in tensors_of(member, "initial_state")]
        runs, returned = [], []
        for number, key in enumerate(("layer", "backward_layer")):
            ours, theirs = wrapped(mother, key), wrapped(member, key)
            rule = _recurrent_rule(theirs)
            half = len(given) // 2
            states = given[half:] if number else given[:half]
            run = rule.run(ours, theirs, sequence, states, spaces)
            runs.append(run)
            if theirs.config["return_state"]:
                returned += [run.state] * rule.states
        inside = tuple(axis for run in runs for axis in (run.columns, run.units))
        return (*_merged(member.config["merge_mode"], runs, spaces), *returned, inside)

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        changes = {}
        for number, key in enumerate(("layer", "backward_layer")):
            units, entry = others[-1][2 * number + 1], node.config[key]
            if units != entry["config"]["units"]:
                changes[key] = {**entry, "config": {**entry["config"], "units": units}}
        return changes

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        read = inputs[tensors_of(member, "sequences")[0]]
        variables = list(member.layer.variables.items())
        roles: dict[str, tuple[Role, ...]] = {}
        for number, key in enumerate(("layer", "backward_layer")):
            columns, units = outputs[-1][2 * number : 2 * number + 2]
            inner = wrapped(member, key)
            count = 3 if inner.config["use_bias"] else 2
            own, variables = dict(variables[:count]), variables[count:]
            roles |= _recurrent_rule(inner).variable_roles(inner, read, units, columns, own)
        return roles


def wrapped(node: Node, key: str = "layer") -> Node:
    """The call of the layer that a wrapper holds under a config entry."""
    entry = node.config[key]
    cls = _layer_class(entry)
    layer = Layer(
        node.layer.name,
        node.layer.path,
        cls,
        MappingProxyType(entry["config"]),
        node.layer.variables,
    )
    return Node(
        layer=layer,
        inputs=node.inputs,
        outputs=node.outputs,
        input_shapes=node.input_shapes,
        output_shapes=node.output_shapes,
        args=node.args,
    )


def _layer_class(entry: Mapping[str, Any]) -> type:
    found = keras.saving.get_registered_object(entry.get("registered_name") or "")
    found = found or getattr(keras.layers, str(entry["class_name"]), None)
    if found is None:
        raise SurgeryError(
            f"The wrapped layer class `{entry['class_name']}` is not known",
            expected="a layer of Keras, or a registered class",
            fix="Decorate the class with `keras.saving.register_keras_serializable`, and register"
            " a rule for it; a model cannot be wrapped, but its layers can, one by one",
        )
    return found


def _meet_wrapped(first: Node, second: Node, key: str) -> Mapping[str, Any] | Refusal:
    ours, theirs = wrapped(first, key), wrapped(second, key)
    if ours.layer.cls is not theirs.layer.cls:
        return Refusal(f"one wraps a {ours.kind}, the other a {theirs.kind}")
    rule = _RECURRENT.get(ours.kind)
    if rule is None:
        return Refusal(f"there is no rule for a {ours.kind} inside Bidirectional")
    # Keras tells the variables of the two directions by numbers, which a bias would shift.
    if ours.config["use_bias"] != theirs.config["use_bias"]:
        return Refusal("`use_bias` of a wrapped layer is not the same in both")
    return Rule.meet(rule, ours, theirs)


def _recurrent_rule(inner: Node) -> RecurrentRule:
    return _RECURRENT[inner.kind]


def _merged(mode: str | None, runs: Sequence[_Run], spaces: Spaces) -> tuple[Axes, ...]:
    forward, backward = runs
    if mode is None:
        return (forward.output, backward.output)
    if mode == "concat":
        return ((*forward.output[:-1], Concat((forward.units, backward.units))),)
    spaces.join(forward.units, backward.units)
    return (forward.output,)


def _sequence(member: Node, inputs: Sequence[Axes], spaces: Spaces) -> Axes:
    """Axes of the sequence; a mask must stay as it is."""
    for place in tensors_of(member, "mask"):
        for axis in inputs[place]:
            spaces.pin(axis, "it is a mask")
    return inputs[tensors_of(member, "sequences")[0]]


def _refuse_stateful(member: Node) -> None:
    if member.config.get("stateful"):
        raise SurgeryError(
            "A stateful recurrent layer keeps a state between batches, which is not handed on",
            fix="Build it with `stateful=False`",
        )


def _pin_if_mixed(config: Mapping[str, Any], units: Axis, spaces: Spaces) -> None:
    for key in ("activation", "recurrent_activation"):
        activation = from_config(config.get(key))
        if activation is None:
            spaces.pin(units, f"its `{key}` is not one of Keras' own")
        elif activation.mixes_channels:
            spaces.pin(units, f"{activation.name} mixes the channels")
