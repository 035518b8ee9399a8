"""Faults in the rules of graphs are put in on purpose, and each is caught.

Two kinds: a fault in arithmetic makes an exact hatching deviate, or fail; and a
demand that is dropped lets through what was refused, which then deviates.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import (
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    randomise,
)

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.rules import ActivationRule, Copy, Split, Value
from keras_mothernets.rules.attention import (
    AdditiveAttentionRule,
    AttentionRule,
    GroupQueryAttentionRule,
    HeadsRule,
)
from keras_mothernets.rules.axes import Product
from keras_mothernets.rules.convolution import DepthwiseRule
from keras_mothernets.rules.dense import DenseRule
from keras_mothernets.rules.einsum import EinsumDenseRule
from keras_mothernets.rules.layer_normalization import UnitNormalizationRule
from keras_mothernets.rules.merging import ElementwiseMergeRule
from keras_mothernets.rules.recurrent import BidirectionalRule, RecurrentRule
from keras_mothernets.rules.shape import FlattenRule, PermuteRule
from keras_mothernets.rules.spaces import Spaces
from keras_mothernets.surgery import hatch, max_deviation

arrays = importlib.import_module("keras_mothernets.surgery.arrays")
correspondence = importlib.import_module("keras_mothernets.surgery.correspondence")
plan = importlib.import_module("keras_mothernets.surgery.plan")
shape = importlib.import_module("keras_mothernets.rules.shape")
convolution = importlib.import_module("keras_mothernets.rules.convolution")
merging = importlib.import_module("keras_mothernets.rules.merging")
tree = importlib.import_module("keras_mothernets.graph.tree")
maps = importlib.import_module("keras_mothernets.rules.maps")
spaces = importlib.import_module("keras_mothernets.rules.spaces")

EXACT, CAUGHT = 1e-10, 1e-6
Patch = Callable[[pytest.MonkeyPatch], None]
Body = Callable[[Any, Callable[[Any, Any], Any]], Any]
IMAGE, SEQUENCE, VECTOR = (6, 6, 3), (5, 3), (5,)

# --- networks: `w(3, 5)` is 3 in the mother and 5 in the member ------------------------------


def stream(x: Any, w: Any, act: str | None = "tanh") -> Any:
    return layers.Dense(w(3, 5), activation=act)(x)


def joined(x: Any, w: Any) -> Any:
    parts = [layers.Dense(w(2, 3))(x), layers.Dense(w(3, 7))(x)]
    return layers.Activation("tanh")(layers.Concatenate()(parts))


def added(x: Any, w: Any) -> Any:
    return layers.Add()([layers.Dense(w(3, 6), activation="tanh")(x) for _ in range(3)])


def gated(x: Any, w: Any) -> Any:
    x = layers.Conv2D(w(3, 6), 3, activation="tanh")(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Dense(w(3, 6), activation="sigmoid")(y)])


def heads(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.MultiHeadAttention(w(2, 3), w(2, 8), value_dim=w(2, 5))(x, x)


def groups(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.GroupQueryAttention(3, w(4, 12), w(2, 4))(x, x)


def additive(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.AdditiveAttention()([x, x])


def einsum(x: Any, w: Any) -> Any:
    x = layers.EinsumDense("abc,cde->abde", (5, w(2, 3), w(3, 4)), bias_axes="de")(stream(x, w))
    return layers.EinsumDense("abde,def->abf", (5, w(2, 3)))(layers.Activation("tanh")(x))


def recurrent(kind: Any) -> Body:
    return lambda x, w: kind(w(2, 5))(kind(w(3, 4), return_sequences=True)(stream(x, w)))


def both(x: Any, w: Any) -> Any:
    return layers.Bidirectional(layers.GRU(w(3, 6)))(x)


def normalised(make: Any, small: int = 4, large: int = 8) -> Body:
    return lambda x, w: make()(layers.Dense(w(small, large))(x))


def depthwise(x: Any, w: Any) -> Any:
    x = layers.Conv2D(w(3, 5), 1, activation="tanh")(x)
    return layers.Conv2D(w(2, 3), 1)(layers.DepthwiseConv2D(3, depth_multiplier=w(1, 2))(x))


def reshaped(x: Any, w: Any) -> Any:
    x = layers.Reshape((2, 3, w(2, 4)))(layers.Dense(w(12, 24), activation="tanh")(x))
    return layers.Conv2D(w(2, 3), 1, activation="tanh")(x)


def flat(x: Any, w: Any) -> Any:
    return layers.Dense(3)(layers.Flatten()(layers.Conv2D(w(3, 5), 3, activation="tanh")(x)))


def turned(x: Any, w: Any) -> Any:
    return layers.Permute((2, 1))(stream(x, w))


def shared(x: Any, w: Any) -> Any:
    again = layers.Dense(w(3, 6), activation="tanh")
    return again(again(layers.Dense(w(3, 6))(x)))


def block(x: Any, w: Any) -> Any:
    x = stream(x, w)
    if w(False, True):
        x = layers.Add()([x, layers.Dense(5)(layers.Dense(4, activation="gelu")(x))])
    return x


def attending(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.Add()([x, layers.MultiHeadAttention(2, 2)(x, x)]) if w(False, True) else x


def dense_unit(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.Concatenate()([layers.Dense(2)(x), x]) if w(False, True) else x


def deeper(x: Any, w: Any) -> Any:
    x = layers.ReLU()(layers.Dense(w(3, 4))(x))
    return layers.ReLU()(layers.Dense(5)(x)) if w(False, True) else x


def relu_on_signed(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return layers.Dense(5, activation="relu")(x) if w(False, True) else x


def relu_on_signed_sum(x: Any, w: Any) -> Any:
    x = layers.Add()([stream(x, w), stream(x, w)])
    return layers.Dense(5, activation="relu")(x) if w(False, True) else x


def attention(x: Any, w: Any) -> Any:
    return layers.Attention()([stream(x, w), stream(x, w)])


def dotted(x: Any, w: Any) -> Any:
    return layers.Dot(-1)([stream(x, w), stream(x, w)])


# --- faults ------------------------------------------------------------------------------------


def _no_offsets_in_concatenations(patch: pytest.MonkeyPatch) -> None:
    concat = maps._concat

    def fault(maps: Any) -> Any:
        found = concat(maps)
        return replace(found, index=np.concatenate([part.index for part in maps]))

    patch.setattr(maps, "_concat", fault)


def _concatenations_the_other_way_round(patch: pytest.MonkeyPatch) -> None:
    concat = maps._concat
    patch.setattr(maps, "_concat", lambda maps: concat(maps[::-1]))


def _branches_not_joined(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Spaces, "join", lambda self, first, second: None)


def _third_branch_not_joined(patch: pytest.MonkeyPatch) -> None:
    flow = ElementwiseMergeRule.flow
    patch.setattr(
        ElementwiseMergeRule, "flow",
        lambda self, mother, member, inputs, known: flow(self, mother, member, inputs[:2], known),
    )  # fmt: skip


def _edit_roles(rule: type, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        roles: Any = rule.roles  # type: ignore[attr-defined]
        patch.setattr(rule, "roles", lambda self, *args: edit(dict(roles(self, *args))))

    return apply


def _swapped(name: str, first: int, second: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def edit(roles: dict[str, Any]) -> dict[str, Any]:
        axes = list(roles[name])
        axes[first], axes[second] = axes[second], axes[first]
        return {**roles, name: tuple(axes)}

    return edit


def _copied(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Rows that are summed over are copied instead of split."""

    def edit(roles: dict[str, Any]) -> dict[str, Any]:
        return {
            name: tuple(Copy(r.axis) if isinstance(r, Split) else r for r in axes)
            if name in names or not names
            else axes
            for name, axes in roles.items()
        }

    return edit


def _scores_not_scaled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HeadsRule, "rebase", lambda self, mother, member, values: values)


def _bias_of_the_query_not_scaled(patch: pytest.MonkeyPatch) -> None:
    rebase = HeadsRule.rebase

    def fault(self: Any, mother: Any, member: Any, values: Any) -> Any:
        return {**rebase(self, mother, member, values), "query/bias": values["query/bias"]}

    patch.setattr(HeadsRule, "rebase", fault)


def _queries_before_groups(patch: pytest.MonkeyPatch) -> None:
    inside = GroupQueryAttentionRule.inside

    def fault(self: Any, *args: Any) -> Any:
        queries, *rest = inside(self, *args)
        return (Product(queries.factors[::-1]), *rest)  # type: ignore[union-attr]

    patch.setattr(GroupQueryAttentionRule, "inside", fault)


def _units_before_gates(patch: pytest.MonkeyPatch) -> None:
    run = RecurrentRule.run

    def fault(self: Any, *args: Any) -> Any:
        found = run(self, *args)
        return replace(found, columns=Product(found.columns.factors[::-1]))  # type: ignore[union-attr]

    patch.setattr(RecurrentRule, "run", fault)


def _backward_units_taken_for_forward_ones(patch: pytest.MonkeyPatch) -> None:
    roles = BidirectionalRule.roles

    def fault(self: Any, mother: Any, member: Any, inputs: Any, outputs: Any) -> Any:
        inside = outputs[-1]
        return roles(self, mother, member, inputs, (*outputs[:-1], (*inside[2:], *inside[:2])))

    patch.setattr(BidirectionalRule, "roles", fault)


def _recurrent_rows_copied(patch: pytest.MonkeyPatch) -> None:
    roles = RecurrentRule.variable_roles

    def fault(self: Any, *args: Any) -> Any:
        found = roles(self, *args)
        return _copied("recurrent_kernel")(found)

    patch.setattr(RecurrentRule, "variable_roles", fault)


def _even_copies_in_turns(patch: pytest.MonkeyPatch) -> None:
    even = spaces._even_map

    def fault(entry: Any) -> Any:
        found = even(entry)
        return replace(found, index=np.arange(len(found.index)) % found.size)

    patch.setattr(spaces, "_even_map", fault)


def _uneven_copies_under_a_norm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Spaces, "even_out", lambda self, axis, reason, parts=1: None)


def _channels_apart_from_their_depthwise_kernel(patch: pytest.MonkeyPatch) -> None:
    def fault(self: Any, mother: Any, member: Any, channels: Any, known: Any) -> Any:
        key = "depth_multiplier"
        fresh = known.new(*known.size(channels))
        return Product((fresh, known.new(mother.config[key], member.config[key])))

    patch.setattr(DepthwiseRule, "made", fault)


def _positions_behind_channels(patch: pytest.MonkeyPatch) -> None:
    flow = FlattenRule.flow

    def fault(self: Any, *args: Any) -> Any:
        ((axis,),) = flow(self, *args)
        return ((Product(axis.factors[::-1]),),)  # type: ignore[union-attr]

    patch.setattr(FlattenRule, "flow", fault)


def _axes_not_turned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PermuteRule, "flow", lambda self, mother, member, inputs, known: (inputs[0],))


def _pieces_in_the_wrong_order(patch: pytest.MonkeyPatch) -> None:
    refine = Spaces.refine

    def fault(self: Any, atom: Any, sizes: Any) -> Any:
        factors = refine(self, atom, sizes)
        self._entries[atom.number].replaced_by = Product(factors[::-1])
        return factors

    patch.setattr(Spaces, "refine", fault)


def _calls_of_a_shared_layer_not_joined(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(correspondence, "_join_roles", lambda first, second, known: None)


def _nothing_zeroed(patch: pytest.MonkeyPatch) -> None:
    fresh = plan._fresh_variables

    def fault(step: Any) -> Any:
        return tuple(replace(variable, source="initial") for variable in fresh(step))

    patch.setattr(plan, "_fresh_variables", fault)


def _only_the_bias_zeroed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HeadsRule, "zeros", lambda self, node: ("attention_output/bias",))
    patch.setattr(DenseRule, "zeros", lambda self, node: ("bias",))


def _new_channels_listened_to(patch: pytest.MonkeyPatch) -> None:
    fill = arrays._fill_missing

    def fault(array: Any, roles: Any, maps: Any, fresh: Any) -> Any:
        turned = tuple(Copy(r.axis) if isinstance(r, Split) else r for r in roles)
        return fill(array, turned, maps, fresh)

    patch.setattr(arrays, "_fill_missing", fault)


def _new_channels_on_the_wrong_side(patch: pytest.MonkeyPatch) -> None:
    merge = correspondence._Walk._merge_inserted

    def fault(self: Any, node: Any, through: int) -> Any:
        step = merge(self, node, through)
        axes = step.outputs[0]
        return replace(step, outputs=((*axes[:-1], replace(axes[-1], parts=axes[-1].parts[::-1])),))

    patch.setattr(correspondence._Walk, "_merge_inserted", fault)


def _identity_with_its_channels_turned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        DenseRule, "identity_values",
        lambda self, node, channels, known: {"kernel": np.roll(np.eye(channels), 1, axis=0)},
    )  # fmt: skip


def _drop(rule: Any, name: str, value: Any) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(rule, name, value)

    return apply


def _no_pins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Spaces, "pin", lambda self, axis, reason: None)


def one_minus(x: Any, w: Any) -> Any:
    x = stream(x, w)
    return w(x - 1.0, 1.0 - x)


def split_behind_norm(x: Any, w: Any) -> Any:
    x = LN()(layers.Dense(2 * w(4, 6))(x))
    return layers.Dense(3, activation="tanh")(layers.Reshape((2, w(4, 6)))(x))


def joined_under_norm(x: Any, w: Any) -> Any:
    return LN()(layers.Concatenate()([layers.Dense(w(2, 4))(x), layers.Dense(4)(x)]))


def in_groups(x: Any, w: Any) -> Any:
    x = layers.Conv2D(w(4, 9), 1, activation="tanh")(x)
    return layers.Conv2D(w(4, 12), 3, groups=w(2, 3))(x)


def twice(x: Any, w: Any) -> Any:
    x = stream(x, w)
    y = layers.Dense(w(3, 5))(x)
    return w(x, layers.Add()([x, x, y]))


def _unevenly_refined(patch: pytest.MonkeyPatch) -> None:
    def fault(self: Any, atom: Any, sizes: Any) -> Any:
        factors = tuple(self.new(*pair) for pair in sizes)
        self._entries[atom.number].replaced_by = Product(factors)
        return factors

    patch.setattr(Spaces, "refine", fault)


def _channels_before_their_groups(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(convolution, "Product", lambda factors: Product(factors[::-1]))


def _groups_of_one_channel(patch: pytest.MonkeyPatch) -> None:
    """What is inside a group is copied, and not split among the copies."""

    def fault(self: Any, mother: Any, member: Any, inputs: Any, outputs: Any) -> Any:
        *rest, read, made = (roles := own(self, mother, member, inputs, outputs))["kernel"]
        return {**roles, "kernel": (*rest, Copy(read.axis), made)}

    own = convolution.ConvolutionRule.roles
    patch.setattr(convolution.ConvolutionRule, "roles", fault)


def _branches_told_by_tensor(patch: pytest.MonkeyPatch) -> None:
    """A merge is cut into branches even if it reads one of them twice."""
    source = inspect.getsource(tree._item)
    cut = source.replace("if len(set(merge.inputs)) < len(merge.inputs):", "if False:")
    assert cut != source
    scope = dict(vars(tree))
    exec(compile(cut, "fault", "exec", flags=annotations.compiler_flag), scope)
    patch.setattr(tree, "_item", scope["_item"])


_same_axes: Any = lambda self, mother, member, inputs, known: (inputs[0],)  # noqa: E731
LN, GN = layers.LayerNormalization, layers.GroupNormalization

FAULTS: dict[str, tuple[Patch, Any, Body]] = {
    "concat without offsets": (_no_offsets_in_concatenations, VECTOR, joined),
    "concat turned": (_concatenations_the_other_way_round, VECTOR, joined),
    "branches of a sum not joined": (_branches_not_joined, VECTOR, added),
    "third branch of a sum not joined": (_third_branch_not_joined, VECTOR, added),
    "gate not joined": (_branches_not_joined, IMAGE, gated),
    "heads and values swapped": (
        _edit_roles(HeadsRule, _swapped("attention_output/kernel", 0, 1)), SEQUENCE, heads,
    ),
    "heads and keys swapped": (
        _edit_roles(HeadsRule, _swapped("key/kernel", 1, 2)), SEQUENCE, heads,
    ),
    "query not split": (_edit_roles(HeadsRule, _copied("query/kernel")), SEQUENCE, heads),
    "output of heads not split": (
        _edit_roles(HeadsRule, _copied("attention_output/kernel")), SEQUENCE, heads,
    ),
    "scores not scaled": (_scores_not_scaled, SEQUENCE, heads),
    "bias of the query not scaled": (_bias_of_the_query_not_scaled, SEQUENCE, heads),
    "queries before groups": (_queries_before_groups, SEQUENCE, groups),
    "additive scale not split": (
        _edit_roles(AdditiveAttentionRule, _copied("scale")), SEQUENCE, additive,
    ),
    "einsum not split": (_edit_roles(EinsumDenseRule, _copied()), SEQUENCE, einsum),
    "einsum axes swapped": (
        _edit_roles(EinsumDenseRule, _swapped("kernel", 0, 1)), SEQUENCE, einsum,
    ),
    "lstm units before gates": (_units_before_gates, SEQUENCE, recurrent(layers.LSTM)),
    "gru units before gates": (_units_before_gates, SEQUENCE, recurrent(layers.GRU)),
    "recurrent rows copied": (_recurrent_rows_copied, SEQUENCE, recurrent(layers.SimpleRNN)),
    "backward for forward": (_backward_units_taken_for_forward_ones, SEQUENCE, both),
    "group norm with copies in turns": (
        _even_copies_in_turns, IMAGE, normalised(lambda: GN(2)),
    ),
    "layer norm with uneven copies": (_uneven_copies_under_a_norm, VECTOR, normalised(LN)),
    "depthwise apart from its channels": (
        _channels_apart_from_their_depthwise_kernel, IMAGE, depthwise,
    ),
    "channels before their groups": (_channels_before_their_groups, IMAGE, in_groups),
    "inside of a group not split": (_groups_of_one_channel, IMAGE, in_groups),
    "positions behind channels": (_positions_behind_channels, IMAGE, flat),
    "axes not turned": (_axes_not_turned, SEQUENCE, turned),
    "pieces in the wrong order": (_pieces_in_the_wrong_order, VECTOR, reshaped),
    "shared layer not joined": (_calls_of_a_shared_layer_not_joined, VECTOR, shared),
    "block not zeroed": (_nothing_zeroed, VECTOR, block),
    "attention block not zeroed": (_nothing_zeroed, SEQUENCE, attending),
    "only the bias of a block zeroed": (_only_the_bias_zeroed, VECTOR, block),
    "only the bias of attention zeroed": (_only_the_bias_zeroed, SEQUENCE, attending),
    "new channels listened to": (_new_channels_listened_to, VECTOR, dense_unit),
    "new channels on the wrong side": (_new_channels_on_the_wrong_side, VECTOR, dense_unit),
    "identity turned": (_identity_with_its_channels_turned, VECTOR, deeper),
}  # fmt: skip

# Demands: without the fault the pair is refused.
DEMANDS: dict[str, tuple[Patch, Any, Body]] = {
    "relu taken for the identity": (
        _drop(ActivationRule, "changes", lambda self, node, value: False), VECTOR, relu_on_signed,
    ),
    "sums taken for non-negative": (
        _drop(ElementwiseMergeRule, "merge_value", lambda self, node, values: Value(0.0)),
        VECTOR, relu_on_signed_sum,
    ),
    "unit norm of other widths": (
        _drop(UnitNormalizationRule, "flow", _same_axes),
        VECTOR, normalised(layers.UnitNormalization, 4, 6),
    ),
    "softmax of other widths": (
        _drop(ActivationRule, "flow", _same_axes),
        VECTOR, normalised(lambda: layers.Activation("softmax"), 4, 6),
    ),
    "layer norm of other widths": (_uneven_copies_under_a_norm, VECTOR, normalised(LN, 4, 7)),
    "attention of other widths": (
        _drop(AttentionRule, "contract", lambda self, *args: None), SEQUENCE, attention,
    ),
    "dot of other widths": (_no_pins, VECTOR, dotted),
    "a constant on the other side": (
        _drop(merging, "static_arguments", lambda node: {}), VECTOR, one_minus,
    ),
    "uneven copies behind a reshape": (_unevenly_refined, VECTOR, split_behind_norm),
    "joined axes normalised in other proportions": (
        _drop(Spaces, "_check_alike", lambda self, *args: None), VECTOR, joined_under_norm,
    ),
    "a tensor added twice": (_branches_told_by_tensor, VECTOR, twice),
}  # fmt: skip


def networks(name: str) -> tuple[keras.Model, keras.Model]:
    _, input_shape, body = {**FAULTS, **DEMANDS}[name]

    def make(w: Any, model_name: str) -> keras.Model:
        inputs = keras.Input(input_shape)
        x = body(inputs, w)
        x = layers.Flatten()(x) if len(x.shape) > 2 else x
        x = layers.Dense(3)(layers.Activation("sigmoid")(x) if len(x.shape) == 2 else x)
        return keras.Model(inputs, x, name=model_name)

    mother = randomise(make(lambda first, second: first, "mother"), 1)
    return mother, randomise(make(lambda first, second: second, "member"), 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mother, member = networks(name)
    assert max_deviation(mother, hatch(mother, member)) <= EXACT
    FAULTS[name][0](monkeypatch)
    try:
        hatched = hatch(mother, member)
    except (MotherNetsError, ValueError, IndexError):
        return  # shapes do not even fit
    assert not max_deviation(mother, hatched) <= CAUGHT


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMANDS)
def test_a_demand_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mother, member = networks(name)
    with pytest.raises(MotherNetsError):
        hatch(mother, member)
    DEMANDS[name][0](monkeypatch)
    assert not max_deviation(mother, hatch(mother, member)) <= CAUGHT
