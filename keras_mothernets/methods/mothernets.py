"""MotherNets: train what the members have in common once, then hatch and train on each."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets import surgery
from keras_mothernets.clustering import Cluster, cluster
from keras_mothernets.errors import MotherNetsError, naming, whole_number
from keras_mothernets.member import Member
from keras_mothernets.methods.method import Design, Method, Schedule
from keras_mothernets.mothernet import same_architecture
from keras_mothernets.surgery import HatchPlan
from keras_mothernets.training.job import Hatch, Job
from keras_mothernets.training.seeds import derive_seed


class MotherNets(Method):
    """Trains one mother per cluster, hatches the members from it exactly, and trains them on.

    A mother that is equal to a member is trained once and is that member; it trains for the
    epochs of `fit`, or for its own `Member.epochs` if these are more. A member that is alone in
    its cluster is trained as with `FullData`.

    The weights that your models come with are used by these two alone: a mother starts anew, and
    hatched members from her. What is frozen (`trainable = False`) with the same weights in all
    members of a cluster, a pretrained base that they share, is kept in the mother too.

    Args:
        members: See `Method`.
        n_clusters: Number of clusters, each with a mother: 1 is fastest, as many as members
            is `FullData`.
        member_epochs: Epochs of each hatched member, half of the mother's by default. On CIFAR-10
            20 + 20 epochs were as good as 40 + 20 (see the README). `Member.epochs` goes before.
        noise: Standard deviation of the noise that is added at hatching; 0 keeps the function.
        shrink: Factor on inherited weights, 0 to 1 (shrink and perturb); 1 keeps the function.
        seed: See `Method`.

    Raises:
        MotherNetsError: The members do not match each other, or a setting cannot be used.

    Source: Wasay et al., MotherNets: Rapid Deep Ensemble Learning (MLSys 2020), sections 2.1-2.4.
    """

    def __init__(
        self,
        members: Sequence[keras.Model | Member],
        *,
        n_clusters: int = 1,
        member_epochs: int | None = None,
        noise: float = 0.0,
        shrink: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(members, seed=seed)
        n_clusters = whole_number("n_clusters", n_clusters, 1)
        if n_clusters > len(self._members):
            raise MotherNetsError(
                "`n_clusters` is larger than the number of members",
                expected=f"1 to {len(self._members)}",
                received=n_clusters,
            )
        if member_epochs is not None:
            member_epochs = whole_number("member_epochs", member_epochs, 0)
        _check_number("noise", noise)
        _check_number("shrink", shrink, most=1)
        self.n_clusters = n_clusters
        self.member_epochs = member_epochs
        self.noise = noise
        self.shrink = shrink
        self._clusters: list[Cluster] | None = None
        self._explanations: dict[str, HatchPlan] = {}

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        return (
            f"MotherNets(n_clusters={self.n_clusters}, member_epochs={self.member_epochs}, "
            f"noise={self.noise}, shrink={self.shrink}, seed={self.seed})"
        )

    @property
    def clusters(self) -> list[Cluster]:
        """The clusters with their mothers; made once, when first asked for."""
        if self._clusters is None:
            self._clusters = list(
                cluster(self._members, n_clusters=self.n_clusters, seed=self.seed)
            )
        return list(self._clusters)

    @property
    def explanations(self) -> dict[str, HatchPlan]:
        """For every hatched member, by name, what it inherits from where; known after `plan`."""
        return dict(self._explanations)

    def design(self, schedule: Schedule) -> Design:
        """A job for every mother, then one for every member of its cluster."""
        jobs: list[Job] = []
        networks = {member.label: member.model for member in self._members}
        self._explanations = {}
        for number, group in enumerate(self.clusters, start=1):
            mother = self._mother_job(group, number, networks, schedule)
            jobs.append(mother)
            jobs += [
                self._hatched_job(self._members[index], mother, networks[mother.network], schedule)
                for index in group.indices
                if self._members[index].label != mother.name
            ]
        return Design(tuple(jobs), networks)

    def _mother_job(
        self, group: Cluster, number: int, networks: dict[str, keras.Model], schedule: Schedule
    ) -> Job:
        """The job that the others of a cluster wait for; a member's own, if that is the mother."""
        own = self._member_that_is_mother(group)
        if own is not None:
            epochs = schedule.epochs if own.epochs is None else own.epochs
            if len(group.indices) > 1:  # the others hatch from it, and need a trained mother
                epochs = max(epochs, schedule.epochs)
            return self.member_job(own, schedule, epochs=epochs)
        name = "mothernet" if len(self.clusters) == 1 else f"mothernet_{number}"
        while name in networks:
            name += "_"
        networks[name] = group.mothernet
        return self.job(name, "mother", name, group.mothernet, schedule)

    def _member_that_is_mother(self, group: Cluster) -> Member | None:
        inside = [self._members[index] for index in group.indices]
        if len(inside) == 1:
            return inside[0]
        equal = (member for member in inside if same_architecture(group.mothernet, member.model))
        return next(equal, None)

    def _hatched_job(
        self, member: Member, mother: Job, model: keras.Model, schedule: Schedule
    ) -> Job:
        with naming(f"Member `{member.label}`"):
            explanation = surgery.explain(model, member.model)
            _check_frozen(surgery.lost_layers(explanation, model, member.model))
        self._explanations[member.label] = explanation
        start = Hatch(
            parent=mother.name,
            seed=derive_seed(self.seed, member.label, "hatch"),
            noise=float(self.noise),
            shrink=float(self.shrink),
            inherited=float(explanation.inherited),
        )
        epochs = self._epochs_after_hatching(member, schedule)
        return self.member_job(member, schedule, start=start, epochs=epochs)

    def _epochs_after_hatching(self, member: Member, schedule: Schedule) -> int:
        if member.epochs is not None:
            return member.epochs
        if self.member_epochs is not None:
            return self.member_epochs
        return max(1, math.ceil(schedule.epochs / 2))


def _check_frozen(lost: list[str]) -> None:
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise MotherNetsError(
            f"Layer `{lost[0]}`{more} cannot be trained, but would get other weights from the"
            " mother, and those it has would be lost",
            expected="layers that can be trained, or that all members have with the same weights",
            fix="Set `trainable = True`, share the frozen layers among all members, or use"
            " `km.FullData`",
        )


def _check_number(name: str, value: Any, most: float = math.inf) -> None:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= most:
        limits = "of at least 0" if most == math.inf else f"from 0 to {most:g}"
        raise MotherNetsError(f"`{name}` must be a finite number {limits}", received=repr(value))
