"""Which calls of two networks correspond, and which only one of them has.

Two chains are aligned like two texts: a cell (i, j) says that the first i items
of one and the first j of the other compute the same tensor. From there either
both go on with items that meet, or one goes on alone with an item that can be
made an identity on that tensor. The best way through is found by dynamic
programming; the state of a cell holds what insertion depends on. Where two
regions meet, their branches are aligned in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import LINEAR, Architecture, Chain, Node, Region, shape_text
from keras_mothernets.rules import Refusal, Value, rule_for
from keras_mothernets.surgery.insertion import (
    Item,
    RegionInsertion,
    Side,
    after,
    insert,
    insert_region,
    zero_point,
)


@dataclass(frozen=True)
class Pair:
    """One step of an alignment.

    Args:
        first: The item in the first network, None if only the second has it.
        second: The item in the second network, None if only the first has it.
        changes: For matched calls, config entries of the first that the common call changes.
        paired: Whether an inserted activation works on pairs f(x), f(-x).
        inside: For regions, how what is inside them corresponds.
    """

    first: Item | None
    second: Item | None
    changes: Mapping[str, Any] | None = None
    paired: bool = False
    inside: RegionMatch | RegionInsertion | None = None


@dataclass(frozen=True)
class BranchPair:
    """Two branches that correspond, or one that only one network has.

    Args:
        first: Number of the branch in the first region, None if it lacks it.
        second: Number of the branch in the second region, None if it lacks it.
        pairs: The steps of their alignment.
        zeroed: For a branch of a sum that only one has: the node whose output is made zero.
    """

    first: int | None
    second: int | None
    pairs: tuple[Pair, ...] = ()
    zeroed: Node | None = None


@dataclass(frozen=True)
class RegionMatch:
    """How two regions correspond.

    Args:
        branches: Pairs of branches; empty for regions that are kept whole.
        nodes: Pairs of nodes, for regions that are kept whole.
        merge: The pair of merges.
    """

    branches: tuple[BranchPair, ...] = ()
    nodes: tuple[Pair, ...] = ()
    merge: Pair | None = None


@dataclass(frozen=True)
class _State:
    value: Value
    first: Side
    second: Side


# Units with a projected shortcut that are left alone (negative); parameters matched; insertions by
# pairs (negative); items matched; how early (negative).
Score = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class _Path:
    """The best way to a state: its score, the last step, and the way before it.

    `last` holds the parameters of the last layer with channels that was matched.
    """

    score: Score
    step: Pair | None = None
    before: _Path | None = None
    last: int = 0

    def then(self, step: Pair, *, params: int = 0, match: int = 0, late: int = 0) -> _Path:
        """The way with one more step."""
        old = self.score
        # Pairs halve the width of the layer before them, and with it what matching it was worth.
        gain = params - (self.last // 2 if step.paired else 0)
        score = (
            old[0] - _projects_alone(step),
            old[1] + gain,
            old[2] - step.paired,
            old[3] + match,
            old[4] - late,
        )
        return _Path(score, step, self, params or self.last)

    def steps(self) -> list[Pair]:
        """All steps from the start."""
        steps: list[Pair] = []
        path: _Path | None = self
        while path is not None and path.step is not None:
            steps.append(path.step)
            path = path.before
        return steps[::-1]


def _projects_alone(step: Pair) -> bool:
    """Whether a step leaves a sum without a plain shortcut unmatched.

    Such a unit begins a stage and sets its width. If it stood alone, all units of the stage
    would be bound to the width before it, though they may share many more parameters.
    """
    item = step.second if step.first is None else step.first
    return (
        (step.first is None or step.second is None)
        and isinstance(item, Region)
        and item.merge is not None
        and rule_for(item.merge).merge == "sum"
        and all(branch.items for branch in item.branches)
    )


@dataclass(frozen=True)
class Alignment:
    """The best alignment of two chains.

    Args:
        pairs: Its steps, from the inputs to the outputs.
        params: Parameters of the layers with channels of their own that match, the smaller
            of each two.
        value: What is known of the numbers that come out.
        is_whole: Whether both networks match item by item.
    """

    pairs: tuple[Pair, ...]
    params: int
    value: Value
    is_whole: bool = False


@dataclass(frozen=True)
class _Goal:
    """What an alignment is for: hatching (`grow_only`), and whether widths are final."""

    grow_only: bool
    check_widths: bool


def align(
    first: Architecture, second: Architecture, *, grow_only: bool, check_widths: bool = True
) -> Alignment:
    """Find the alignment of two networks that shares the most parameters.

    Args:
        first: A network; with `grow_only` the mother.
        second: Another network; with `grow_only` the member.
        grow_only: Whether every call of the first must match and only the
            second may have calls of its own (hatching). Otherwise both may (their
            common sub-architecture).
        check_widths: Whether the first network's widths are final, so that what
            is inserted into the second must be at least as wide.

    Returns:
        The `Alignment`.

    Raises:
        SurgeryError: There is none; the message says where the two part and why.
    """
    check_interface(first, second)
    goal = _Goal(grow_only, check_widths and grow_only)
    shape = first.inputs[0].shape
    # The width of a head is fixed: while widths are sought, only heads can meet each other.
    heads = (-1, -1) if goal.check_widths else (_head(first.tree), _head(second.tree))
    search = _Search(first.tree, second.tree, goal, Value(), shape, heads)
    found = search.run()
    if isinstance(found, Refusal):
        verb = "be grown into" if grow_only else "share a mother with"
        raise SurgeryError(
            f"`{first.name}` cannot {verb} `{second.name}`: {found}{_stages_text(first, second)}",
            fix="Make the two agree there, or put them into different clusters",
        )
    return found


def _head(chain: Chain) -> int:
    """Number of the last item that makes channels, -1 if there is none."""
    makers = [
        number
        for number, item in enumerate(chain.items)
        if isinstance(item, Region) or rule_for(item).width is not None
    ]
    return makers[-1] if makers else -1


def check_interface(first: Architecture, second: Architecture) -> None:
    """Raise `SurgeryError` unless two networks take and give tensors of the same shapes."""
    ours = [(entry.shape, entry.dtype) for entry in first.inputs]
    theirs = [(entry.shape, entry.dtype) for entry in second.inputs]
    if ours != theirs:
        raise SurgeryError(
            f"`{first.name}` and `{second.name}` have different inputs",
            expected=_inputs_text(first),
            received=_inputs_text(second),
            fix="All networks that share a mother must take the same input",
        )
    if first.output_shapes != second.output_shapes:
        raise SurgeryError(
            f"`{first.name}` and `{second.name}` have different outputs",
            expected=_shapes_text(first.output_shapes),
            received=_shapes_text(second.output_shapes),
            fix="All networks that share a mother must have the same head",
        )


class _Search:
    """The table of the dynamic programme for two chains."""

    def __init__(
        self,
        first: Chain,
        second: Chain,
        goal: _Goal,
        value: Value,
        shape: tuple[int | None, ...],
        heads: tuple[int, int] = (-1, -1),
    ) -> None:
        self._first, self._second = first.items, second.items
        self._goal = goal
        self._value = value
        self._shape = shape
        self._heads = heads
        self._meets: dict[tuple[int, int, Value], _Meeting | Refusal] = {}
        self._refusals: dict[tuple[int, int], list[str]] = {}
        self._near_misses: set[tuple[int, int]] = set()
        self._furthest = (0, 0)

    def run(self) -> Alignment | Refusal:
        """The best way through the table, or why there is none."""
        whole = self._straight()
        if whole is not None:
            return whole
        rows, columns = len(self._first), len(self._second)
        start = _State(self._value, Side(), Side())
        table: dict[tuple[int, int], dict[_State, _Path]] = {
            (0, 0): {start: _Path((0, 0, 0, 0, 0))}
        }
        ends: list[tuple[_Path, Value]] = []
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
                        if new_state not in known or new_path.score > known[new_state].score:
                            known[new_state] = new_path
        if not ends:
            return self._failure()
        best, value = max(ends, key=lambda end: end[0].score)
        return Alignment(tuple(best.steps()), best.score[1], value)

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
        self, i: int, j: int, state: _State, path: _Path
    ) -> Iterator[tuple[tuple[int, int], _State, _Path]]:
        if i < len(self._first) and j < len(self._second):
            yield from self._match(i, j, state, path)
        if j < len(self._second):
            item = self._second[j]
            side = insert(item, state.value, state.second, self._channels(i, item))
            if isinstance(side, Refusal):
                self._refuse(i, j, f"`{item.name}` cannot be inserted: {side}")
            else:
                step = self._insertion(item, i, state, side, path)
                yield (i, j + 1), replace(state, second=side), path.then(step)
        if i < len(self._first) and self._may_drop(self._first[i]):
            item = self._first[i]
            side = insert(item, state.value, state.first, None)
            if not isinstance(side, Refusal):
                step = Pair(item, None, paired=side.paired and not state.first.paired)
                yield (i + 1, j), replace(state, first=side), path.then(step)

    def _may_drop(self, item: Item) -> bool:
        """Whether the first network may have an item that the second lacks."""
        if not self._goal.grow_only:
            return True
        return isinstance(item, Node) and (
            rule_for(item).is_transparent or item.activation == LINEAR
        )

    def _insertion(self, item: Item, i: int, state: _State, side: Side, path: _Path) -> Pair:
        inside = None
        if isinstance(item, Region):
            found = insert_region(item, state.value, self._channels(i, item))
            assert not isinstance(found, Refusal)
            inside = found
        return Pair(None, item, paired=side.paired and not state.second.paired, inside=inside)

    def _match(
        self, i: int, j: int, state: _State, path: _Path
    ) -> Iterator[tuple[tuple[int, int], _State, _Path]]:
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
        new = _State(meeting.value, ours, theirs)
        step = path.then(meeting.pair, params=meeting.params, match=1, late=i + j)
        yield (i + 1, j + 1), new, step

    def _meet(self, i: int, j: int, value: Value) -> _Meeting | Refusal:
        key = (i, j, value)
        if key not in self._meets:
            self._meets[key] = _meet_items(
                self._first[i], self._second[j], self._goal, value, self._place(i)
            )
        return self._meets[key]

    def _place(self, i: int) -> tuple[int | None, ...]:
        """Shape of the mother's tensor at place i."""
        return _output_shape(self._first[i - 1]) if i else self._shape

    def _channels(self, i: int, item: Item) -> int | None:
        """Width of the mother's tensor at place i, on the axis that an item takes for channels."""
        if not self._goal.check_widths:
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
        reasons = self._refusals.get((i, j), [])
        if not reasons:
            left = [*self._first[i:], *self._second[j:]]
            reasons = [f"only one of them has `{left[0].name}`" if left else "they end apart"]
        return Refusal("; ".join(reasons))


def _same_sort(first: Item, second: Item) -> bool:
    """Whether two items do the same kind of thing, perhaps with other settings."""
    if isinstance(first, Region) or isinstance(second, Region):
        return isinstance(first, Region) and isinstance(second, Region)
    if first.activation is not None:
        return second.activation is not None
    return first.layer.cls is second.layer.cls


@dataclass(frozen=True)
class _Meeting:
    """Two items that meet: the step, its parameters, what comes out, and whether all matched."""

    pair: Pair
    params: int
    value: Value
    is_whole: bool = True


def _meet_items(
    first: Item, second: Item, goal: _Goal, value: Value, shape: tuple[int | None, ...]
) -> _Meeting | Refusal:
    if isinstance(first, Node) and isinstance(second, Node):
        changes = meet(first, second, goal.grow_only, goal.check_widths)
        if isinstance(changes, Refusal):
            return changes
        # Only layers that make channels are worth matching; a normalisation goes with them.
        rule = rule_for(first)
        counts = rule.width is not None or rule.counts
        params = min(first.num_params, second.num_params) if counts else 0
        return _Meeting(Pair(first, second, changes), params, rule.value(first, value))
    if isinstance(first, Region) and isinstance(second, Region):
        if first.merge is None or second.merge is None:
            return _meet_whole(first, second, goal)
        return _meet_regions(first, second, goal, value, shape)
    return Refusal("one is a single layer, the other has branches")


def _meet_whole(first: Region, second: Region, goal: _Goal) -> _Meeting | Refusal:
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
        params += min(ours.num_params, theirs.num_params)
    inside = RegionMatch(nodes=tuple(pairs))
    return _Meeting(Pair(first, second, {}, inside=inside), params, Value())


def _meet_regions(
    first: Region, second: Region, goal: _Goal, value: Value, shape: tuple[int | None, ...]
) -> _Meeting | Refusal:
    assert first.merge is not None and second.merge is not None
    changes = meet(first.merge, second.merge, goal.grow_only, goal.check_widths)
    if isinstance(changes, Refusal):
        return changes
    found = _meet_branches(first, second, goal, value, shape)
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


def _meet_branches(
    first: Region, second: Region, goal: _Goal, value: Value, shape: tuple[int | None, ...]
) -> tuple[tuple[BranchPair, ...], list[Alignment]] | Refusal:
    """Match branches in their order; what only one region has must be able to give nothing."""
    table: dict[tuple[int, int], Alignment | Refusal] = {}
    rows, columns = len(first.branches), len(second.branches)

    def aligned(i: int, j: int) -> Alignment | Refusal:
        if (i, j) not in table:
            search = _Search(first.branches[i], second.branches[j], goal, value, shape)
            table[i, j] = search.run()
        return table[i, j]

    if rows == columns:
        straight = [aligned(n, n) for n in range(rows)]
        good = [found for found in straight if isinstance(found, Alignment)]
        if len(good) == rows:
            return tuple(BranchPair(n, n, a.pairs) for n, a in enumerate(good)), good
    best = _best_branches(first, second, goal, aligned)
    if isinstance(best, Refusal):
        refused = [found for found in table.values() if isinstance(found, Refusal)]
        return refused[0] if refused and rows == columns else best
    return best


def _best_branches(
    first: Region, second: Region, goal: _Goal, aligned: Any
) -> tuple[tuple[BranchPair, ...], list[Alignment]] | Refusal:
    """The order-preserving matching of branches with the most parameters."""
    rows, columns = len(first.branches), len(second.branches)
    Entry = tuple[tuple[int, int], tuple[BranchPair, ...], list[Alignment]]
    cells: dict[tuple[int, int], Entry] = {(0, 0): ((0, 0), (), [])}
    reason: Refusal = Refusal("their branches do not correspond")

    def offer(cell: tuple[int, int], entry: Entry) -> None:
        if cell not in cells or entry[0] > cells[cell][0]:
            cells[cell] = entry

    for i in range(rows + 1):
        for j in range(columns + 1):
            if (i, j) not in cells:
                continue
            (params, count), done, used = cells[i, j]
            if i < rows and j < columns:
                found = aligned(i, j)
                if isinstance(found, Alignment):
                    pair = BranchPair(i, j, found.pairs)
                    score = (params + found.params, count + 1)
                    offer((i + 1, j + 1), (score, (*done, pair), [*used, found]))
            if j < columns:
                extra = _extra_branch(second, j)
                if isinstance(extra, Refusal):
                    reason = extra
                else:
                    pair = BranchPair(None, j, zeroed=extra)
                    offer((i, j + 1), ((params, count), (*done, pair), used))
            if (
                i < rows
                and not goal.grow_only
                and not isinstance(extra := _extra_branch(first, i), Refusal)
            ):
                pair = BranchPair(i, None, zeroed=extra)
                offer((i + 1, j), ((params, count), (*done, pair), used))
    if (rows, columns) not in cells or not cells[rows, columns][2]:
        return reason
    return cells[rows, columns][1:]


def _extra_branch(region: Region, number: int) -> Node | None | Refusal:
    """How a branch of one network only gives nothing: a zeroed node; None if none is needed."""
    assert region.merge is not None
    kind = rule_for(region.merge).merge
    if kind == "sum":
        return zero_point(region.branches[number])
    if kind == "concat" and region.branches[number].items:
        return None
    return Refusal(
        f"a further branch of {region.merge.kind} `{region.merge.name}` cannot be made to give"
        " nothing"
    )


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
        return Refusal(f"`{key}` shrinks from {first.config.get(key)} to {value}")
    return {}


def _output_shape(item: Item) -> tuple[int | None, ...]:
    node = item.nodes[-1] if isinstance(item, Region) else item
    return node.output_shapes[0]


def _stages_text(first: Architecture, second: Architecture) -> str:
    ours, theirs = _stages(first), _stages(second)
    if ours == theirs:
        return ""
    return f". Resolutions: `{first.name}` {' > '.join(ours)}; `{second.name}` {' > '.join(theirs)}"


def _stages(architecture: Architecture) -> list[str]:
    """The spatial sizes through which a network goes, repetitions left out."""
    shapes = [architecture.inputs[0].shape, *map(_output_shape, architecture.tree.items)]
    texts = [shape_text(shape[:-1]) for shape in shapes if len(shape) > 1]
    return [text for n, text in enumerate(texts) if n == 0 or texts[n - 1] != text]


def _inputs_text(architecture: Architecture) -> str:
    return ", ".join(f"{shape_text(entry.shape)} {entry.dtype}" for entry in architecture.inputs)


def _shapes_text(shapes: Sequence[tuple[int | None, ...]]) -> str:
    return ", ".join(shape_text(shape) for shape in shapes)
