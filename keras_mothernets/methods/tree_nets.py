"""TreeNets: members whose first units are one trunk, trained together."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mothernets.branching import group_by_trunk, grow_tree
from keras_mothernets.errors import MotherNetsError, whole_number
from keras_mothernets.member import Member
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.method import Method
from keras_mothernets.training.job import Branch, Job


class TreeNets(Method):
    """Trains members that begin alike as one network with a trunk in common and a branch for each.

    Members whose first units are equal grow on one trunk, as long as what they have in common
    goes; it ends where everything passes, so that a skip connection lies within the trunk or
    behind it. The loss of a tree is the sum of its members' losses. A member that begins as no
    other is trained as with `FullData`. When a tree is trained, each member is taken out of it
    as a network of its own.

    What is measured in training stands in the history of the tree's job, under the members' names:
    `history.history["tree/a_accuracy"]`.

    Args:
        members: See `Method`; networks of one input and one output.
        shared_depth: Units of the trunk: layers that make channels, and residual or other regions
            each as one. By default all that the members of a tree have in common, but for their
            last unit.
        seed: See `Method`.

    Raises:
        MotherNetsError: The members do not match each other, or a setting cannot be used.
        SurgeryError: No two members begin with so many equal units.

    Example:
        >>> import keras, numpy as np
        >>> nets = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"),
        ...                           keras.layers.Dense(width, "relu"), keras.layers.Dense(1)],
        ...                          name=name)
        ...         for name, width in (("a", 2), ("b", 3))]
        >>> method = TreeNets(nets)
        >>> method.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=1, verbose=0)
        >>> [(row.job, row.epochs, row.parameters) for row in history.ledger]
        [('tree', 1, 62), ('a', 0, 40), ('b', 0, 47)]

    Source: Lee et al., Why M heads are better than one (2015), section 3. Wasay et al. 2020
    (section 3) say that TreeNets do not generalise to networks with skip connections; at the
    places where everything passes they do.
    """

    def __init__(
        self,
        members: Sequence[keras.Model | Member],
        *,
        shared_depth: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(members, seed=seed)
        if shared_depth is not None:
            shared_depth = whole_number("shared_depth", shared_depth, 1)
        self.shared_depth = shared_depth
        self._groups: list[tuple[int, ...]] | None = None
        self._trees: dict[tuple[int, ...], keras.Model] = {}

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        return f"TreeNets(shared_depth={self.shared_depth}, seed={self.seed})"

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Which members grow on one trunk, by their positions."""
        if self._groups is None:
            self._groups = group_by_trunk(self._members, self.shared_depth)
        return list(self._groups)

    def design(self, schedule: Schedule) -> Design:
        """A job for every tree, and one for every member, taken out of a tree or alone."""
        networks = {member.label: member.model for member in self._members}
        trees = [group for group in self.groups if len(group) > 1]
        jobs: list[Job] = []
        for group in self.groups:
            inside = [self._members[index] for index in group]
            if len(group) == 1:
                jobs.append(self.member_job(inside[0], schedule))
                continue
            name = "tree" if len(trees) == 1 else f"tree_{trees.index(group) + 1}"
            while name in networks:
                name += "_"
            networks[name] = tree = self._tree(group)
            jobs.append(self.job(name, "tree", name, tree, schedule, branches=len(group)))
            jobs += [
                self.member_job(member, schedule, start=Branch(name), epochs=0) for member in inside
            ]
        return Design(tuple(jobs), networks)

    def _tree(self, group: tuple[int, ...]) -> keras.Model:
        """The network of a tree; made once."""
        if group not in self._trees:
            inside = [self._members[index] for index in group]
            for member in inside:
                _check_common(member)
            self._trees[group] = grow_tree(inside, shared_depth=self.shared_depth)
        return self._trees[group]


def _check_common(member: Member) -> None:
    """Members of a tree are trained in one go.

    Raises:
        MotherNetsError: One has settings of its own.
    """
    for setting in ("epochs", "optimizer", "callbacks"):
        if getattr(member, setting) is not None:
            raise MotherNetsError(
                f"Member `{member.label}` has `{setting}` of its own, but grows on one trunk with"
                " others and is trained together with them",
                fix=f"Give `{setting}` for all, or train it with another method",
            )
