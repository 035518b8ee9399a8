"""The widths of a common network: as large as all members allow.

Position by position the smallest width of all members is an upper bound. It
can be too large: what a member inserts behind a layer must let all channels
pass, pairs of an activation need twice the room, and a normalisation over
channels needs the same number of copies of each. This module finds what every
member allows for every channel space of the common network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mothernets.errors import SurgeryError, naming
from keras_mothernets.graph import Architecture
from keras_mothernets.rules import Atom, Axis, Concat, Spaces, axis_parts, rule_for
from keras_mothernets.surgery.alignment import align
from keras_mothernets.surgery.correspondence import Correspondence, Step, correspond
from keras_mothernets.surgery.pairs import Pair
from keras_mothernets.surgery.weaving import change_configs

_ROUNDS = 8


def settle_widths(common: Architecture, members: Sequence[Architecture]) -> Architecture:
    """Lower the widths of a common network until every member can be grown from it.

    Args:
        common: A network whose calls are matched in every member.
        members: The members.

    Returns:
        The same network, with smaller layers where that is needed.

    Raises:
        SurgeryError: There are no such widths.
    """
    for _ in range(_ROUNDS):
        with naming(f"Member `{common.name}`"):
            room = _Room(common)
        for member in members:
            with naming(f"Member `{member.name}`"):
                room.add(member)
        changes = room.changes()
        if not changes:
            return common
        common = change_configs(common, changes)
    raise SurgeryError("No widths were found that all members can be grown from")


@dataclass(frozen=True)
class _Term:
    """An atom of the common network, and how often it stands in an axis of a member's."""

    own: Atom
    repeats: int


@dataclass(frozen=True)
class _Even:
    """A member's demand that each channel of an axis has the same number of copies.

    Args:
        member: Its name.
        size: Its size of the axis.
        repeats: How often the common network's channels stand in the axis.
        parts: Number of groups into which they must fall.
    """

    member: str
    size: int
    repeats: int
    parts: int

    def holds(self, width: int) -> bool:
        """Whether the demand is met by a width of the common network."""
        repeated = self.repeats * width
        return self.size % repeated == 0 and repeated % self.parts == 0


class _Room:
    """What the members allow for each atom of the common network's own channel spaces."""

    def __init__(self, common: Architecture) -> None:
        self._common = common
        self._itself = correspond(common, common, [Pair(node, node) for node in common.nodes])
        self._outputs = {step.mother.outputs[0]: step.outputs for step in self._itself.steps}
        self._costs = _costs(self._itself)
        self._limits: dict[Atom, int] = {}
        self._member = ""
        self._even: dict[Atom, list[_Even]] = {}

    def add(self, member: Architecture) -> None:
        """Note what one member allows."""
        self._member = member.name
        pairs = align(self._common, member, grow_only=True, check_widths=False).pairs
        found = correspond(self._common, member, pairs)
        origins: dict[Atom, tuple[_Term, ...]] = {}
        for step in found.steps:
            if step.how == "matched":
                self._note_matched(step, origins, found.spaces)
            elif step.how == "inserted" and rule_for(step.member).is_linear:
                self._note_inserted(step, origins, found.spaces)

    def changes(self) -> dict[int, dict[str, Any]]:
        """Config entries that must be lowered, by the number of a call's first output."""
        spaces = self._itself.spaces
        changes: dict[int, dict[str, Any]] = {}
        for step in self._itself.steps:
            node, rule = step.mother, rule_for(step.mother)
            key = rule.width
            if key is not None and not node.fused:
                with naming(f"Layer `{node.layer.name}`"):
                    width = self._size(rule.made_axis(node, step.outputs), spaces)
                if width is not None and width < node.config[key]:
                    changes[node.outputs[0]] = rule.sized(node, width)
            elif key is None and step.outputs:
                sizes = [[self._size(axis, spaces) for axis in axes] for axes in step.outputs]
                following = rule.follow(node, *sizes)
                if following:
                    changes[node.outputs[0]] = following
        return changes

    def _note_matched(
        self, step: Step, origins: dict[Atom, tuple[_Term, ...]], spaces: Spaces
    ) -> None:
        """Every axis that comes out must have room for what the common network has there."""
        for own_axes, axes in zip(self._outputs[step.mother.outputs[0]], step.outputs, strict=True):
            for own_axis, axis in zip(own_axes, axes, strict=True):
                ours = list(_atoms(own_axis, self._itself.spaces))
                theirs = list(_atoms(axis, spaces))
                if len(ours) == len(theirs):
                    for own, other in zip(ours, theirs, strict=True):
                        origins[other] = (_Term(own, 1),)
                        self._note(origins[other], other, spaces)

    def _note(self, terms: Sequence[_Term], other: Atom, spaces: Spaces, *, taken: int = 0) -> None:
        """Note the room that an axis of the member leaves for what it carries.

        Args:
            terms: What it carries of the common network.
            other: The axis.
            spaces: Those of the member's walk.
            taken: Channels that it carries besides, which cannot be lowered.
        """
        limit, size = spaces.limits(other)
        if limit is None or size is None:
            return
        self._lower(terms, limit - taken)
        parts = spaces.must_divide(other)
        if parts is not None and len(terms) == 1:
            demand = _Even(self._member, size, terms[0].repeats, parts)
            self._even.setdefault(terms[0].own, []).append(demand)

    def _lower(self, terms: Sequence[_Term], room: int) -> None:
        """Lower widths until together they take no more than a room: the cheapest channels go."""
        widths = {term.own: self._width(term.own) for term in terms}
        repeats = {own: sum(t.repeats for t in terms if t.own == own) for own in widths}
        for own in sorted(widths, key=lambda atom: (self._costs.get(atom, 0.0), -widths[atom])):
            excess = sum(repeats[atom] * width for atom, width in widths.items()) - room
            # Where it is the only one, no room at all is told as it is.
            least = 0 if len(widths) == 1 else 1
            widths[own] = max(least, widths[own] - max(0, math.ceil(excess / repeats[own])))
        self._limits.update(widths)

    def _width(self, own: Atom) -> int:
        """Width of an atom of the common network, as far as it is limited by now."""
        size = self._itself.spaces.size(own)[0] or 1
        return min(size, self._limits.get(own, size))

    def _note_inserted(
        self,
        step: Step,
        origins: dict[Atom, tuple[_Term, ...]],
        spaces: Spaces,
    ) -> None:
        """What is inserted must pass on all channels of the axis that it reads."""
        rule = rule_for(step.member)
        source = step.inputs[0][rule.channel_axis(step.member)]
        made = spaces.find(rule.made_axis(step.member, step.outputs))
        if not isinstance(made, Atom):
            return
        terms = _terms(source, origins, spaces)
        total = spaces.size(source)[0]
        if terms and total is not None:
            origins[made] = terms
            own = sum(t.repeats * (self._itself.spaces.size(t.own)[0] or 1) for t in terms)
            self._note(terms, made, spaces, taken=total - own)

    def _size(self, axis: Axis, spaces: Spaces) -> int | None:
        """Size of an axis once all limits hold."""
        axis = spaces.find(axis)
        if isinstance(axis, Atom):
            size = spaces.size(axis)[0]
            if size is None:
                return None
            limit = min(size, self._limits.get(axis, size))
            return _largest(limit, self._even[axis]) if axis in self._even else limit
        sizes = [self._size(part, spaces) for part in axis_parts(axis)]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        return sum(known) if isinstance(axis, Concat) else math.prod(known)


def _costs(found: Correspondence) -> dict[Atom, float]:
    """Parameters that one channel of each atom costs where it is made."""
    costs: dict[Atom, float] = {}
    for step in found.steps:
        for axis in [axis for axes in step.outputs for axis in axes]:
            for atom in _atoms(axis, found.spaces):
                size = found.spaces.size(atom)[0] or 1
                costs.setdefault(atom, step.member.num_params / size)
    return costs


def _terms(
    axis: Axis, origins: Mapping[Atom, tuple[_Term, ...]], spaces: Spaces
) -> tuple[_Term, ...]:
    """What an axis carries of the common network; nothing where that is no sum of terms."""
    axis = spaces.find(axis)
    if isinstance(axis, Atom):
        return origins.get(axis, ())
    parts = [(part, _terms(part, origins, spaces)) for part in axis_parts(axis)]
    known = [(part, terms) for part, terms in parts if terms]
    if isinstance(axis, Concat):
        return tuple(term for _, terms in known for term in terms)
    if len(known) != 1:
        return ()
    [(part, terms)] = known
    factor = (spaces.size(axis)[0] or 1) // (spaces.size(part)[0] or 1)
    return tuple(_Term(term.own, term.repeats * factor) for term in terms)


def _atoms(axis: Axis, spaces: Spaces) -> Iterator[Atom]:
    axis = spaces.find(axis)
    if isinstance(axis, Atom):
        yield axis
    for part in axis_parts(axis):
        yield from _atoms(part, spaces)


def _largest(limit: int, demands: Sequence[_Even]) -> int:
    """The largest width up to a limit that meets all demands.

    Raises:
        SurgeryError: There is none, or it is 1 where more is allowed: one number normalised
            by itself is lost.
    """
    found = [n for n in range(limit, 0, -1) if all(demand.holds(n) for demand in demands)]
    width = found[0] if found else 0
    if width > 1 or width == limit:
        return width
    parts = math.lcm(*(demand.parts for demand in demands))
    groups = f" and be a multiple of {parts} groups" if parts > 1 else ""
    sizes = dict.fromkeys(f"{demand.size} in `{demand.member}`" for demand in demands)
    raise SurgeryError(
        "its channels are normalised over, so the mother's width must divide the members'"
        f"{groups}, and {'only 1' if width else 'none'} does",
        expected="widths with a common divisor",
        received=" and ".join(sizes),
        fix="Choose such widths, or put the members into different clusters",
    )
