"""AdaptiveMotherNets: begin with few MotherNets, add more while there is time and it helps."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import keras

from keras_mothernets import surgery
from keras_mothernets.clustering import Cluster
from keras_mothernets.ensembles.combine import combine
from keras_mothernets.errors import DataError, MotherNetsError, whole_number
from keras_mothernets.member import Member
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.ensemble_settings import compile_ensemble
from keras_mothernets.methods.method import Method
from keras_mothernets.methods.mothernets import MotherNets
from keras_mothernets.planning.budget import seconds_of
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import TrainingData, read_data
from keras_mothernets.training.losses import loss_specs
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.predicted_seconds import SecondsModel
from keras_mothernets.training.record import History
from keras_mothernets.training.text import duration_text

_DATA = tuple(inspect.signature(read_data).parameters)[2:]


@dataclass(frozen=True)
class Part:
    """A cluster that could be split.

    Args:
        cluster: The cluster.
        members: Numbers of its members among all.
        method: The round that trained its mother and its members.
    """

    cluster: Cluster
    members: tuple[int, ...]
    method: MotherNets

    @classmethod
    def all_of(cls, method: MotherNets, members: Sequence[int]) -> list[Part]:
        """The clusters of a round, whose members have these numbers among all."""
        return [
            cls(one, tuple(members[index] for index in one.indices), method)
            for one in method.clusters
        ]

    @property
    def missing(self) -> float:
        """Parameters of the members that do not come from their mother."""
        pairs = zip(self.cluster.members, self.cluster.shared, strict=True)
        return sum((1 - share) * member.model.count_params() for member, share in pairs)

    def mother(self) -> keras.Model:
        """The trained mother."""
        return self.method.trained_mother(self.cluster.members[0].label)


class AdaptiveMotherNets(Method):
    """MotherNets whose number of clusters is found while training, within a budget of time.

    It begins with `n_clusters` MotherNets. Then, round after round, the cluster whose members
    inherit least is split in two, if the predicted time fits the budget. Both parts get a
    MotherNet that is hatched from the old one and trained on for half of its epochs, and their
    members are hatched anew. The new members take the place of the old ones if the ensemble's
    loss on the validation data falls; if not, the old ones stay and the run ends. Every
    decision is told with its reason, in `decisions` and in `log.txt` of the run directory.

    Args:
        members: See `Method`.
        budget: Seconds, or a text such as "30m": the time that the jobs may take together. The
            first round is trained even if it takes longer.
        n_clusters: Number of MotherNets to begin with.
        max_clusters: Number of them at which the run ends at the latest; `None` for as many as
            there are members.
        seed: See `Method`.
        **settings: Other settings of `MotherNets`.

    Attributes:
        decisions: What was decided and why, a sentence each.
        histories: What came of each round.

    Raises:
        MotherNetsError: The members do not match each other, or a setting cannot be used.

    Example:
        >>> method = AdaptiveMotherNets(members, budget="10m")  # doctest: +SKIP
        >>> method.compile("adam", "sparse_categorical_crossentropy")  # doctest: +SKIP
        >>> method.fit(x, y, validation_split=0.1, epochs=10)  # doctest: +SKIP
        >>> print(*method.decisions)  # doctest: +SKIP

    Source: the authors of MotherNets (Wasay et al., MLSys 2020) name adding clusters adaptively
    as a way to go on; what is split, when and why it ends is ours.
    """

    def __init__(
        self,
        members: Sequence[keras.Model | Member],
        *,
        budget: float | str,
        n_clusters: int = 1,
        max_clusters: int | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(members, seed=seed)
        for name in ("tree", "chain"):
            if settings.get(name):
                raise MotherNetsError(f"`{name}` says nothing here: clusters are split on the way")
        self.budget = seconds_of(budget)
        self._given = dict(settings)
        self._first = MotherNets(members, n_clusters=n_clusters, seed=seed, **settings)
        most = len(self._members) if max_clusters is None else max_clusters
        most = whole_number("max_clusters", most, self._first.n_clusters)
        self.max_clusters = min(most, len(self._members))
        self.decisions: list[str] = []
        self.histories: list[History] = []
        self._chosen: dict[str, MotherNets] = {}
        self._log: Path | None = None

    def describe(self) -> str:
        """The method and its settings in one line."""
        return f"Adaptive{self._first.describe()}, budget={self.budget:g} s"

    def design(self, schedule: Schedule) -> Design:
        """The jobs of the first round; those of later ones are not known beforehand."""
        return self._first.design(schedule)

    def fit(
        self, x: Any, y: Any = None, *, epochs: int, run_dir: Any = None, **arguments: Any
    ) -> History:
        """Train, round after round.

        Args:
            x: As in `Method.fit`, and so are all others; validation data are needed.
            y: Targets.
            epochs: Epochs of the first MotherNets.
            run_dir: Folder that gets a run directory for each round, and `log.txt`. A run that was
                stopped goes on there.
            **arguments: As in `Method.fit`.

        Returns:
            The history of all rounds; names of jobs of later ones begin with "round_2/", ...

        Raises:
            MotherNetsError: As in `Method.fit`.
            DataError: There are no validation data.
        """
        data = read_data(x, y, **{name: arguments[name] for name in _DATA if name in arguments})
        if data.validation is None:
            raise DataError(
                "Whether a MotherNet is worth adding is seen on validation data; there are none",
                fix="Give `validation_data` or `validation_split`",
            )
        self._begin(run_dir)
        fitted = {"epochs": epochs, **arguments}
        self._train(self._first, x, y, run_dir, fitted)
        loss = self._loss(data)
        self._tell(f"Round 1 took {duration_text(self.seconds)}; validation loss {loss:.4f}")
        parts = Part.all_of(self._first, range(len(self._members)))
        fitted["epochs"] = max(1, epochs // 2)
        while (found := self._next(parts, x, y, fitted)) is not None:
            part, method = found
            before = dict(self._chosen)
            self._train(method, x, y, run_dir, fitted)
            new = self._loss(data)
            if not new < loss:
                self._chosen, self._trained = before, None
                self._tell(
                    f"The validation loss does not fall, {loss:.4f} to {new:.4f}: the members"
                    " before stay, and no MotherNet is added any more"
                )
                break
            self._tell(f"The validation loss falls, {loss:.4f} to {new:.4f}: the new members stay")
            loss = new
            parts.remove(part)
            parts += Part.all_of(method, part.members)
        return self._history()

    @property
    def seconds(self) -> float:
        """Wall clock seconds that the jobs have taken, one after the other."""
        return sum(history.ledger.total() for history in self.histories)

    @property
    def finished_names(self) -> list[str]:
        """Names of the members that `members` gives.

        Raises:
            MotherNetsError: `fit` has not finished.
        """
        if not self._chosen:
            return self._first.finished_names
        return [name for name in self.member_names if name in self._chosen]

    @property
    def members(self) -> list[keras.Model]:
        """The trained members, in the order in which they were given; each of its best round.

        Raises:
            MotherNetsError: `fit` has not finished.
        """
        if self._trained is None:
            names = self.finished_names
            self._trained = [
                self._chosen[name].members[self._chosen[name].finished_names.index(name)]
                for name in names
            ]
        return list(self._trained)

    def last_run(self) -> tuple[Plan, RunContext]:
        """There is none of all: each round has a run of its own.

        Raises:
            MotherNetsError: Always; it says where the runs are.
        """
        raise MotherNetsError(
            "AdaptiveMotherNets have a run for each round, and none of all together",
            fix="Give the folder of a round, `run_dir/round_1` for the first",
        )

    def finished_members(self) -> list[Member]:
        """The members that the last `fit` has finished, even if it was stopped."""
        if not self._chosen:
            return self._first.finished_members()
        return [
            Member(model, name)
            for model, name in zip(self.members, self.finished_names, strict=True)
        ]

    def _begin(self, run_dir: Any) -> None:
        if self._settings is None:
            raise MotherNetsError("`compile` comes before `fit`", fix="Call `compile` with a loss")
        self.decisions, self.histories, self._chosen = [], [], {}
        self._log = None if run_dir is None else Path(run_dir, "log.txt")

    def _train(
        self, method: MotherNets, x: Any, y: Any, run_dir: Any, fitted: dict[str, Any]
    ) -> None:
        """Train a round, and let its members take the place of those before."""
        method._settings = self._settings
        folder = None if run_dir is None else Path(run_dir, f"round_{len(self.histories) + 1}")
        self.histories.append(method.fit(x, y, run_dir=folder, **fitted))
        self._chosen |= dict.fromkeys(method.finished_names, method)
        self._trained, self._run = None, method._run

    def _next(
        self, parts: Sequence[Part], x: Any, y: Any, fitted: dict[str, Any]
    ) -> tuple[Part, MotherNets] | None:
        """The cluster to split, and the method that does; `None`, and why, if none is."""
        if len(parts) >= self.max_clusters:
            self._tell(f"There are {len(parts)} clusters: none is added any more")
            return None
        part = max((one for one in parts if len(one.members) > 1), key=lambda one: one.missing)
        method = self._split(part)
        plan = method.plan(x, y, **{k: v for k, v in fitted.items() if k in (*_DATA, *_PLANNED)})
        seconds, left = self._predicted(plan), self.budget - self.seconds
        names = ", ".join(member.label for member in part.cluster.members)
        if seconds > left:
            self._tell(
                f"To split {names} would take {duration_text(seconds)}, and"
                f" {duration_text(max(0.0, left))} are left: no MotherNet is added any more"
            )
            return None
        share = sum(part.cluster.shared) / len(part.cluster.shared)
        self._tell(
            f"Splits {names}: {part.missing:,.0f} parameters do not come from their MotherNet, more"
            f" than in other clusters ({share:.0%} inherited); {duration_text(seconds)} of"
            f" {duration_text(left)} left"
        )
        return part, method

    def _split(self, part: Part) -> MotherNets:
        """Two MotherNets in place of one, both hatched from it, and so is what stands alone."""
        mother, number = part.mother(), len(self.histories) + 1
        seed = self.seed + number
        grown = [
            replace(self._members[index], model=surgery.hatch(mother, self._members[index].model))
            for index in part.members
        ]
        settings = dict(self._given)
        if settings.get("member_epochs") is None:
            settings["member_epochs"] = part.method.hatched_epochs
        method = MotherNets(grown, n_clusters=2, seed=seed, **settings)
        method.begin_mothers_from(mother)
        return method

    def _predicted(self, plan: Plan) -> float:
        """Seconds of a plan: by what is known of this device, else by the rounds before."""
        if plan.forecast is not None:
            return plan.forecast.total
        model = SecondsModel.fit(row for history in self.histories for row in history.ledger)
        return sum(model(job) for job in plan)

    def _loss(self, data: TrainingData) -> float:
        """The ensemble's loss on the validation data."""
        assert self._settings is not None and data.validation is not None, "checked"
        names = self.finished_names
        named = [Member(model, name) for model, name in zip(self.members, names, strict=True)]
        ensemble = combine(named)
        compile_ensemble(ensemble, self._settings, loss_specs(self._settings.loss, named[0].model))
        batches = data.validation.evaluation_batches(data.validation_batch_size or 128, 1)
        found = ensemble.evaluate(batches, steps=data.validation_steps, verbose=0, return_dict=True)
        return float(found["loss"])

    def _tell(self, text: str) -> None:
        self.decisions.append(text)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", file=file)

    def _history(self) -> History:
        records = []
        for number, history in enumerate(self.histories, start=1):
            prefix = "" if number == 1 else f"round_{number}/"
            records += history.renamed(prefix)
        return History(records)


_PLANNED = ("epochs", "batch_size", "monitor")
