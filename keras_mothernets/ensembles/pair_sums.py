"""What pairs of members have in common on some examples, and the measures that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from keras_mothernets.ensembles.additive import ALIKE, BOTH_RIGHT, ERRORS, pair_sums, products
from keras_mothernets.ensembles.decomposition import Decomposition
from keras_mothernets.ensembles.diversity import Diversity, PairCounts
from keras_mothernets.ensembles.kept_examples import Look


@dataclass(eq=False)
class Ragged:
    """Single examples that the sums of whole chunks lack, or have too many of.

    Args:
        look: What the members say of them.
        signs: 1 for those that they lack, -1 for those that they have too many of, (examples,).
    """

    look: Look
    signs: np.ndarray


@dataclass(eq=False)
class PairSums:
    """Sums over examples for some members: in chunks, and of the ragged ends of their range.

    What is asked of all pairs together needs no pairs at the ragged ends: the squared error of a
    mean is that of the mean of what they say, and how many pairs name the same class follows from
    the votes. Pairs are made of them only where each is asked for.

    Args:
        num_members: Number of members.
        num_examples: Number of examples that were summed.
        terms: What a squared error is divided by for each example: the targets of a regression, 1
            of a classification.
        chunks: Sums of `additive.pair_sums` in the order of `pairs_of`: of all pairs of two, and of
            each member with itself, (kinds, pairs + members).
        ragged: Examples to add or take away.
    """

    num_members: int
    num_examples: int
    terms: int
    chunks: np.ndarray
    ragged: Ragged | None

    @cached_property
    def own(self) -> np.ndarray:
        """Mean squared error of each member, (members,)."""
        own = self.chunks[ERRORS][self._pairs :]
        if self.ragged is not None:
            errors = self.ragged.look.errors
            signed = (errors * self.ragged.signs[:, None]).reshape(len(errors), -1)
            own = own + np.einsum("mi,mi->m", errors.reshape(len(errors), -1), signed)
        return own / (self.num_examples * self.terms)

    def squared_error(self, shares: np.ndarray) -> float:
        """Mean squared error of the mean with these weights, which sum to one."""
        total = self._of_mean(shares)
        if self.ragged is not None:
            errors = self.ragged.look.errors
            mean = (shares @ errors.reshape(len(errors), -1)).reshape(errors.shape[1:])
            total += float((mean * mean).sum(axis=1) @ self.ragged.signs)
        return total / (self.num_examples * self.terms)

    def decomposition(self, shares: np.ndarray) -> Decomposition:
        """The squared error of the mean with these weights, as mean member minus ambiguity."""
        mean_member, ensemble = float(shares @ self.own), self.squared_error(shares)
        return Decomposition(mean_member, max(mean_member - ensemble, 0.0), ensemble)

    @cached_property
    def products(self) -> np.ndarray:
        """Mean products of the members' errors, (members, members)."""
        total = self._matrix(self.chunks[ERRORS])
        if self.ragged is not None:
            errors = self.ragged.look.errors
            total += products(errors, errors, self.ragged.signs)
        return total / (self.num_examples * self.terms)

    def counts(self) -> PairCounts:
        """How often all pairs are right and alike, (members, members)."""
        both, alike = self._matrix(self.chunks[BOTH_RIGHT]), self._matrix(self.chunks[ALIKE])
        if self.ragged is not None:
            look = self.ragged.look
            ends = pair_sums(look, look, self.ragged.signs)
            both, alike = both + ends[BOTH_RIGHT], alike + ends[ALIKE]
        right = np.diag(both)
        return PairCounts(both, right[:, None], right[None, :], alike, self.num_examples)

    def diversity(self) -> Diversity:
        """Measures of all pairs of two, at least one."""
        first, second = (each[: self._pairs] for each in pairs_of(self.num_members))
        both = self.chunks[BOTH_RIGHT][: self._pairs]
        right = self.chunks[BOTH_RIGHT][self._pairs :]
        alike = float(self.chunks[ALIKE][: self._pairs].sum())
        if self.ragged is not None:
            look, signs = self.ragged.look, self.ragged.signs
            ends = look.right @ (look.right * signs).T  # (members, members)
            both = both + ends.ravel().take(_cells_of(self.num_members))
            right = right + ends.diagonal()
            votes = look.votes  # (examples, classes); n of them make n (n - 1) / 2 pairs
            alike += float(((votes * votes).sum(axis=1) - self.num_members) @ signs) / 2
        of_first, of_second = right.take(first), right.take(second)
        counts = PairCounts(both, of_first, of_second, None, self.num_examples)
        return counts.diversity(right, alike)

    def _of_mean(self, shares: np.ndarray) -> float:
        """Sum over the chunks of the squared errors of a mean."""
        errors, pairs = self.chunks[ERRORS], self._pairs
        if (shares == shares[0]).all():
            return float(2.0 * errors[:pairs].sum() + errors[pairs:].sum()) * float(shares[0]) ** 2
        first, second = pairs_of(self.num_members)
        of_pairs = shares.take(first) * shares.take(second)
        of_pairs[:pairs] *= 2.0
        return float(of_pairs @ errors)

    @property
    def _pairs(self) -> int:
        return self.num_members * (self.num_members - 1) // 2

    def _matrix(self, of_pairs: np.ndarray) -> np.ndarray:
        return of_pairs.take(_places_of(self.num_members))


@lru_cache(maxsize=128)
def pairs_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of two positions, the first the larger, and then each position with itself."""
    first, second = np.tril_indices(count, k=-1)
    every = np.arange(count)
    return np.concatenate([first, every]), np.concatenate([second, every])


@lru_cache(maxsize=128)
def _cells_of(count: int) -> np.ndarray:
    """Where the pairs of two members stand in a flat matrix, (pairs,)."""
    first, second = np.tril_indices(count, k=-1)
    return first * count + second


@lru_cache(maxsize=128)
def _places_of(count: int) -> np.ndarray:
    """Where each cell of a matrix stands among the pairs of `pairs_of`, (count, count)."""
    first, second = pairs_of(count)
    places = np.empty((count, count), "int64")
    places[first, second] = places[second, first] = np.arange(len(first))
    return places
