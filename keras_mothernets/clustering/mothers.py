"""The MotherNets of candidate clusters: guessed fast from layer vectors, then proved.

A search looks at thousands of candidate clusters. The MotherNet of each is
guessed as the entry-by-entry minimum of the layer vectors, in microseconds. A
guess knows nothing of what can be matched and what inserted, so it may be too
large. Therefore the clusters that a search ends with are settled: their
MotherNet is found for real, takes the place of the guess, and if that makes a
difference the search goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_mothernets.clustering.edits import edit_distance
from keras_mothernets.clustering.partings import Partings
from keras_mothernets.clustering.sizes import Sizes
from keras_mothernets.clustering.vectors import Layout, layer_vector
from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Architecture, build, read
from keras_mothernets.mothernet import common_architecture
from keras_mothernets.surgery import make_plan

Group = tuple[int, ...]
"""Numbers of the members of a candidate cluster, ascending."""

# Cost of a pair that shares no MotherNet, or of a member that inherits too little:
# more than any distance, and integers do not round.
VIOLATION = 10**15

# In larger ensembles, members that add nothing to a MotherNet are checked against
# it instead of being folded in one by one.
_FOLD_ALL_UP_TO = 10


@dataclass(frozen=True)
class Mother:
    """The MotherNet of a candidate cluster, as far as a search needs it.

    Args:
        vector: Its padded layer vector, of shape `(layers, columns)`.
        params: Number of its parameters; 0 where nobody asks.
        shared: Once settled, the fraction of each member's parameters that come from it.
        common: Once settled, what it is built of.
    """

    vector: np.ndarray
    params: int
    shared: tuple[float, ...] = ()
    common: Architecture | None = field(default=None, repr=False)


class Mothers:
    """Guessed and settled MotherNets of candidate clusters, and what each cluster costs.

    Args:
        architectures: The members, with names that differ.
        distance: `"edit"` or `"parameters"`, see `cluster`.
        min_shared: Fraction of every member's parameters that must come from its mother.
        generalize: See `Partings`.
    """

    def __init__(
        self,
        architectures: Sequence[Architecture],
        *,
        distance: str = "edit",
        min_shared: float = 0.0,
        generalize: bool = False,
    ) -> None:
        self._architectures = tuple(architectures)
        self._by_parameters = distance == "parameters"
        self._min_shared = min_shared
        vectors = [layer_vector(architecture) for architecture in architectures]
        self._layout = Layout.of(vectors)
        self._vectors = np.stack([self._layout.array(vector) for vector in vectors])
        self._sizes = [Sizes(architecture, self._layout) for architecture in architectures]
        self._params = [architecture.num_params for architecture in architectures]
        self._partings = Partings(architectures, self._common, generalize=generalize)
        self._commons: dict[Group, Architecture | SurgeryError] = {}
        self._settled: dict[Group, Mother] = {}
        self._impossible: dict[Group, SurgeryError] = {}
        self._distrusted: set[Group] = set()
        self._costs: dict[Group, int] = {}
        self._distances: dict[tuple[int, bytes], int] = {}

    def __len__(self) -> int:
        return len(self._architectures)

    def cost(self, group: Group) -> int:
        """Total distance of some members to their MotherNet, and `VIOLATION` for each violation."""
        if group not in self._costs:
            self._costs[group] = self._cost(group)
        return self._costs[group]

    def missing(self, group: Group) -> int:
        """Parameters of some members that do not come from their MotherNet, as far as is known.

        0 where there is no MotherNet; `cost` says that.
        """
        mother = self._settled.get(group)
        if len(group) <= 1 or (mother is None and self._obstacles(group)):
            return 0
        mother = mother or self._guess(group, count=True)
        return sum(self._params[member] - mother.params for member in group) if mother else 0

    def settle(self, group: Group) -> bool:
        """Find the MotherNet of a cluster for real.

        Returns:
            Whether the guessed cost was wrong.
        """
        before = self.cost(group)
        if len(group) == 1 or self._obstacles(group):
            return False
        if self._settle(group) is None:
            self._partings.test_all(group)
            self._costs.clear()
        self._costs.pop(group, None)
        return self.cost(group) != before

    def check_pairs(self) -> None:
        """Try the guesses on all pairs. Larger clusters with a pair where it fails are not guessed.

        Pairs are cheap, and what goes wrong nearly always shows between two.
        """
        for pair in itertools.combinations(range(len(self)), 2):
            if not self._partings.test(*pair):
                real = self._layout.array(layer_vector(self._common(pair)))
                guess = self._guess(pair)
                if guess is None or (real != guess.vector).any():
                    self._distrusted.add(pair)
        self._costs.clear()

    def shared(self, group: Group) -> tuple[float, ...]:
        """For each member of a settled cluster the fraction of its parameters that it inherits."""
        return self._settled[group].shared if len(group) > 1 else (1.0,)

    def found(self, group: Group) -> tuple[list[Architecture], Architecture]:
        """The members of a settled cluster, and what they have in common."""
        settled = self._settled.get(group)
        common = settled.common if settled else None
        members = [self._architectures[member] for member in group]
        return members, common or self._common(group)

    def obstacle(self, group: Group) -> tuple[Group, SurgeryError] | None:
        """Two members of a cluster, or as many as it takes, that share no MotherNet, and why."""
        found = self._partings.explain(group)
        if found is None and group in self._impossible:
            return group, self._impossible[group]
        return found

    def parting(self, group: Group, other: Group, *, test: bool) -> SurgeryError | None:
        """Why two clusters cannot be one, by two members that part; None if none are known to.

        Args:
            group: A cluster.
            other: Another one.
            test: Whether to try the first members of both if nothing is known.
        """
        if test:
            self._partings.test(group[0], other[0])
        for first, second in itertools.product(group, other):
            found = self._partings.explain((first, second))
            if found is not None:
                return found[1]
        return None

    def _cost(self, group: Group) -> int:
        if len(group) <= 1:
            return 0
        mother = self._settled.get(group)
        if mother is None:
            obstacles = self._obstacles(group)
            if obstacles:
                return obstacles * VIOLATION
            mother = None if self._is_distrusted(group) else self._guess(group)
            mother = mother or self._settle(group)
            if mother is None:
                return VIOLATION
        return self._distance(group, mother) + self._starved(group, mother) * VIOLATION

    def _obstacles(self, group: Group) -> int:
        """How many pairs and larger sets in a cluster are known to have no MotherNet."""
        larger = sum(set(found) <= set(group) for found in self._impossible)
        return self._partings.count(group) + larger

    def _is_distrusted(self, group: Group) -> bool:
        return any(set(pair) <= set(group) for pair in self._distrusted)

    def _distance(self, group: Group, mother: Mother) -> int:
        if self._by_parameters:
            # All of a MotherNet is part of each member, so what is left is the difference.
            return sum(self._params[member] - mother.params for member in group)
        name = mother.vector.tobytes()
        return sum(self._edits(member, mother.vector, name) for member in group)

    def _edits(self, member: int, vector: np.ndarray, name: bytes) -> int:
        """Edit distance of a member to a vector, which `name` identifies."""
        if (member, name) not in self._distances:
            self._distances[member, name] = edit_distance(self._vectors[member], vector)
        return self._distances[member, name]

    def _starved(self, group: Group, mother: Mother) -> int:
        """How many members inherit less than they must."""
        if not self._min_shared:
            return 0
        if mother.shared:
            return sum(share < self._min_shared for share in mother.shared)
        return sum(mother.params / self._params[member] < self._min_shared for member in group)

    def _guess(self, group: Group, *, count: bool = False) -> Mother | None:
        """The MotherNet by the layer vectors, None if there can be no network with such layers."""
        vector = self._vectors[list(group)].min(axis=0)
        if not (self._by_parameters or self._min_shared or count):
            return Mother(vector, 0)
        smallest = min(group, key=lambda member: self._params[member])
        try:
            return Mother(vector, self._sizes[smallest].count(vector))
        except SurgeryError:
            return None

    def _settle(self, group: Group) -> Mother | None:
        """The real MotherNet of a cluster, None if there is none."""
        if group not in self._settled and group not in self._impossible:
            try:
                self._settled[group] = self._real(group)
            except SurgeryError as error:
                self._impossible[group] = error
        return self._settled.get(group)

    def _real(self, group: Group) -> Mother:
        """The MotherNet of a cluster, from which every member has been proved to grow."""
        core = group if len(self) <= _FOLD_ALL_UP_TO else self._core(group)
        while True:
            # Built and read again, for only then do its variables have their shapes.
            common = self._common(core)
            mother = read(build(common, blank=True))
            shared: list[float] = []
            for member in group:
                try:
                    shared.append(make_plan(mother, self._architectures[member]).inherited)
                except SurgeryError:
                    if member in core:
                        raise
                    core = (*core, member)
                    break
            else:
                vector = self._layout.array(layer_vector(mother))
                return Mother(vector, mother.num_params, tuple(shared), common)

    def _common(self, group: Group) -> Architecture:
        """`common_architecture` of a cluster, or its error, found once."""
        if group not in self._commons:
            try:
                chosen = [self._architectures[member] for member in group]
                self._commons[group] = common_architecture(chosen)
            except SurgeryError as error:
                self._commons[group] = error
        found = self._commons[group]
        if isinstance(found, SurgeryError):
            raise found
        return found

    def _core(self, group: Group) -> Group:
        """A few members with the MotherNet of all of them, if the guess is right.

        A member that grows from the core's MotherNet does not make it smaller.
        """
        vectors = self._vectors[list(group)]
        wanted = vectors.min(axis=0)
        core = [min(group, key=lambda member: self._params[member])]
        current = self._vectors[core[0]]
        while (current != wanted).any():
            missing = (np.minimum(vectors, current) != wanted).sum(axis=(1, 2))
            core.append(group[int(missing.argmin())])
            current = np.minimum(current, self._vectors[core[-1]])
        return tuple(core)
