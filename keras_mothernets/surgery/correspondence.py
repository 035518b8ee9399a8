"""Walks a mother and a member side by side and notes where every channel comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from keras_mothernets.errors import SurgeryError, naming
from keras_mothernets.graph import Architecture, Chain, Node, Region
from keras_mothernets.rules import (
    ActivationRule,
    Axes,
    Axis,
    Concat,
    Copy,
    Paired,
    Role,
    Spaces,
    Split,
    rule_for,
)
from keras_mothernets.surgery.insertion import Item, RegionInsertion
from keras_mothernets.surgery.pairs import Pair, RegionMatch

How = Literal["matched", "inserted", "fresh", "zeroed"]


@dataclass(frozen=True)
class Step:
    """A call of the member with the call of the mother that it comes from.

    Args:
        how: `"matched"`; `"inserted"` as an identity if the mother has no such call;
            `"fresh"` with initial weights on a branch that gives nothing yet, and
            `"zeroed"` for the layer that keeps it so.
        mother: The mother's call, or the identity that stands for it.
        member: The member's call.
        inputs: Axes of the input tensors.
        outputs: Axes of the output tensors, then axes inside the layer.
        place: Number of the mother's tensor that flows in at this place, -1 on a fresh branch.
    """

    how: How
    mother: Node
    member: Node
    inputs: tuple[Axes, ...]
    outputs: tuple[Axes, ...]
    place: int


@dataclass(frozen=True)
class Correspondence:
    """All steps from a mother to a member, and the channel spaces they share."""

    mother: Architecture
    member: Architecture
    steps: tuple[Step, ...]
    spaces: Spaces


@dataclass(frozen=True)
class _Fate:
    """What an alignment says of one call of the member."""

    how: How
    mother: Node | None = None
    paired: bool = False
    through: int | None = None


def correspond(
    mother: Architecture,
    member: Architecture,
    pairs: Sequence[Pair],
    *,
    settles: bool = False,
) -> Correspondence:
    """Follow the channels of both networks along an alignment.

    Args:
        mother: The smaller network.
        member: The larger one.
        pairs: An alignment in which every call of the mother's is matched.
        settles: Whether axes that must agree get the smaller of their sizes.

    Returns:
        The `Correspondence`; widths are not compared yet (`Spaces.maps` does that).

    Raises:
        SurgeryError: Channels cannot pass a layer; the message names it.
    """
    walk = _Walk(dict(_fates(pairs)), dict(_passed(pairs)), Spaces(settles))
    walk.start(mother, member)
    steps = []
    for node in member.nodes:
        with naming(f"Layer `{node.name}`"):
            steps.append(walk.step(node))
    for ours, theirs in zip(mother.outputs, member.outputs, strict=True):
        if walk.places.get(theirs) != walk.source(ours):
            raise SurgeryError(
                "The outputs come from other places of the network",
                expected="as in the smaller network, in the same order",
                fix="Give the outputs of all networks in one order",
            )
        for axis in walk.views[theirs]:
            walk.spaces.pin(axis, "it is the output")
    _share(steps, walk.spaces)
    return Correspondence(mother, member, tuple(steps), walk.spaces)


def step_roles(step: Step) -> dict[str, tuple[Role, ...]]:
    """The roles of the variables of a step's layer."""
    return rule_for(step.member).roles(step.mother, step.member, step.inputs, step.outputs)


def _fates(pairs: Sequence[Pair]) -> Iterator[tuple[int, _Fate]]:
    """The fate of every call of the member, by the number of its first output."""
    for pair in pairs:
        item = pair.second
        if item is None:
            continue
        if isinstance(pair.inside, RegionMatch):
            yield from _matched_region(pair, pair.inside)
        elif isinstance(pair.inside, RegionInsertion):
            assert isinstance(item, Region)
            yield from _inserted_region(item, pair.inside)
        else:
            assert isinstance(item, Node)
            how: How = "matched" if pair.first is not None else "inserted"
            mother = pair.first if isinstance(pair.first, Node) else None
            yield item.outputs[0], _Fate(how, mother, pair.paired)


def _passed(pairs: Sequence[Pair]) -> Iterator[tuple[int, int]]:
    """For calls that only the mother has, and that give what they get: output and input."""
    for pair in pairs:
        if isinstance(pair.first, Node) and pair.second is None:
            yield pair.first.outputs[0], pair.first.inputs[0]
        elif isinstance(pair.inside, RegionMatch):
            for branch in pair.inside.branches:
                yield from _passed(branch.pairs)


def _matched_region(pair: Pair, inside: RegionMatch) -> Iterator[tuple[int, _Fate]]:
    assert isinstance(pair.second, Region)
    yield from _fates(inside.nodes)
    for branch in inside.branches:
        if branch.second is None:
            continue
        if branch.first is None:
            yield from _fresh(pair.second.branches[branch.second], branch.zeroed)
        else:
            yield from _fates(branch.pairs)
    if inside.merge is not None:
        yield from _fates([inside.merge])


def _inserted_region(region: Region, inside: RegionInsertion) -> Iterator[tuple[int, _Fate]]:
    assert region.merge is not None
    zeroed = iter(inside.zeroed)
    for number, branch in enumerate(region.branches):
        if number == inside.through:
            for item, paired in inside.identities:
                yield from _identity(item, paired)
        else:
            yield from _fresh(branch, next(zeroed, None))
    tensor = list(dict.fromkeys(region.merge.inputs))[inside.through]
    yield region.merge.outputs[0], _Fate("inserted", through=tensor)


def _identity(item: Item, paired: bool) -> Iterator[tuple[int, _Fate]]:
    if isinstance(item, Region):
        raise SurgeryError(f"A region within a region (`{item.name}`) is not inserted")
    yield item.outputs[0], _Fate("inserted", paired=paired)


def _fresh(chain: Chain, zeroed: Node | None) -> Iterator[tuple[int, _Fate]]:
    for item in chain.items:
        for node in item.nodes if isinstance(item, Region) else (item,):
            is_zeroed = zeroed is not None and node.outputs == zeroed.outputs
            yield node.outputs[0], _Fate("zeroed" if is_zeroed else "fresh")


@dataclass
class _Walk:
    """What is known on the way through a member: the axes of each tensor so far."""

    fates: dict[int, _Fate]
    passed: dict[int, int]
    spaces: Spaces = field(default_factory=Spaces)
    views: dict[int, Axes] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)

    def start(self, mother: Architecture, member: Architecture) -> None:
        """Pin the inputs."""
        for ours, theirs in zip(mother.inputs, member.inputs, strict=True):
            sizes = zip(ours.shape, theirs.shape, strict=True)
            self.views[theirs.tensor] = tuple(
                self.spaces.fixed(*pair, "it is the input") for pair in sizes
            )
            self.places[theirs.tensor] = ours.tensor

    def step(self, node: Node) -> Step:
        """Pass one call of the member."""
        fate = self.fates[node.outputs[0]]
        if fate.how in ("fresh", "zeroed"):
            return Step(fate.how, node, node, (), (), -1)
        if fate.through is not None:
            step = self._merge_inserted(node, fate.through)
        elif fate.mother is not None:
            step = self._matched(fate.mother, node)
        else:
            step = self._inserted(node, fate.paired)
        made = step.mother.outputs if step.how == "matched" else (step.place,)
        for number, tensor in enumerate(node.outputs):
            self.views[tensor] = step.outputs[number]
            self.places[tensor] = made[number]
        return step

    def _matched(self, mother: Node, node: Node) -> Step:
        self._check_places(mother, node)
        inputs = self._inputs(node)
        outputs = rule_for(node).flow(mother, node, inputs, self.spaces)
        return Step("matched", mother, node, inputs, outputs, self._place(node))

    def _check_places(self, mother: Node, node: Node) -> None:
        """A call must read what the mother's reads, in the same order where that counts."""
        read = [self.places[tensor] for tensor in node.inputs if tensor in self.places]
        wanted = [self.source(tensor) for tensor in mother.inputs]
        if rule_for(node).commutes(node):
            read, wanted = sorted(read), sorted(wanted)
        if read != wanted:
            raise SurgeryError(
                "It reads other tensors than in the smaller network, or in another order",
                fix="Wire it in the same way in all networks",
            )

    def _inserted(self, node: Node, paired: bool) -> Step:
        rule, inputs, place = rule_for(node), self._inputs(node), self._place(node)
        if paired:
            outputs: tuple[Axes, ...] = (_paired(node, inputs[0], self.spaces),)
            return Step("inserted", node, node, inputs, outputs, place)
        if rule.is_transparent or isinstance(rule, ActivationRule):
            return Step("inserted", node, node, inputs, inputs[:1], place)
        channels = self.spaces.size(inputs[0][rule.channel_axis(node)])[0]
        if channels is None:
            raise SurgeryError("It cannot be inserted where the number of channels is unknown")
        identity = rule.identity_node(node, channels)
        outputs = rule.flow(identity, node, inputs, self.spaces)
        return Step("inserted", identity, node, inputs, outputs, place)

    def _merge_inserted(self, node: Node, through: int) -> Step:
        """The end of an inserted region: what its identity branch carries, and perhaps more."""
        place = self.places[through]
        if rule_for(node).merge == "sum":
            return Step("inserted", node, node, (), (self.views[through],), place)
        inputs = self._inputs(node)
        position = rule_for(node).channel_axis(node)
        joined = Concat(tuple(axes[position] for axes in inputs))
        carried = self.views[through]
        axes = (*carried[:position], joined, *carried[position + 1 :])
        return Step("inserted", node, node, inputs, (axes,), place)

    def _inputs(self, node: Node) -> tuple[Axes, ...]:
        """Axes of the inputs; a fresh branch is left out of a sum, and adds new channels else."""
        known = [self.views[tensor] for tensor in node.inputs if tensor in self.views]
        if rule_for(node).merge != "concat":
            return tuple(known)
        position = rule_for(node).channel_axis(node)
        inputs = []
        for tensor, shape in zip(node.inputs, node.input_shapes, strict=True):
            axes = self.views.get(tensor)
            if axes is None:
                new = self.spaces.new(0, shape[position])
                axes = (*known[0][:position], new, *known[0][position + 1 :])
            inputs.append(axes)
        return tuple(inputs)

    def source(self, tensor: int) -> int:
        """The mother's tensor that flows in where only the mother has calls before it."""
        while tensor in self.passed:
            tensor = self.passed[tensor]
        return tensor

    def _place(self, node: Node) -> int:
        return next(self.places[tensor] for tensor in node.inputs if tensor in self.places)


def _paired(node: Node, axes: Axes, spaces: Spaces) -> Axes:
    """Axes after an activation that works on negated copies."""
    assert node.activation is not None
    constant = node.activation.pair_constant()
    assert constant is not None
    first = node.layer.config.get("data_format") == "channels_first"
    channel = 0 if first else len(axes) - 1
    spaces.sign(axes[channel])
    pairs: Axis = Paired(axes[channel], constant)
    return (*axes[:channel], pairs, *axes[channel + 1 :])


def _share(steps: Sequence[Step], spaces: Spaces) -> None:
    """Let all calls of a shared layer have one source and the same channels."""
    first_calls: dict[tuple[str, ...], Step] = {}
    readers: dict[tuple[str, ...], tuple[str, ...]] = {}
    for step in steps:
        if not step.member.layer.variables or step.member.fused:
            continue
        path = step.member.layer.path
        first = first_calls.setdefault(path, step)
        same = first.how == step.how
        if step.how == "matched":
            same = same and first.mother.layer.path == step.mother.layer.path
            same = same and readers.setdefault(step.mother.layer.path, path) == path
        if not same:
            raise SurgeryError(
                f"Layer `{step.member.name}` is shared by several calls, which do not all come"
                " from one layer of the smaller network",
                fix="Share the layer in the same way in all networks",
            )
        if step is not first and step.how in ("matched", "inserted"):
            _join_roles(first, step, spaces)


def _join_roles(first: Step, second: Step, spaces: Spaces) -> None:
    others = step_roles(second)
    for name, roles in step_roles(first).items():
        for ours, theirs in zip(roles, others[name], strict=True):
            if isinstance(ours, (Copy, Split)) and isinstance(theirs, (Copy, Split)):
                spaces.join(ours.axis, theirs.axis)
