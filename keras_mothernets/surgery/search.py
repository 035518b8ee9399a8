"""The dynamic programme that aligns two chains, and their regions' branches in the same way.

A cell (i, j) says that the first i items of one chain and the first j of the
other compute the same tensor. From there either both go on with items that
meet, or one goes on alone with an item that can be made an identity on that
tensor. The state of a cell holds what insertion depends on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keras_mothernets.graph import LINEAR, Architecture, Chain, Node, Region
from keras_mothernets.rules import Refusal, Value, rule_for
from keras_mothernets.surgery.branches import meet_branches
from keras_mothernets.surgery.insertion import Item, Side, after, insert, insert_region
from keras_mothernets.surgery.pairs import Alignment, Pair, Path, RegionMatch, Score, State, Taste


@dataclass(frozen=True)
class Place:
    """Where two items may meet.

    Args:
        goal: What the alignment is for.
        value: What is known of the numbers that flow there.
        shape: Shape of the mother's tensor there.
        is_input: Whether it has the channels of the input, which no network can change.
    """

    goal: Goal
    value: Value
    shape: tuple[int | None, ...]
    is_input: bool


@dataclass(frozen=True)
class Goal:
    """What an alignment is for: hatching (`grow_only`), whether widths are final, and a taste."""

    grow_only: bool
    check_widths: bool
    taste: Taste = "params"


NO_HEADS = (-1, -1)


def head(chain: Chain) -> int:
    """Number of the last item that makes channels, -1 if there is none."""
    makers = [number for number, item in enumerate(chain.items) if _makes_channels(item)]
    return makers[-1] if makers else -1


def _makes_channels(item: Item) -> bool:
    return isinstance(item, Region) or rule_for(item).width is not None


class Search:
    """The table of the dynamic programme for two chains."""

    def __init__(
        self,
        first: Chain,
        second: Chain,
        goal: Goal,
        value: Value,
        shape: tuple[int | None, ...],
        heads: tuple[int, int] = NO_HEADS,
        is_input: bool = True,
    ) -> None:
        self._first, self._second = first.items, second.items
        self._goal = goal
        self._value = value
        self._shape = shape
        self._heads = heads
        # The first places, up to which nothing makes channels, have the channels of the input.
        makers = [n for n, item in enumerate(self._first) if _makes_channels(item)]
        self._inputs = (makers or [len(self._first)])[0] if is_input else -1
        self._meets: dict[tuple[int, int, Value], _Meeting | Refusal] = {}
        self._refusals: dict[tuple[int, int], list[str]] = {}
        self._near_misses: set[tuple[int, int]] = set()
        self._furthest = (0, 0)
        self.parting = (0, 0)

    def run(self) -> Alignment | Refusal:
        """The best way through the table, or why there is none."""
        whole = self._straight()
        if whole is not None:
            return whole
        rows, columns = len(self._first), len(self._second)
        start = State(self._value, Side(), Side())
        table: dict[tuple[int, int], dict[State, Path]] = {(0, 0): {start: Path(Score())}}
        ends: list[tuple[Path, Value]] = []
        for i in range(rows + 1):
            for j in range(columns + 1):
                for state, path in table.pop((i, j), {}).items():
                    self._furthest = max(self._furthest, (i, j), key=sum)
                    if (i, j) == (rows, columns):
                        if not (state.first.paired or state.second.paired):
                            ends.append((path, state.value))
                        continue
                    for cell, new_state, new_path in self._moves(i, j, state, path):
                        known = table.setdefault(cell, {})
                        if new_state not in known or self._is_better(new_path, known[new_state]):
                            known[new_state] = new_path
        if not ends:
            return self._failure()
        best, value = max(ends, key=lambda end: end[0].score.by(self._goal.taste))
        return Alignment(tuple(best.steps()), best.score.params, value)

    def _is_better(self, new: Path, old: Path) -> bool:
        return new.score.by(self._goal.taste) > old.score.by(self._goal.taste)

    def _straight(self) -> Alignment | None:
        """The alignment of two chains that match item by item, if they do: none is better."""
        if len(self._first) != len(self._second):
            return None
        value, params, pairs = self._value, 0, []
        for i in range(len(self._first)):
            meeting = self._meet(i, i, value)
            if isinstance(meeting, Refusal) or not meeting.is_whole:
                return None
            pairs.append(meeting.pair)
            value, params = meeting.value, params + meeting.params
        return Alignment(tuple(pairs), params, value, is_whole=True)

    def _moves(
        self, i: int, j: int, state: State, path: Path
    ) -> Iterator[tuple[tuple[int, int], State, Path]]:
        if i < len(self._first) and j < len(self._second):
            yield from self._match(i, j, state, path)
        if j < len(self._second):
            item = self._second[j]
            side = self._head_refusal(item, j == self._heads[1]) or insert(
                item, state.value, state.second, self._channels(i, item)
            )
            if isinstance(side, Refusal):
                if j != self._heads[1]:
                    self._refuse(i, j, f"`{item.name}` cannot be inserted: {side}")
            else:
                step = self._insertion(item, i, state, side, path)
                yield (i, j + 1), replace(state, second=side), path.then(step)
        if i < len(self._first) and self._may_drop(self._first[i]):
            item = self._first[i]
            side = self._head_refusal(item, i == self._heads[0]) or insert(
                item, state.value, state.first, None
            )
            if isinstance(side, Refusal):
                if i != self._heads[0]:
                    self._refuse(i, j, f"`{item.name}` cannot be left out: {side}")
            else:
                step = Pair(item, None, paired=side.paired and not state.first.paired)
                yield (i + 1, j), replace(state, first=side), path.then(step)

    def _head_refusal(self, item: Item, is_head: bool) -> Refusal | None:
        """Heads have the width of the output, so that none can be left out for another layer."""
        if is_head and isinstance(item, Node):
            return Refusal("it makes the output")
        return None

    def _may_drop(self, item: Item) -> bool:
        """Whether the first network may have an item that the second lacks."""
        if not self._goal.grow_only:
            return True
        return isinstance(item, Node) and (
            rule_for(item).is_transparent or item.activation == LINEAR
        )

    def _insertion(self, item: Item, i: int, state: State, side: Side, path: Path) -> Pair:
        inside = None
        if isinstance(item, Region):
            found = insert_region(item, state.value, self._channels(i, item))
            assert not isinstance(found, Refusal)
            inside = found
        return Pair(None, item, paired=side.paired and not state.second.paired, inside=inside)

    def _match(
        self, i: int, j: int, state: State, path: Path
    ) -> Iterator[tuple[tuple[int, int], State, Path]]:
        first, second = self._first[i], self._second[j]
        if (
            state.first.paired
            or state.second.paired
            or (i == self._heads[0]) != (j == self._heads[1])
        ):
            return
        meeting = self._meet(i, j, state.value)
        if isinstance(meeting, Refusal):
            self._refuse(i, j, f"`{first.name}` does not match `{second.name}`: {meeting}")
            if _same_sort(first, second):
                self._near_misses.add((i, j))
            return
        ours, theirs = Side(), Side()
        if isinstance(second, Node):
            theirs = after(second, state.second)
        if isinstance(first, Node) and not self._goal.grow_only:
            ours = after(first, state.first)
        new = State(meeting.value, ours, theirs)
        step = path.then(meeting.pair, params=meeting.params, match=1, late=i + j)
        yield (i + 1, j + 1), new, step

    def _meet(self, i: int, j: int, value: Value) -> _Meeting | Refusal:
        key = (i, j, value)
        if key not in self._meets:
            place = Place(self._goal, value, self._place(i), i <= self._inputs)
            self._meets[key] = _meet_items(self._first[i], self._second[j], place)
        return self._meets[key]

    def _place(self, i: int) -> tuple[int | None, ...]:
        """Shape of the mother's tensor at place i."""
        return output_shape(self._first[i - 1]) if i else self._shape

    def _channels(self, i: int, item: Item) -> int | None:
        """Width of the mother's tensor at place i, on the axis that an item takes for channels.

        None if it is not settled yet.
        """
        if not self._goal.check_widths and i > self._inputs:
            return None
        shape = self._place(i)
        node = item.merge if isinstance(item, Region) else item
        axis = rule_for(node).channel_axis(node) if node is not None else len(shape) - 1
        return shape[axis] if axis < len(shape) else None

    def _refuse(self, i: int, j: int, reason: str) -> None:
        reasons = self._refusals.setdefault((i, j), [])
        if reason not in reasons:
            reasons.append(reason)

    def _failure(self) -> Refusal:
        """How far the two chains go together, and why no further.

        Where two items of one sort were refused, they were probably meant for each other.
        """
        i, j = max(
            self._near_misses or {self._furthest},
            key=lambda cell: (min(cell), -abs(cell[0] - cell[1])),
        )
        self.parting = (i, j)
        reasons = self._telling(i, j)
        if not reasons:
            left = [*self._first[i:], *self._second[j:]]
            reasons = [f"only one of them has `{left[0].name}`" if left else "they end apart"]
        return Refusal("; ".join(reasons))

    def _telling(self, i: int, j: int) -> list[str]:
        """Reasons at a cell; where only one item has branches, it alone is what cannot be had."""
        reasons = self._refusals.get((i, j), [])
        items = [*self._first[i : i + 1], *self._second[j : j + 1]]
        regions = [item for item in items if isinstance(item, Region)]
        if len(regions) == 1:
            name = f"`{regions[0].name}` cannot be "
            return [reason for reason in reasons if reason.startswith(name)] or reasons
        return reasons


def _same_sort(first: Item, second: Item) -> bool:
    """Whether two items do the same kind of thing, perhaps with other settings."""
    if isinstance(first, Region) or isinstance(second, Region):
        return isinstance(first, Region) and isinstance(second, Region)
    if first.activation is not None or second.activation is not None:
        return first.activation is not None and second.activation is not None
    return first.layer.cls is second.layer.cls


@dataclass(frozen=True)
class _Meeting:
    """Two items that meet: the step, its parameters, what comes out, and whether all matched."""

    pair: Pair
    params: int
    value: Value
    is_whole: bool = True


def _meet_items(first: Item, second: Item, place: Place) -> _Meeting | Refusal:
    goal, value = place.goal, place.value
    if isinstance(first, Node) and isinstance(second, Node):
        changes = meet(first, second, goal.grow_only, goal.check_widths)
        if isinstance(changes, Refusal):
            return changes
        params = _shared_by(first, second)
        return _Meeting(Pair(first, second, changes), params, rule_for(first).value(first, value))
    if isinstance(first, Region) and isinstance(second, Region):
        if first.merge is None or second.merge is None:
            return _meet_whole(first, second, goal)
        return _meet_regions(first, second, place)
    return Refusal("one is a single layer, the other has branches")


def shared_params(architecture: Architecture) -> int:
    """Parameters of an architecture as an alignment counts them."""
    return sum(_shared_by(node, node) for node in architecture.nodes)


def _shared_by(first: Node, second: Node) -> int:
    """Parameters of the layer that two layers have in common: the smaller size on every axis.

    Only layers that make channels count; a normalisation goes with them.
    """
    rule = rule_for(first)
    if first.fused or not (rule.width is not None or rule.counts):
        return 0
    ours, theirs = first.layer.variables, second.layer.variables
    return sum(
        math.prod(map(min, shape, theirs[name])) for name, shape in ours.items() if name in theirs
    )


def _meet_whole(first: Region, second: Region, goal: Goal) -> _Meeting | Refusal:
    """Regions without cut points meet node by node, wired in the same way, or not at all."""
    if len(first.nodes) != len(second.nodes):
        return Refusal(
            f"a region without cut points has {len(first.nodes)} layers in one and"
            f" {len(second.nodes)} in the other"
        )
    tensors: dict[int, int] = {}
    pairs, params = [], 0
    for ours, theirs in zip(first.nodes, second.nodes, strict=True):
        changes = meet(ours, theirs, goal.grow_only, goal.check_widths)
        if isinstance(changes, Refusal):
            return Refusal(f"`{ours.name}` does not match `{theirs.name}`: {changes}")
        if len(ours.inputs) != len(theirs.inputs) or any(
            tensors.setdefault(a, b) != b for a, b in zip(ours.inputs, theirs.inputs, strict=True)
        ):
            return Refusal(f"`{ours.name}` and `{theirs.name}` read different layers")
        tensors.update(zip(ours.outputs, theirs.outputs, strict=True))
        pairs.append(Pair(ours, theirs, changes))
        params += _shared_by(ours, theirs)
    inside = RegionMatch(nodes=tuple(pairs))
    return _Meeting(Pair(first, second, {}, inside=inside), params, Value())


def _meet_regions(first: Region, second: Region, place: Place) -> _Meeting | Refusal:
    goal = place.goal
    assert first.merge is not None and second.merge is not None
    changes = meet(first.merge, second.merge, goal.grow_only, goal.check_widths)
    if isinstance(changes, Refusal):
        return changes

    def align(ours: Chain, theirs: Chain) -> Alignment | Refusal:
        search = Search(ours, theirs, goal, place.value, place.shape, is_input=place.is_input)
        return search.run()

    found = meet_branches(first, second, align, may_drop=not goal.grow_only)
    if isinstance(found, Refusal):
        return found
    branches, alignments = found
    rule = rule_for(first.merge)
    merge = Pair(first.merge, second.merge, changes)
    pair = Pair(first, second, {}, inside=RegionMatch(branches=branches, merge=merge))
    values = [alignment.value for alignment in alignments]
    if len(values) < max(len(first.branches), len(second.branches)) and rule.merge == "concat":
        values.append(Value())
    params = sum(alignment.params for alignment in alignments)
    whole = all(alignment.is_whole for alignment in alignments)
    whole = whole and len(first.branches) == len(second.branches)
    return _Meeting(pair, params, rule.merge_value(first.merge, values), whole)


def meet(
    first: Node, second: Node, grow_only: bool = False, check_widths: bool = True
) -> Mapping[str, Any] | Refusal:
    """`Rule.meet` for any two calls; for growth only: whether the second is at least the first."""
    both_functions = first.activation is not None and second.activation is not None
    if not both_functions and (
        rule_for(first) is not rule_for(second)
        or first.activation is not second.activation
        or not rule_for(first).same_class(first, second)
    ):
        return Refusal(f"`{first.kind}` is not `{second.kind}`")
    rule = rule_for(first)
    changes = rule.meet(first, second)
    if isinstance(changes, Refusal) or not grow_only:
        return changes
    smaller = {key: value for key, value in changes.items() if check_widths or key != rule.width}
    for key, value in smaller.items():
        return _shrinks(key, first.config.get(key), value)
    return {}


def _shrinks(key: str, old: Any, new: Any) -> Refusal:
    """What gets smaller; inside the layer that a wrapper holds, the entry of its config."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        changed = [(inner, value) for inner, value in new.items() if value != old.get(inner)]
        for inner, value in changed:
            return _shrinks(inner, old.get(inner), value)
    return Refusal(f"`{key}` shrinks from {old} to {new}")


def output_shape(item: Item) -> tuple[int | None, ...]:
    """Shape of what comes out of an item, the batch axis left out."""
    node = item.nodes[-1] if isinstance(item, Region) else item
    return node.output_shapes[0]
