"""MotherNets: train what the members have in common once, then hatch and train on each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets import surgery
from keras_mothernets.clustering import Cluster, cluster
from keras_mothernets.ensembles.combine import check_alike
from keras_mothernets.errors import (
    MotherNetsError,
    SurgeryError,
    finite_number,
    naming,
    whole_number,
)
from keras_mothernets.graph import reading_once
from keras_mothernets.member import Member, as_members
from keras_mothernets.methods.arguments import check_training, monitor_of, read_arguments
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.method import Method
from keras_mothernets.methods.mothernets_settings import (
    BEYOND,
    MEMBER_SHARE,
    MOTHER_PART,
    if_given,
    number_of_clusters,
    truth,
)
from keras_mothernets.methods.proposing import MEASURES, proposals
from keras_mothernets.methods.proposing import without as left_of
from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.planning import DeviceCosts, Predictor
from keras_mothernets.planning.choice import Proposals
from keras_mothernets.surgery import HatchPlan
from keras_mothernets.training.check_run import check_schedule
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.job import Hatch, Job, Scratch, Start
from keras_mothernets.training.seeds import derive_seed


class MotherNets(Method):
    """Trains one mother per cluster, hatches the members from it exactly, and trains them on.

    A mother that is equal to a member is trained once, to her end, and is that member; it trains
    for the epochs of `fit`, or for its own `Member.epochs` if these are more. A member that is
    alone in its cluster is trained as with `FullData`.

    The weights that your models come with are used by these two alone: a mother starts anew, and
    hatched members from her. What is frozen (`trainable = False`) with the same weights in all
    members of a cluster, a pretrained base that they share, is kept in the mother too.

    Args:
        members: See `Method`.
        n_clusters: Number of clusters, each with a mother: 1 is fastest, as many as members
            is `FullData`. On CIFAR-10 1 was best for short budgets, and 2 for a longer one.
        member_epochs: Epochs of each hatched member: by default a tenth of the mother's, and a
            half where she was trained to her end. `Member.epochs` goes before.
        noise: Standard deviation of the noise that is added at hatching; 0 keeps the function.
        shrink: Factor on inherited weights, 0 to 1 (shrink and perturb); 1 keeps the function.
        seed: See `Method`.
        mother_part: Part of her learning rate schedule that a mother trains, above 0 and at most 1.
            She trains for the epochs of `fit`, and `job.steps`, which a schedule should span, is
            that many times longer: members are hatched while the rate is still high, and only
            theirs falls to its end. 1 is the paper's. By default it is 0.25, which was better at
            all budgets tried on CIFAR-10 (see docs/RESULTS.md), but 1 for a mother that is a
            member, so that no network is trained by two jobs. If you give a number such a member
            goes on from her as the others do: 0.25 was far better there too.
        mother_average: Momentum of a running average of a mother's weights over her steps, such as
            0.99: members are then hatched from the average, with its statistics of
            BatchNormalization measured anew. `None` takes her weights as they are. It says nothing
            of a mother who is a member, unless `mother_part` is given. With twice the learning rate
            and fewer epochs for members it was better wherever we tried it: docs/RESULTS.md.
        member_rate: Factor on the learning rate of hatched members.
        member_patience: Epochs without a better validation after which a hatched member stops;
            `None` trains all of `member_epochs`.
        fresh_layers: Number of last layers of each hatched member that begin with the weights your
            model came with. It changes the function, and makes members more different.
        new_channels: "copies" of the mother's channels, as in the paper, or "fresh" ones, which
            learn from the first step on; see `km.hatch`.
        tree: Whether the mothers of several clusters are hatched from a mother of all. She trains
            for her part of the epochs of `fit`, so that epochs are shared at every level.
        chain: Number of narrower networks, each half as wide as the next, that come before the
            first mother and grow into her; the epochs of `fit` are shared out among them.

    Raises:
        MotherNetsError: The members do not match each other, or a setting cannot be used.

    Example:
        >>> import keras, numpy as np
        >>> nets = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(first, "relu"),
        ...                           keras.layers.Dense(second, "relu"), keras.layers.Dense(1)],
        ...                          name=name)
        ...         for name, first, second in (("early", 8, 3), ("late", 3, 8))]
        >>> method = MotherNets(nets, member_epochs=1)
        >>> method.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=2, verbose=0)
        >>> [(row.job, row.epochs, row.parameters) for row in history.ledger]
        [('mothernet', 2, 31), ('early', 1, 71), ('late', 1, 56)]

    Source: Wasay et al., MotherNets: Rapid Deep Ensemble Learning (MLSys 2020), sections 2.1-2.4.
    What follows `seed` is not in the paper. Shrink and perturb: Ash and Adams (NeurIPS 2020).
    Averaged weights: Polyak and Juditsky (1992), here as a running average of Keras' optimizers.
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
        mother_part: float | None = None,
        mother_average: float | None = None,
        member_rate: float = 1.0,
        member_patience: int | None = None,
        fresh_layers: int = 0,
        new_channels: str = "copies",
        tree: bool = False,
        chain: int = 0,
    ) -> None:
        super().__init__(members, seed=seed)
        self.n_clusters = number_of_clusters(n_clusters, len(self._members))
        self.member_epochs = if_given(whole_number, "member_epochs", member_epochs, 0)
        self.noise = finite_number("noise", noise)
        self.shrink = finite_number("shrink", shrink, most=1)
        self.mother_part = if_given(finite_number, "mother_part", mother_part, most=1, above=True)
        self.mother_average = if_given(
            finite_number, "mother_average", mother_average, most=0.99999, above=True
        )
        self.member_rate = finite_number("member_rate", member_rate, above=True)
        self.member_patience = if_given(whole_number, "member_patience", member_patience, 1)
        self.fresh_layers = whole_number("fresh_layers", fresh_layers, 0)
        self.new_channels = surgery.check_new_channels(new_channels)
        self.tree = truth("tree", tree)
        self.chain = whole_number("chain", chain, 0)
        self._clusters: list[Cluster] | None = None
        self._added: dict[int, list[int]] = {}
        self._shared: dict[str, keras.Model] = {}
        self._explanations: dict[str, HatchPlan] = {}
        self._own_mothers: dict[Cluster, Member | None] = {}
        self._siblings: dict[Any, MotherNets] = {}

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan."""
        names = ["n_clusters", "member_epochs", "noise", "shrink", "seed"]
        names += [name for name, usual in BEYOND.items() if getattr(self, name) != usual]
        return f"MotherNets({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

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
        """For every hatched network, by name, what it inherits from where; known after `plan`."""
        return dict(self._explanations)

    def add(self, member: keras.Model | Member) -> None:
        """Add a member, to be hatched from a mother as she is.

        The next `fit` with the same arguments, and the same `run_dir` if there is one, trains it
        alone: finished jobs are finished. Members that were trained elsewhere need none of this:
        `km.combine([*method.members, other])`.

        Args:
            member: The new member; of the mothers from which it can be hatched, that one becomes
                its mother from whom it inherits most.

        Raises:
            MotherNetsError: It does not match the others, or cannot be hatched from any mother.
        """
        new = as_members([*self._members, member])[-1]
        check_alike([*self._members, new])
        check_training([new])
        number = self._closest(new)
        self._added.setdefault(number, []).append(len(self._members))
        self._members.append(new)
        self._grows = True

    def propose(
        self,
        x: Any,
        y: Any = None,
        *,
        budget: float | str | None = None,
        usd: float | None = None,
        price: float = 0.9,
        epochs: int = 20,
        clusters: Sequence[int] | None = None,
        workers: Sequence[int] = (1,),
        without: str | Sequence[str] = (),
        faster: float = 1.0,
        batch_size: int = 128,
        monitor: str | None = "val_loss",
        **data_arguments: Any,
    ) -> Proposals:
        """Say how many clusters and epochs fit a budget, before anything is trained.

        The device must have been measured (`km.measure_device()`), and `compile` comes first, too.
        Asked again, most is known already. Up to 8 members all numbers of clusters are looked at;
        beyond that, from one on, until two in a row were worse.

        Args:
            x: As in `fit`, and so are `y`, `batch_size`, `monitor` and the data arguments.
            y: Targets.
            budget: Time that there is: seconds, or a text such as "30m".
            usd: Money that there is, in USD, in place of time.
            price: USD per hour of this machine; 0.9 is the price of the slower of the two machines
                that the paper compares.
            epochs: Without a budget: the epochs for which times are compared.
            clusters: Numbers of clusters to look at.
            workers: Numbers of processes to choose from, such as `(1, 2)`; how much slower jobs are
                side by side is measured when first asked.
            without: Names of members to leave out: what if they were not there?
            faster: What if the device were so many times as fast?
            batch_size: Examples in one step.
            monitor: As in `fit`.
            **data_arguments: As in `fit`.

        Returns:
            An option for each number of clusters; it prints as a table, and `best` is one of them:
            `MotherNets(members, n_clusters=best.n_clusters)`, then `fit(..., epochs=best.epochs)`.

        Raises:
            MotherNetsError: The device has not been measured, the budget is too short, or an
                argument cannot be used.

        Example:
            >>> print(method.propose(x, y, budget="30m"))  # doctest: +SKIP

        Source: the design space of the paper's section on clusters; costs are put together as in
        Idreos et al., "The Data Calculator" (SIGMOD 2018).
        """
        if self._settings is None:
            raise MotherNetsError(
                "`compile` comes before `propose`", fix="Call `compile` with a loss"
            )
        data = read_arguments(MotherNets.propose, x, y, data_arguments)
        epochs, batch_size = check_schedule(epochs, batch_size, data)
        size = data.batch_size(batch_size)
        members = left_of(self._members, without)
        self._identities.forget_changed()
        self._read_networks.forget_changed()
        with reading_once():
            return proposals(
                RunContext({}, data, self._settings, {one.label: one for one in members}),
                lambda count: self._sibling(members, count).design,
                len(members),
                Schedule(epochs, size, data.steps(size), monitor_of(monitor, data)),
                Predictor(DeviceCosts.here(), seconds=MEASURES, networks=self._read_networks),
                budget=budget,
                usd=usd,
                price=price,
                clusters=clusters,
                workers=workers,
                faster=faster,
            )

    def _sibling(self, members: Sequence[Member], count: int) -> MotherNets:
        """The same method with another number of clusters; made once for the same members."""
        key = (tuple(id(member.model) for member in members), count)
        if key not in self._siblings:
            names = ("member_epochs", "noise", "shrink", "seed", *BEYOND)
            settings = {name: getattr(self, name) for name in names}
            sibling = MotherNets(members, n_clusters=count, **settings)
            sibling._identities = self._identities
            self._siblings[key] = sibling
        return self._siblings[key]

    def trained_mother(self, member: str) -> keras.Model:
        """The trained network that a member was hatched from; its own where it is the mother.

        Args:
            member: Name of the member.

        Returns:
            The network as it was when the member was hatched.

        Raises:
            MotherNetsError: `fit` has not finished.
        """
        if self._run is None or member not in self.finished_names:
            raise MotherNetsError(
                f"Member `{member}` has no trained mother yet", fix="Call `fit` first"
            )
        plan, context = self._run
        start = plan[member].start
        return context.trained(plan[start.parent if isinstance(start, Hatch) else member])

    @property
    def hatched_epochs(self) -> int | None:
        """Most epochs of a member after hatching in the last `fit`; `None` if none was hatched."""
        plan = self._run[0] if self._run else ()
        epochs = [job.epochs for job in plan if job.role == "member" and job.start.waits_for]
        return max(epochs, default=None)

    def begin_mothers_from(self, network: keras.Model) -> None:
        """Let mothers who are no members begin with the function of a smaller network.

        Args:
            network: A network that all of them can be hatched from, such as a mother of all.

        Raises:
            SurgeryError: A mother cannot be grown from it.
        """
        for number, group in enumerate(self.clusters, start=1):
            if self._member_that_is_mother(group) is None:
                name = "mothernet" if len(self.clusters) == 1 else f"mothernet_{number}"
                seed = derive_seed(self.seed, name, "hatch")
                self._shared[name] = surgery.hatch(network, group.mothernet, seed=seed, name=name)

    def _closest(self, member: Member) -> int:
        """Number of the cluster from whose mother a member inherits most."""
        shares: dict[int, float] = {}
        reasons: list[str] = []
        for number, group in enumerate(self.clusters, start=1):
            own = self._member_that_is_mother(group)
            mother = group.mothernet if own is None else own.model
            try:
                shares[number] = surgery.explain(mother, member.model).inherited
            except SurgeryError as error:
                reasons.append(str(error))
        if not shares:
            raise SurgeryError(
                f"Member `{member.label}` cannot be hatched from any mother of this ensemble",
                expected="a network that is at least as large as one of them, place by place",
                fix="Train it by itself and use `km.combine`, or begin a new ensemble with it",
                details="\n".join(reasons),
            )
        return max(shares, key=lambda number: shares[number])

    def design(self, schedule: Schedule) -> Design:
        """A job for every mother, then one for every member of its cluster.

        Raises:
            MotherNetsError: `member_patience` is set, and there is no validation.
            SurgeryError: The members of a cluster have no mother.
        """
        if self.member_patience is not None and not schedule.monitor:
            raise MotherNetsError(
                "`member_patience` waits for a better validation, and there is none",
                fix="Give `validation_data` and a `monitor`, or leave `member_patience` out",
            )
        networks = {member.label: member.model for member in self._members}
        epochs = self._epochs_of_levels(schedule.epochs)
        jobs: list[Job] = []
        if self._has_mother_of_all:
            jobs = self._line("mothernet_of_all", None, epochs[:-1], networks, schedule)
            epochs = epochs[-1:]
        above = jobs[-1] if jobs else None
        for number, group in enumerate(self.clusters, start=1):
            line = self._mother_line(group, number, above, epochs, networks, schedule)
            jobs += line
            jobs += [
                self._hatched_job(self._members[index], line[-1], networks, schedule)
                for index in (*group.indices, *self._added.get(number, ()))
                if self._members[index].label != line[-1].name
            ]
        return Design(tuple(jobs), networks)

    @property
    def _has_mother_of_all(self) -> bool:
        return self.tree and len(self.clusters) > 1

    def _epochs_of_levels(self, epochs: int) -> list[int]:
        """Epochs of the networks that come one after the other, down to the mother of a cluster."""
        count = self.chain + self._has_mother_of_all + 1
        if epochs < count:
            raise MotherNetsError(
                "Every network from the first of the chain to a mother needs an epoch",
                expected=f"`epochs` of at least {count}",
                received=epochs,
            )
        each = epochs // count
        return [each] * (count - 1) + [epochs - each * (count - 1)]

    def _mother_line(
        self,
        group: Cluster,
        number: int,
        above: Job | None,
        epochs: list[int],
        networks: dict[str, keras.Model],
        schedule: Schedule,
    ) -> list[Job]:
        """The jobs that lead to a cluster's mother; the last is hers, or that of a member."""
        own = self._member_that_is_mother(group)
        is_alone = len(group.indices) == 1
        name = "mothernet" if len(self.clusters) == 1 else f"mothernet_{number}"
        self._shared.setdefault(name, group.mothernet if own is None else own.model)
        if own is None or (not is_alone and self.mother_part not in (None, 1)):
            return self._line(name, above, epochs, networks, schedule)
        line = [] if is_alone else self._line(name, above, epochs, networks, schedule, last=False)
        parent = line[-1] if line else above
        before = schedule.epochs - epochs[-1] if parent is not None else 0
        wanted = schedule.epochs if own.epochs is None else own.epochs
        if not is_alone:  # the others hatch from it, and need a trained mother
            wanted = max(wanted, schedule.epochs)
        start = self._start(own.label, own.model, parent, networks)
        return [*line, self.member_job(own, schedule, start=start, epochs=max(1, wanted - before))]

    def _line(
        self,
        name: str,
        parent: Job | None,
        epochs: list[int],
        networks: dict[str, keras.Model],
        schedule: Schedule,
        *,
        last: bool = True,
    ) -> list[Job]:
        """The jobs of a network and of narrower ones before it, one for each number of epochs.

        Args:
            name: Name of the network.
            parent: The job that the first one is hatched from.
            epochs: Epochs of each.
            networks: Models by key, to be added to.
            schedule: Epochs and batch size.
            last: Whether to make the job of the network itself too.
        """
        jobs: list[Job] = []
        for step, count in enumerate(epochs if last else epochs[:-1], start=1):
            smaller = len(epochs) - step
            model = self._network(name, smaller)
            key = f"{name}_step_{step}" if smaller else name
            while key in networks:
                key += "_"
            networks[key] = model
            start = self._start(key, model, parent, networks)
            span = math.ceil(count / (self.mother_part or MOTHER_PART))
            jobs.append(
                self.job(
                    key, "mother", key, model, schedule, start=start, epochs=count,
                    schedule_epochs=None if span == count else span,
                    average=self.mother_average, renews_statistics=self.mother_average is not None,
                )
            )  # fmt: skip
            parent = jobs[-1]
        return jobs

    def _network(self, name: str, smaller: int) -> keras.Model:
        """A shared network, or one that is half as wide as often as is said; made once."""
        key = f"{name}/{smaller}" if smaller else name
        if key not in self._shared:
            if smaller:
                whole, seed = self._network(name, 0), derive_seed(self.seed, key)
                self._shared[key] = surgery.narrow(whole, 0.5**smaller, name=name, seed=seed)
            else:
                mothers = [group.mothernet for group in self.clusters]
                self._shared[key] = mothernet(mothers, name=name, seed=self.seed)
        return self._shared[key]

    def _member_that_is_mother(self, group: Cluster) -> Member | None:
        if group not in self._own_mothers:
            self._own_mothers[group] = self._found_mother(group)
        return self._own_mothers[group]

    def _found_mother(self, group: Cluster) -> Member | None:
        inside = [self._members[index] for index in group.indices]
        if len(inside) == 1:
            return inside[0]
        mother = group.mothernet
        size = mother.count_params()
        # Architectures are read for the comparison; parameters are counted at once.
        alike = (member for member in inside if member.model.count_params() == size)
        return next((one for one in alike if same_architecture(mother, one.model)), None)

    def _start(
        self,
        name: str,
        model: keras.Model,
        parent: Job | None,
        networks: dict[str, keras.Model],
        **changes: Any,
    ) -> Start:
        """Hatched from a parent, if there is one; proves that this can be done."""
        if parent is None:
            return Scratch()
        if name not in self._explanations:
            mother = networks[parent.network]
            is_member = any(member.label == name for member in self._members)
            with naming(f"{'Member' if is_member else 'Mother'} `{name}`"):
                explanation = surgery.explain(mother, model)
                _check_frozen(surgery.lost_layers(explanation, mother, model))
            self._explanations[name] = explanation
        return Hatch(
            parent=parent.name,
            seed=derive_seed(self.seed, name, "hatch"),
            inherited=float(self._explanations[name].inherited),
            new_channels=self.new_channels,
            **changes,
        )

    def _hatched_job(
        self, member: Member, mother: Job, networks: dict[str, keras.Model], schedule: Schedule
    ) -> Job:
        start = self._start(
            member.label, member.model, mother, networks, noise=float(self.noise),
            shrink=float(self.shrink), fresh_layers=self.fresh_layers,
        )  # fmt: skip
        epochs = self._epochs_after_hatching(member, mother, schedule)
        return self.member_job(
            member, schedule, start=start, epochs=epochs, rate=float(self.member_rate),
            patience=self.member_patience,
        )  # fmt: skip

    def _epochs_after_hatching(self, member: Member, mother: Job, schedule: Schedule) -> int:
        if member.epochs is not None:
            return member.epochs
        if self.member_epochs is not None:
            return self.member_epochs
        share = MEMBER_SHARE[mother.schedule_epochs is None]
        return max(1, math.ceil(share * schedule.epochs))


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
