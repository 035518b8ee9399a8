"""Which calls of two networks correspond, and which only one of them has.

Two chains are aligned like two texts: a cell (i, j) says that the first i calls
of one and the first j of the other compute the same tensor. From there either
both go on with calls that meet, or one goes on alone with a call that can be
made an identity on that tensor. The best way through is found by dynamic
programming; the state of a cell holds what insertion depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, Node, shape_text
from keras_mothernets.rules import ActivationRule, Refusal, Value, rule_for

Item = Node


@dataclass(frozen=True)
class Pair:
    """One step of an alignment.

    Args:
        first: The call in the first network, None if only the second has it.
        second: The call in the second network, None if only the first has it.
        changes: For a match, config entries of the first that the common call changes.
        paired: Whether an inserted activation works on pairs f(x), f(-x).
    """

    first: Node | None
    second: Node | None
    changes: Mapping[str, Any] | None = None
    paired: bool = False


@dataclass(frozen=True)
class Side:
    """What insertion into one network depends on at a place.

    Args:
        signable: Width of the layer that made the tensor if negated copies can
            still be added to it, else 0.
        paired: Whether the tensor stands there as pairs f(x), f(-x).
    """

    signable: int = 0
    paired: bool = False


@dataclass(frozen=True)
class _State:
    value: Value
    first: Side
    second: Side


# Parameters matched; insertions by pairs (fewer are better); calls matched; how early (negative).
Score = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Path:
    """The best way to a state: its score, and the last step with the way before it."""

    score: Score
    step: Pair | None = None
    before: _Path | None = None

    def then(self, step: Pair, *, params: int = 0, match: int = 0, late: int = 0) -> _Path:
        """The way with one more step."""
        old = self.score
        score = (old[0] + params, old[1] - step.paired, old[2] + match, old[3] - late)
        return _Path(score, step, self)

    def steps(self) -> list[Pair]:
        """All steps from the start."""
        steps: list[Pair] = []
        path: _Path | None = self
        while path is not None and path.step is not None:
            steps.append(path.step)
            path = path.before
        return steps[::-1]


@dataclass(frozen=True)
class Alignment:
    """The best alignment of two networks.

    Args:
        pairs: Its steps, from the inputs to the outputs.
        params: Parameters of the layers with channels of their own that match, the smaller
            of each two.
    """

    pairs: tuple[Pair, ...]
    params: int


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
    check_chain(first)
    check_chain(second)
    check_interface(first, second)
    search = _Search(first, second, grow_only, check_widths)
    path = search.run()
    if path is None:
        raise search.failure()
    return Alignment(tuple(path.steps()), path.score[0])


def check_chain(architecture: Architecture) -> None:
    """Raise `SurgeryError` for a graph that is not a chain, naming the piece that is not."""
    for region in architecture.tree.regions:
        kind = region.merge.kind if region.merge is not None else "no single merge"
        raise SurgeryError(
            f"`{architecture.name}` is not a chain: its branches meet in layer `{region.name}`"
            f" ({kind})",
            expected="a network whose layers follow one another",
            fix="Residual and concatenated regions are read but not changed yet",
        )


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
    """The table of the dynamic programme."""

    def __init__(
        self, first: Architecture, second: Architecture, grow_only: bool, check_widths: bool
    ) -> None:
        self._names = first.name, second.name
        self._architectures = first, second
        self._first, self._second = first.nodes, second.nodes
        self._grow_only = grow_only
        self._check_widths = check_widths and grow_only
        self._meets: dict[tuple[int, int], Mapping[str, Any] | Refusal] = {}
        self._refusals: dict[tuple[int, int], list[str]] = {}
        self._furthest = (0, 0)

    def run(self) -> _Path | None:
        """The best way through the table, or None."""
        rows, columns = len(self._first), len(self._second)
        start = _State(Value(), Side(), Side())
        table: dict[tuple[int, int], dict[_State, _Path]] = {(0, 0): {start: _Path((0, 0, 0, 0))}}
        for i in range(rows + 1):
            for j in range(columns + 1):
                for state, path in table.pop((i, j), {}).items():
                    self._furthest = max(self._furthest, (i, j), key=lambda cell: sum(cell))
                    if (i, j) == (rows, columns):
                        table.setdefault((-1, -1), {})[state] = path
                        continue
                    for cell, new_state, new_path in self._moves(i, j, state, path):
                        known = table.setdefault(cell, {})
                        if new_state not in known or new_path.score > known[new_state].score:
                            known[new_state] = new_path
        ends = [
            path
            for state, path in table.get((-1, -1), {}).items()
            if not (state.first.paired or state.second.paired)
        ]
        return max(ends, key=lambda path: path.score, default=None)

    def _moves(
        self, i: int, j: int, state: _State, path: _Path
    ) -> Iterator[tuple[tuple[int, int], _State, _Path]]:
        if i < len(self._first) and j < len(self._second):
            yield from self._match(i, j, state, path)
        if j < len(self._second):
            node = self._second[j]
            side = insert(node, state.value, state.second, self._channels(i, node))
            if isinstance(side, Refusal):
                self._refuse(i, j, f"`{node.name}` cannot be inserted: {side}")
            else:
                step = Pair(None, node, paired=side.paired and not state.second.paired)
                yield (i, j + 1), replace(state, second=side), path.then(step)
        if i < len(self._first) and not self._grow_only:
            node = self._first[i]
            side = insert(node, state.value, state.first, None)
            if not isinstance(side, Refusal):
                step = Pair(node, None, paired=side.paired and not state.first.paired)
                yield (i + 1, j), replace(state, first=side), path.then(step)

    def _match(
        self, i: int, j: int, state: _State, path: _Path
    ) -> Iterator[tuple[tuple[int, int], _State, _Path]]:
        first, second = self._first[i], self._second[j]
        if state.first.paired or state.second.paired:
            return
        changes = self._meet(i, j)
        if isinstance(changes, Refusal):
            self._refuse(i, j, f"`{first.name}` does not match `{second.name}`: {changes}")
            return
        new = _State(
            rule_for(first).value(first, state.value),
            _after(first, state.first) if not self._grow_only else Side(),
            _after(second, state.second),
        )
        # Only layers that make channels are worth matching; a normalisation goes with them.
        counts = rule_for(first).width is not None
        params = min(first.num_params, second.num_params) if counts else 0
        step = Pair(first, second, changes)
        yield (i + 1, j + 1), new, path.then(step, params=params, match=1, late=i + j)

    def _meet(self, i: int, j: int) -> Mapping[str, Any] | Refusal:
        if (i, j) not in self._meets:
            self._meets[i, j] = meet(self._first[i], self._second[j], self._grow_only,
                                     self._check_widths)  # fmt: skip
        return self._meets[i, j]

    def _channels(self, i: int, node: Node) -> int | None:
        """Width of the mother's tensor at place i, on the axis that `node` takes for channels."""
        if not self._check_widths:
            return None
        shape = self._first[i - 1].output_shapes[0] if i else self._architectures[0].inputs[0].shape
        axis = rule_for(node).channel_axis(node)
        return shape[axis] if axis < len(shape) else None

    def _refuse(self, i: int, j: int, reason: str) -> None:
        reasons = self._refusals.setdefault((i, j), [])
        if reason not in reasons:
            reasons.append(reason)

    def failure(self) -> SurgeryError:
        """The error that says how far the two networks go together."""
        first, second = self._names
        i, j = self._furthest
        reasons = self._refusals.get((i, j), [])
        if not reasons:
            left = self._first[i:] or self._second[j:]
            owner = first if self._first[i:] else second
            reasons = [f"`{owner}` goes on with `{left[0].name}`" if left else "they end apart"]
        goal = "be grown into" if self._grow_only else "share a mother with"
        stages = _stages_text(self._architectures)
        return SurgeryError(
            f"`{first}` cannot {goal} `{second}`: {'; '.join(reasons)}{stages}",
            fix="Make the two agree there, or put them into different clusters",
        )


def meet(
    first: Node, second: Node, grow_only: bool = False, check_widths: bool = True
) -> Mapping[str, Any] | Refusal:
    """`Rule.meet` for any two calls; for growth only: whether the second is at least the first."""
    both_functions = first.activation is not None and second.activation is not None
    if not both_functions and (
        first.layer.cls is not second.layer.cls or first.activation is not second.activation
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


def insert(node: Node, value: Value, side: Side, channels: int | None) -> Side | Refusal:
    """What becomes of a network's side if `node` is inserted as an identity there.

    Args:
        node: The call that only this network has.
        value: What is known of the numbers that flow there.
        side: The network's side so far.
        channels: Width of the mother's tensor there, None if not settled yet.
    """
    rule = rule_for(node)
    if rule.is_transparent:
        return side
    if isinstance(rule, ActivationRule):
        return _insert_activation(node, rule, value, side, channels)
    reason = rule.cannot_insert(node)
    if reason is not None:
        return reason
    if rule.is_linear:
        width = int(node.config[str(rule.width)])
        if channels is not None and width < channels:
            return Refusal(f"it has {width} channels, but {channels} must pass")
        return Side(signable=width)
    if side.paired:
        return Refusal("pairs of an activation must be read by the next weights")
    return side if rule.carries_sign else Side()


def _insert_activation(
    node: Node, rule: ActivationRule, value: Value, side: Side, channels: int | None
) -> Side | Refusal:
    activation = node.activation
    assert activation is not None
    if side.paired:
        return Refusal("pairs of an activation must be read by the next weights")
    if not rule.changes(node, value):
        return Side()
    if activation.mixes_channels or activation.pair_constant() is None:
        return Refusal(f"{activation} changes what flows there, and no pair of it is linear")
    needed = 2 * (channels or 1)
    if side.signable < needed:
        return Refusal(
            f"{activation} changes what flows there, and a pair of it needs {needed} channels in"
            f" the layer before, which has {side.signable or 'none to spare'}"
        )
    return Side(paired=True)


def _after(node: Node, side: Side) -> Side:
    rule = rule_for(node)
    if rule.is_linear:
        grouped = node.config.get("groups", 1) != 1
        return Side(signable=0 if grouped else int(node.config[str(rule.width)]))
    return side if rule.carries_sign or rule.is_transparent else Side()


def _stages_text(architectures: Sequence[Architecture]) -> str:
    stages = [_stages(architecture) for architecture in architectures]
    if stages[0] == stages[1]:
        return ""
    return ". Resolutions: " + "; ".join(
        f"`{architecture.name}` {' > '.join(found)}"
        for architecture, found in zip(architectures, stages, strict=True)
    )


def _stages(architecture: Architecture) -> list[str]:
    """The spatial sizes through which a network goes, repetitions left out."""
    shapes = [architecture.inputs[0].shape, *(node.output_shapes[0] for node in architecture.nodes)]
    texts = [shape_text(shape[:-1]) for shape in shapes if len(shape) > 1]
    return [text for n, text in enumerate(texts) if n == 0 or texts[n - 1] != text]


def _inputs_text(architecture: Architecture) -> str:
    return ", ".join(f"{shape_text(entry.shape)} {entry.dtype}" for entry in architecture.inputs)


def _shapes_text(shapes: Sequence[tuple[int | None, ...]]) -> str:
    return ", ".join(shape_text(shape) for shape in shapes)
