"""The widths of a common network: as large as all members allow.

Position by position the smallest width of all members is an upper bound. It
can be too large: what a member inserts behind a layer must let all channels
pass, pairs of an activation need twice the room, and a normalisation over
channels needs the same number of copies of each. This module finds what every
member allows for every channel space of the common network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
        self._axes = {path: axis for path, axis, _ in _made(self._itself)}
        self._limits: dict[Atom, int] = {}
        self._member = ""
        self._even: dict[Atom, list[_Even]] = {}

    def add(self, member: Architecture) -> None:
        """Note what one member allows."""
        self._member = member.name
        pairs = align(self._common, member, grow_only=True, check_widths=False).pairs
        found = correspond(self._common, member, pairs)
        # For atoms of this walk: the common network's atom, and how often it stands in it.
        origins: dict[Atom, tuple[Atom, int]] = {}
        for path, axis, step in _made(found):
            theirs = list(_atoms(axis, found.spaces))
            if step.how == "matched":
                ours = list(_atoms(self._axes[path], self._itself.spaces))
                if len(ours) == len(theirs):
                    for own, other in zip(ours, theirs, strict=True):
                        origins[other] = (own, 1)
                        self._note(own, other, found.spaces)
            elif len(theirs) == 1:
                self._note_inserted(step, theirs[0], origins, found.spaces)

    def changes(self) -> dict[int, dict[str, Any]]:
        """Config entries that must be lowered, by the number of a call's first output."""
        spaces = self._itself.spaces
        changes: dict[int, dict[str, Any]] = {}
        for step in self._itself.steps:
            node, rule = step.mother, rule_for(step.mother)
            key = rule.width
            if key is not None and not node.fused:
                with naming(f"Layer `{node.layer.name}`"):
                    width = self._size(self._axes[node.layer.path], spaces)
                if width is not None and width < node.config[key]:
                    changes[node.outputs[0]] = rule.sized(node, width)
            elif key is None and step.outputs:
                sizes = [self._size(axis, spaces) for axis in step.outputs[0]]
                following = rule.follow(node, sizes)
                if following:
                    changes[node.outputs[0]] = following
        return changes

    def _note(self, own: Atom, other: Atom, spaces: Spaces, *, repeats: int = 1) -> None:
        """Note the room that an axis of the member leaves for `repeats` times an atom."""
        limit, size = spaces.limits(other)
        if limit is None or size is None:
            return
        room = limit // repeats
        self._limits[own] = min(room, self._limits.get(own, room))
        parts = spaces.must_divide(other)
        if parts is not None:
            self._even.setdefault(own, []).append(_Even(self._member, size, repeats, parts))

    def _note_inserted(
        self,
        step: Step,
        made: Atom,
        origins: dict[Atom, tuple[Atom, int]],
        spaces: Spaces,
    ) -> None:
        """What is inserted must pass on all channels of the axis that it reads."""
        source = step.inputs[0][rule_for(step.member).channel_axis(step.member)]
        atoms = [atom for atom in _atoms(source, spaces) if atom in origins]
        if len(atoms) != 1:
            return
        own, repeats = origins[atoms[0]]
        repeats *= (spaces.size(source)[0] or 1) // (spaces.size(atoms[0])[0] or 1)
        origins[made] = (own, repeats)
        self._note(own, made, spaces, repeats=repeats)

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


def _made(found: Correspondence) -> Iterator[tuple[tuple[str, ...], Axis, Step]]:
    """For every layer that makes channels: its path in the mother, their axis, and the step."""
    for step in found.steps:
        rule = rule_for(step.member)
        if rule.width is not None and step.how in ("matched", "inserted"):
            axis = rule.made_axis(step.member, step.outputs)
            yield step.mother.layer.path, axis, step


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
