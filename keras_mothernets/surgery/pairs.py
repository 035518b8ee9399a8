"""The steps of an alignment: which items of two networks correspond, and what a way is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from keras_mothernets.graph import Node, Region
from keras_mothernets.rules import Value, rule_for
from keras_mothernets.surgery.insertion import Item, RegionInsertion, Side


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
class State:
    """What insertion depends on at a cell: the numbers that flow there, and each network's side."""

    value: Value
    first: Side
    second: Side


class Score(NamedTuple):
    """What a way is worth; of each number more is better.

    Args:
        alone: Minus the units with a projected shortcut that are left alone.
        params: Parameters matched.
        paired: Minus the insertions by pairs.
        matched: Items matched.
        early: Minus the places of matches: how early they are.
    """

    alone: int = 0
    params: int = 0
    paired: int = 0
    matched: int = 0
    early: int = 0

    def by(self, taste: Taste) -> tuple[int, ...]:
        """The numbers by which ways are compared, what counts most first."""
        first = getattr(self, taste)
        return (self.alone, first, self.params, self.paired, self.matched, self.early)


# What an alignment seeks first. Parameters are an estimate: a layer behind one that gets narrower
# shares less than it seems, and pairs halve a width that others may be bound to. Where that turns
# out to matter, the other tastes may find more.
Taste = Literal["params", "paired", "matched"]
TASTES: tuple[Taste, ...] = ("params", "paired", "matched")


@dataclass(frozen=True)
class Path:
    """The best way to a state: its score, the last step, and the way before it.

    `last` holds the parameters of the last layer with channels that was matched.
    """

    score: Score
    step: Pair | None = None
    before: Path | None = None
    last: int = 0

    def then(self, step: Pair, *, params: int = 0, match: int = 0, late: int = 0) -> Path:
        """The way with one more step."""
        old = self.score
        # Pairs halve the width of the layer before them, and with it what matching it was worth.
        gain = params - (self.last // 2 if step.paired else 0)
        score = Score(
            old.alone - _projects_alone(step),
            old.params + gain,
            old.paired - step.paired,
            old.matched + match,
            old.early - late,
        )
        return Path(score, step, self, params or self.last)

    def steps(self) -> list[Pair]:
        """All steps from the start."""
        steps: list[Pair] = []
        path: Path | None = self
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
