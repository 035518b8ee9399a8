"""What all methods have in common: compile, plan, fit, members, ensemble."""

from __future__ import annotations

import abc
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_mothernets.ensembles.combine import check_alike, combine
from keras_mothernets.errors import MotherNetsError, check_arguments, whole_number
from keras_mothernets.graph import PerModel, reading_once
from keras_mothernets.member import Member, as_members
from keras_mothernets.methods.arguments import check_training, monitor_of, read_arguments
from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.ensemble_settings import check_votes, compile_ensemble
from keras_mothernets.planning import (
    Network,
    ReadNetworks,
    forecast_if_known,
    learn,
    untouched,
)
from keras_mothernets.training.check_distribute import check_strategy, distributed
from keras_mothernets.training.check_run import check_run, check_schedule
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import TrainingData
from keras_mothernets.training.executor import Executor, Local
from keras_mothernets.training.failures import check_on_failure
from keras_mothernets.training.fingerprint import architecture_fingerprint
from keras_mothernets.training.job import Job, Scratch, Start
from keras_mothernets.training.losses import loss_specs
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.record import History
from keras_mothernets.training.run_directory import RunDirectory
from keras_mothernets.training.run_plan import check_executor, display, opened, run_plan
from keras_mothernets.training.seeds import derive_seed
from keras_mothernets.training.settings import CompileSettings
from keras_mothernets.training.store import MemoryStore, Store, store_that_grows

MEASURES = 5.0  # seconds that a plan may measure layers for


class Method(abc.ABC):
    """A way to get a trained ensemble. A method only says which jobs it makes, in `design`.

    Args:
        members: Built Functional or Sequential models, or `km.Member`s, that agree in the
            shapes of their inputs and outputs. They are never modified.
        seed: Decides about everything random that the method adds: the order of the examples
            of each job, dropout and augmentation. Initial weights are those of your models.

    Raises:
        MotherNetsError: There are no members, or they do not match each other.
    """

    def __init__(self, members: Sequence[keras.Model | Member], *, seed: int = 0) -> None:
        self._members = as_members(list(members) if isinstance(members, tuple) else members)
        check_alike(self._members)
        check_training(self._members)
        self.seed = whole_number("seed", seed, 0)
        self._settings: CompileSettings | None = None
        self._run: tuple[Plan, RunContext] | None = None
        self._last: tuple[Plan, RunContext] | None = None  # which may have been stopped
        self._trained: list[keras.Model] | None = None
        # What plans ask of networks again and again.
        self._identities = PerModel(_identity)
        self._read_networks: ReadNetworks = PerModel(Network.of)
        self._grows = False  # whether a run may have jobs that it did not begin with

    @abc.abstractmethod
    def design(self, schedule: Schedule) -> Design:
        """The jobs of this method; trains nothing.

        Args:
            schedule: Epochs, batch size, and which epoch is kept.

        Returns:
            The jobs, and the networks that they train.
        """

    def describe(self) -> str:
        """The method and its settings in one line; part of the plan.

        Returns:
            A text such as `FullData(seed=0)`.
        """
        return f"{type(self).__name__}(seed={self.seed})"

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **settings: Any
    ) -> None:
        """Configure training, as `keras.Model.compile` does.

        Every job gets an optimizer, metrics and losses of its own.

        Args:
            optimizer: Name or object as in Keras, or a function of the job that returns one:
                `lambda job: SGD(CosineDecay(0.1, job.steps))` spans each job's own length.
            loss: As in Keras.
            metrics: As in Keras.
            **settings: `loss_weights`, `weighted_metrics`, `run_eagerly`,
                `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in Keras.

        Raises:
            MotherNetsError: A setting cannot be used.
        """
        check_arguments("compile", settings, CompileSettings.__dataclass_fields__)
        settings["metrics"] = metrics
        for name in ("metrics", "weighted_metrics"):
            if isinstance(settings.get(name), (str, keras.metrics.Metric)):
                settings[name] = [settings[name]]
        self._settings = CompileSettings(optimizer, loss, **settings)

    def plan(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int = 128,
        monitor: str | None = "val_loss",
        **data_arguments: Any,
    ) -> Plan:
        """What `fit` with the same arguments would do; trains nothing.

        Args:
            x: As in `fit`, and so are all others.
            y: Targets.
            epochs: Epochs.
            batch_size: Examples in one step.
            monitor: Metric by which the best epoch is kept.
            **data_arguments: As in `fit`.

        Returns:
            A plan that prints as a table. Once `km.measure_device()` has been called for this
            device, and `compile` for this method, it tells seconds, memory, the longest way and
            the price; layers of new sizes are measured then, for at most five seconds.

        Raises:
            MotherNetsError: An argument cannot be used, or the members have no plan.
            DataError: The data cannot be right.
        """
        data = read_arguments(Method.plan, x, y, data_arguments)
        self._identities.forget_changed()
        self._read_networks.forget_changed()
        with reading_once():
            plan, context = self._prepare(data, epochs, batch_size, monitor)
            if context is None:
                return plan
            known = self._read_networks
            return forecast_if_known(plan, context, seconds=MEASURES, networks=known)

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int = 128,
        monitor: str | None = "val_loss",
        callbacks: Any = None,
        verbose: str | int = "auto",
        run_dir: str | os.PathLike[str] | None = None,
        executor: Executor | None = None,
        on_failure: str = "stop",
        distribute: Any = None,
        **data_arguments: Any,
    ) -> History:
        """Train all members.

        Args:
            x: What `keras.Model.fit` takes: an array, a dict or list of arrays, a
                `tf.data.Dataset` or a `keras.utils.PyDataset`. Arrays are shuffled differently for
                every member and in every epoch; uint8 images stay uint8 in memory.
            y: Targets, for arrays.
            epochs: Number of passes over the data of a network that starts from scratch.
            batch_size: Examples in one step; data sets bring their own.
            monitor: With validation data, the metric by which the best epoch of each job is kept,
                as Keras names it: "val_loss", "val_accuracy". `None` keeps the last epoch. Whether
                more is better is known as to `keras.callbacks.EarlyStopping`; one of yours with
                `restore_best_weights=True` goes before. The last epoch is also kept by the jobs of
                `SnapshotEnsemble` and `FastGeometricEnsemble`, and where the optimizer averages
                weights (`use_ema`), since that average is made at the end.
            callbacks: Keras callbacks, copied for each job, or a function of the job
                that returns a list of them.
            verbose: 0 silent; 1 or "auto" a live display, or lines where there is no terminal;
                2 lines.
            run_dir: Folder that keeps the run. An unfinished run of the same plan goes on after
                its last epoch, a finished one gives its result and trains nothing. A run of another
                plan is refused; networks, data, settings, callbacks and the code of your own
                functions belong to the plan. Other initial weights are only warned of.
            executor: Runs the jobs: `km.Local()` by default, one after the other;
                `km.Processes(n)` in several processes of this machine, `km.Ray()` in a cluster.
            on_failure: What happens when a job fails. "stop" ends the run; what is finished stays
                in `run_dir`. "skip" goes on: where the loss is no number any more, or has grown a
                thousandfold, the job ends with its last good epoch, and if there is none, or
                something else failed, it is left out, with those that wait for it. "retry" is the
                same after three more tries, each with a half of the learning rate before.
            distribute: A `tf.distribute.MirroredStrategy` or `OneDeviceStrategy`: each job, one
                after the other, trains on all of its devices. Its batch size must divide by their
                number. The members are plain models all the same. See `docs/DISTRIBUTION.md`.
            **data_arguments: `validation_data`, `validation_split`, `sample_weight`,
                `class_weight`, `shuffle`, `steps_per_epoch`, `validation_steps`,
                `validation_batch_size`, `validation_freq`, as in Keras.

        Returns:
            The history of all jobs, and the ledger.

        Raises:
            MotherNetsError: `compile` was not called, or an argument cannot be used.
            DataError: The data cannot be right, or do not fit a member.
            RunError: The run directory cannot be used, or a job cannot go on, or no member is
                finished.
            KeyboardInterrupt: After Ctrl-C, at the next step; what is kept is not hurt.
        """
        if self._settings is None:
            raise MotherNetsError("`compile` comes before `fit`", fix="Call `compile` with a loss")
        on_failure = check_on_failure(on_failure)
        executor = Local() if executor is None else executor
        check_executor(executor, distribute)
        check_strategy(distribute)
        data = read_arguments(Method.fit, x, y, data_arguments)
        self._identities.clear()  # even what does not show may have been changed
        plan, context = self._prepare(data, epochs, batch_size, monitor, callbacks)
        assert context is not None, "`compile` was called"
        if distribute is not None:
            plan, context = distributed(plan, context, distribute)
        if distribute is None:
            plan = forecast_if_known(plan, context)
        store: Store = MemoryStore() if run_dir is None else RunDirectory(run_dir, self._grows)
        if run_dir is None and self._grows and self._run is not None:
            store = store_that_grows(*self._run, plan)
        context = replace(
            context, store=store, progress=display(verbose, plan, store), on_failure=on_failure
        )
        check_run(plan, context)
        with opened(store, plan):
            self._run, self._trained, self._last = None, None, (plan, context)
            new = untouched(plan, context)
            records = run_plan(executor, plan, context)
        if isinstance(executor, Local):
            learn(plan, context, records, new)
        self._run = (plan, context)
        return History([records[job.name] for job in plan if job.name in records], context.failed)

    @property
    def member_names(self) -> list[str]:
        """Names of the members and of their jobs, in the order of `members`."""
        return [member.label for member in self._members]

    @property
    def finished_names(self) -> list[str]:
        """Names of the members that `members` gives: all but those that were left out.

        Raises:
            MotherNetsError: `fit` has not finished.
        """
        if self._run is None:
            raise MotherNetsError(
                "There are no trained members yet", fix="Call `compile` and `fit` first"
            )
        trained = {job.name for job in self._run[0]} - self._run[1].failed.keys()
        return [name for name in self.member_names if name in trained]

    def finished_members(self) -> list[Member]:
        """The members that the last `fit` has finished, even if it was stopped or has failed.

        Returns:
            Trained networks with their names; `km.combine` makes an ensemble of them.

        Example:
            >>> km.combine(method.finished_members())  # doctest: +SKIP
        """
        if self._last is None:
            return []
        plan, context = self._last
        finished = [
            plan[member.label]
            for member in self._members
            if any(job.name == member.label for job in plan)
            and context.store.record(plan[member.label]) is not None
        ]
        return [Member(context.trained(job), job.name) for job in finished]

    def last_run(self) -> tuple[Plan, RunContext]:
        """The plan of the last `fit` and what its jobs shared, also if it was stopped.

        Returns:
            The plan, and the context with networks, store and reasons of failures.

        Raises:
            MotherNetsError: There was none.

        Example:
            >>> plan, context = method.last_run()  # doctest: +SKIP
        """
        if self._last is None:
            raise MotherNetsError(
                "There is no run of this method yet", fix="Call `compile` and `fit` first"
            )
        return self._last

    @property
    def members(self) -> list[keras.Model]:
        """The trained members, compiled, in the order in which they were given.

        Those that were left out, as `history.failed` says, are not among them.

        Raises:
            MotherNetsError: `fit` has not finished.
        """
        if self._trained is None:
            finished = self.finished_names
            assert self._run is not None, "there are finished ones"
            plan, context = self._run
            self._trained = [context.trained(plan[name]) for name in finished]
        return list(self._trained)

    def ensemble(
        self,
        combine: str = "average",  # noqa: A002
        *,
        weights: Sequence[float] | None = None,
        logits: Any = None,
        name: str = "ensemble",
    ) -> keras.Model:
        """The trained members as one plain Functional model, compiled.

        It gives probabilities where the members give probabilities *or logits*, which is known
        from the loss; its loss is compiled with `from_logits=False` to match. Of a
        regression it gives the mean prediction.

        Args:
            combine: "average", "weighted" or "vote", see `km.combine`.
            weights: One number per member, with "weighted".
            logits: Whether the members give logits, where the loss does not tell, see
                `km.combine`.
            name: Name of the model.

        Returns:
            A model that evaluates, predicts, saves, loads, clones and exports without this package.

        Raises:
            MotherNetsError: `fit` has not finished, or an argument cannot be used, as
                votes where the loss is not one of classification.
        """
        return _ensemble(self, combine, weights, logits, name)

    def job(
        self, name: str, role: str, key: str, model: keras.Model, schedule: Schedule, **values: Any
    ) -> Job:
        """A job with a seed of its own, for `design`.

        Args:
            name: Name of the job.
            role: "member" or "mother".
            key: Key of the network.
            model: The network.
            schedule: Epochs and batch size.
            **values: Fields of `Job` that differ: `start`, `epochs`, `bootstrap`, `monitor`.

        Returns:
            The job.
        """
        start: Start = values.pop("start", Scratch())
        epochs = values.pop("epochs", schedule.epochs)
        fingerprint, parameters = self._identities(model)
        return Job(
            name=name,
            role=role,
            network=key,
            start=start,
            epochs=epochs,
            monitor=values.pop("monitor", schedule.monitor) if epochs else "",
            batch_size=schedule.batch_size,
            steps_per_epoch=schedule.steps_per_epoch,
            seed=derive_seed(self.seed, name),
            parameters=parameters,
            architecture=fingerprint,
            **values,
        )

    def member_job(self, member: Member, schedule: Schedule, **values: Any) -> Job:
        """The job of a member that is trained for all epochs, or for its own number of them.

        Args:
            member: The member.
            schedule: Epochs and batch size.
            **values: As in `job`.

        Returns:
            The job.
        """
        values.setdefault("epochs", schedule.epochs if member.epochs is None else member.epochs)
        return self.job(member.label, "member", member.label, member.model, schedule, **values)

    def _prepare(
        self,
        data: TrainingData,
        epochs: int,
        batch_size: int,
        monitor: str | None,
        callbacks: Any = None,
    ) -> tuple[Plan, RunContext | None]:
        """The plan, and what its jobs share; `None` before `compile`."""
        epochs, batch_size = check_schedule(epochs, batch_size, data)
        size = data.batch_size(batch_size)
        schedule = Schedule(epochs, size, data.steps(size), monitor_of(monitor, data))
        with reading_once():
            design = self.design(schedule)
        if self._settings is None:
            return Plan(self.describe(), design.jobs, data.fingerprint()), None
        context = RunContext(
            networks=design.networks,
            data=data,
            settings=self._settings,
            members={**design.others, **{member.label: member for member in self._members}},
            callbacks=callbacks,
        )
        jobs = tuple(context.described(job) for job in design.jobs)
        settings = self._settings.describe()
        return Plan(self.describe(), jobs, data.fingerprint(), settings), context


def _identity(model: keras.Model) -> tuple[str, int]:
    """Fingerprint and parameters of a network."""
    return architecture_fingerprint(model), model.count_params()


def _ensemble(
    method: Method, how: str, weights: Sequence[float] | None, logits: Any, name: str
) -> keras.Model:
    members = method.members
    assert method._run is not None, "there are members"
    settings = method._run[1].settings  # of the run; `compile` may have been called since
    names = method.finished_names
    named = [Member(model, label) for model, label in zip(members, names, strict=True)]
    specs = loss_specs(settings.loss, members[0])
    if how == "vote":
        check_votes(specs, members[0])
    model = combine(named, how, weights=weights, logits=logits, name=name)
    compile_ensemble(model, settings, specs)
    return model
