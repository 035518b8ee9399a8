"""Channel spaces: which tensor axes must be widened by one and the same index map.

Two calls that correspond, one in the mother and one in the member, are walked
through side by side. Every axis of a tensor is an expression over *atoms*; an
atom is an axis that some layer makes, with its size in the mother and in the
member. `Flatten` makes a product of axes, `Concatenate` a sum, a depthwise
convolution a product with its multiplier. Where two axes must agree, they are
joined; where a reshape takes an atom apart, it is refined into a product.

Once the walk is over, every atom that is left free gets an index map
(new channel -> old channel), and the map of each axis follows from its atoms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.rules.axes import Atom, Axis, Concat, Product, axis_parts
from keras_mothernets.rules.maps import Map, Maps

Size = int | None


@dataclass
class _Entry:
    mother: Size
    member: Size
    pinned: str | None = None
    signed: bool = False
    uniform: str | None = None
    parts: int = 1
    copied: bool = False
    replaced_by: Axis | None = None


@dataclass
class Spaces:
    """The atoms of one walk, and what is known about them."""

    settles: bool = False
    """Whether axes that are joined get the smaller of their sizes, for a network whose widths
    are still sought."""

    lowered: bool = False
    """Whether an axis was made smaller so that it agrees with another."""

    _entries: list[_Entry] = field(default_factory=list)
    _alike: list[tuple[Concat, str]] = field(default_factory=list)

    def new(self, mother: Size, member: Size) -> Atom:
        """A fresh atom that may be widened from `mother` to `member` channels."""
        self._entries.append(_Entry(mother, member))
        return Atom(len(self._entries) - 1)

    def fixed(self, mother: Size, member: Size, reason: str) -> Atom:
        """A fresh atom that must stay as it is."""
        atom = self.new(mother, member)
        self.pin(atom, reason)
        return atom

    def size(self, axis: Axis) -> tuple[Size, Size]:
        """Sizes of an axis in the mother and in the member; None where unknown."""
        axis = self.find(axis)
        if isinstance(axis, Atom):
            entry = self._entries[axis.number]
            return entry.mother, entry.member
        sizes = [self.size(part) for part in axis_parts(axis)]
        combine = math.prod if isinstance(axis, Product) else sum
        return tuple(  # type: ignore[return-value]
            None if any(size is None for size in column) else combine(column)
            for column in zip(*sizes, strict=True)
        )

    def find(self, axis: Axis) -> Axis:
        """The expression for which an axis stands by now."""
        while isinstance(axis, Atom):
            replaced_by = self._entries[axis.number].replaced_by
            if replaced_by is None:
                return axis
            axis = replaced_by
        return axis

    def essence(self, axis: Axis) -> Axis:
        """An axis without factors of size one: a depthwise layer of one filter makes none."""
        axis = self.find(axis)
        if not isinstance(axis, Product):
            return axis
        parts = [self.find(part) for part in axis.factors if self.size(part) != (1, 1)]
        return self.essence(parts[0]) if len(parts) == 1 else axis

    def pin(self, axis: Axis, reason: str) -> None:
        """Demand that an axis stays as it is: same size, no channel moved.

        Args:
            axis: Any axis.
            reason: Completes "... must keep its size because ...".

        Raises:
            SurgeryError: The sizes differ, or the axis carries negated copies.
        """
        axis = self.find(axis)
        if not isinstance(axis, Atom):
            for part in axis_parts(axis):
                self.pin(part, reason)
            return
        entry = self._entries[axis.number]
        if entry.mother != entry.member or entry.signed:
            raise SurgeryError(
                f"An axis must keep its size because {reason}",
                expected=f"{_text(entry.mother)} as in the smaller network",
                received=_text(entry.member),
                fix="Give it one size in all networks, or put them into different clusters",
            )
        entry.pinned = entry.pinned or reason

    def sign(self, axis: Axis) -> None:
        """Let an axis carry each channel at least once as it is and once negated.

        Raises:
            SurgeryError: The axis is made up of several, or must keep its size.
        """
        axis = self.essence(axis)
        if not isinstance(axis, Atom) or self._entries[axis.number].pinned:
            raise SurgeryError("Negated copies need an axis made by one layer alone")
        self._entries[axis.number].signed = True

    def need_copies(self, axis: Axis) -> None:
        """Demand that new channels of an axis are copies: a maximum would hear any other one."""
        axis = self.essence(axis)
        if isinstance(axis, Atom):
            self._entries[axis.number].copied = True
        else:
            for part in axis_parts(axis):
                self.need_copies(part)

    def even_out(self, axis: Axis, reason: str, *, parts: int = 1) -> None:
        """Demand that every channel of an axis has the same number of copies, side by side.

        Args:
            axis: Any axis. Of a product each factor is evened out, of axes one after the other
                each in the same measure; what does not fall into groups is pinned.
            reason: Completes "... because ...".
            parts: Number of groups into which the channels must fall evenly.
        """
        axis = self.essence(axis)
        if isinstance(axis, Atom):
            entry = self._entries[axis.number]
            entry.uniform, entry.parts = reason, math.lcm(entry.parts, parts)
        elif isinstance(axis, Product) and (shares := self._shares(axis, parts)):
            for factor, share in zip(axis.factors, shares, strict=True):
                self.even_out(factor, reason, parts=share)
        elif isinstance(axis, Concat) and parts == 1:
            for part in axis.parts:
                self.even_out(part, reason)
            self._alike.append((axis, reason))
        else:
            self.pin(axis, reason)

    def _shares(self, axis: Product, parts: int) -> list[int]:
        """Into how many equal parts each factor falls if a product falls into so many; else none.

        A factor that is whole within the parts must have one size in both networks.
        """
        shares = []
        for factor in axis.factors:
            mother, member = self.size(factor)
            if mother is None or member is None:
                return []
            if mother % parts == 0 and member % parts == 0:
                shares.append(parts)
                parts = 1
            elif mother == member and parts % mother == 0:
                shares.append(1)
                parts //= mother
            else:
                return []
        return shares

    def is_free(self, axis: Axis) -> bool:
        """Whether an axis is made by layers alone and may be widened."""
        axis = self.essence(axis)
        return isinstance(axis, Atom) and self._entries[axis.number].pinned is None

    def must_divide(self, axis: Axis) -> int | None:
        """The number that divides the mother's size of an axis where that divides the member's.

        None where any size will do.
        """
        axis = self.essence(axis)
        if not isinstance(axis, Atom) or self._entries[axis.number].uniform is None:
            return None
        return self._entries[axis.number].parts

    def join(self, first: Axis, second: Axis) -> None:
        """Demand that two axes are widened by the same map.

        Raises:
            SurgeryError: Their sizes or their make-up differ.
        """
        first, second = self.essence(first), self.essence(second)
        if first == second:
            return
        if self.settles:
            self._settle(first, second)
        if self.size(first) != self.size(second):
            raise SurgeryError(
                "Two axes that must agree have different sizes",
                expected=str(self.size(first)),
                received=str(self.size(second)),
            )
        if isinstance(first, Atom):
            self._replace(first, second)
        elif isinstance(second, Atom):
            self._replace(second, first)
        else:
            self._join_parts(first, second)

    def refine(self, atom: Atom, sizes: list[tuple[Size, Size]]) -> tuple[Atom, ...]:
        """Take an atom apart into a product of fresh ones, of the given sizes.

        Raises:
            SurgeryError: It carries negated copies, or groups that do not fall into its pieces.
        """
        factors = tuple(self.new(mother, member) for mother, member in sizes)
        self._replace(atom, Product(factors))
        return factors

    def maps(self, seed: int, *, copies: bool = True) -> Maps:
        """Choose the index maps of all free atoms.

        Args:
            seed: Seed of the choice of copies.
            copies: Whether new channels are copies of the mother's; else she lacks them. Where
                something needs copies they always are.

        Returns:
            A `Maps` that gives the map of any axis.

        Raises:
            SurgeryError: An axis is narrower in the member than in the mother, or not a
                multiple of it where copies are counted.
        """
        for axis, reason in self._alike:
            self._check_alike(axis, reason)
        return Maps(
            self.find, {n: self._choose(n, seed, copies) for n in range(len(self._entries))}
        )

    def limits(self, axis: Axis) -> tuple[Size, Size]:
        """Largest mother size that this member allows, and the member's size."""
        axis = self.essence(axis)
        if not isinstance(axis, Atom):
            return self.size(axis)
        entry = self._entries[axis.number]
        if entry.member is None:
            return None, None
        return (entry.member // 2 if entry.signed else entry.member), entry.member

    def _choose(self, number: int, seed: int, copies: bool) -> Map | None:
        entry = self._entries[number]
        if entry.replaced_by is not None or entry.mother is None or entry.member is None:
            return None
        needed = 2 * entry.mother if entry.signed else entry.mother
        if entry.member < needed:
            raise SurgeryError(
                "A layer is too narrow",
                expected=f"at least {needed} channels",
                received=str(entry.member),
            )
        if not entry.mother:
            return Map(np.full(entry.member, -1), 0)
        if entry.uniform is not None:
            return _even_map(entry)
        generator = np.random.default_rng([seed, number])
        kept = np.arange(entry.mother)
        if not (copies or entry.signed or entry.copied):
            lacking = np.full(entry.member - entry.mother, -1)
            return Map(np.concatenate([kept, lacking]), entry.mother)
        first = np.concatenate([kept, kept]) if entry.signed else kept
        drawn = generator.integers(0, entry.mother, entry.member - len(first))
        index = np.concatenate([first, drawn])
        if not entry.signed:
            return Map(index, entry.mother)
        signs = np.concatenate(
            [
                np.ones(entry.mother),
                -np.ones(entry.mother),
                generator.choice([-1.0, 1.0], len(drawn)),
            ]
        )
        return Map(index, entry.mother, signs)

    def _check_alike(self, axis: Concat, reason: str) -> None:
        """All parts of an axis must have grown by one factor."""
        sizes = [self.size(part) for part in axis.parts]
        ratios = {member / mother for mother, member in sizes if mother and member}
        if len(ratios) > 1:
            raise SurgeryError(
                f"Every channel needs the same number of copies because {reason}",
                expected="axes that were concatenated to grow all by one factor",
                received=" and ".join(f"{ours} to {theirs}" for ours, theirs in sizes),
                fix="Give the members widths in one proportion there",
            )

    def _settle(self, first: Axis, second: Axis) -> None:
        """Lower the larger of two axes to the size of the other, where layers can make it so."""
        (ours, _), (theirs, _) = self.size(first), self.size(second)
        if ours is None or theirs is None or ours == theirs:
            return
        self._lower(first if ours > theirs else second, abs(ours - theirs))

    def fall_into(self, axis: Axis, parts: int) -> None:
        """Where widths are still sought: lower an axis until it falls into equal parts."""
        size = self.size(axis)[0]
        if self.settles and size is not None and size >= parts:
            self._lower(axis, size % parts)

    def _lower(self, axis: Axis, excess: int) -> None:
        """Take channels from the layers that make an axis, most from the widest."""
        atoms = self._free_atoms(axis) if excess else []
        for atom in sorted(atoms, key=lambda atom: -(self.size(atom)[0] or 0)):
            entry = self._entries[atom.number]
            taken = min(excess, (entry.mother or 1) - 1)
            entry.mother = entry.member = (entry.mother or 1) - taken
            excess -= taken
            self.lowered = True

    def _free_atoms(self, axis: Axis) -> list[Atom]:
        """The atoms that an axis adds up, those that must keep their size left out."""
        axis = self.find(axis)
        if isinstance(axis, Atom):
            return [] if self._entries[axis.number].pinned else [axis]
        parts = axis_parts(axis) if isinstance(axis, Concat) else ()
        return [atom for part in parts for atom in self._free_atoms(part)]

    def _replace(self, atom: Atom, by: Axis) -> None:
        entry = self._entries[atom.number]
        if entry.pinned:
            self.pin(by, entry.pinned)
        if entry.signed:
            self.sign(by)
        if entry.uniform:
            self.even_out(by, entry.uniform, parts=entry.parts)
        if entry.copied:
            self.need_copies(by)
        entry.replaced_by = by

    def _join_parts(self, first: Axis, second: Axis) -> None:
        ours, theirs = axis_parts(first), axis_parts(second)
        if type(first) is not type(second) or len(ours) != len(theirs):
            raise SurgeryError(
                "Two axes that must agree are made up differently",
                expected=str(self.size(first)),
                received=str(self.size(second)),
            )
        for ours_part, theirs_part in zip(ours, theirs, strict=True):
            self.join(ours_part, theirs_part)


def _even_map(entry: _Entry) -> Map:
    mother, member = entry.mother or 1, entry.member or 0
    if member % mother or entry.signed:
        raise SurgeryError(
            f"Every channel needs the same number of copies because {entry.uniform}",
            expected=f"a multiple of {mother} channels",
            received=str(member),
            fix="Give the members widths with a common divisor there",
        )
    return Map(np.repeat(np.arange(mother), member // mother), mother)


def _text(size: Size) -> str:
    return "an unknown size" if size is None else str(size)
