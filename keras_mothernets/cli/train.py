"""`keras-mothernets train`: an ensemble, a data set, a method."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from typing import Any

import keras

from keras_mothernets import datasets, reporting
from keras_mothernets.cli.hints import slow_statistics
from keras_mothernets.cli.kept_command import keeping_command
from keras_mothernets.cli.outcome import DONE, LEFT_OUT, Outcome
from keras_mothernets.cli.proposal_file import take_proposal
from keras_mothernets.cli.sources import (
    check_source,
    gives_probabilities,
    members_for,
)
from keras_mothernets.comparison import ONE_NETWORK, Entry
from keras_mothernets.datasets import Dataset
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member
from keras_mothernets.methods import Method, MotherNets
from keras_mothernets.reporting import Result
from keras_mothernets.training import History, Processes, TensorBoard
from keras_mothernets.training.files import check_writable
from keras_mothernets.training.optimizers import LEARNING_RATES, OptimizerOfJob

# Options, and the methods that they say something to.
OWN_OPTIONS = {
    "member_epochs": ("mothernets",),
    "clusters": ("mothernets",),
    "network": ONE_NETWORK,
}


def run(arguments: argparse.Namespace) -> Outcome:
    """Train, report, save.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: Something does not fit, or a file cannot be written.
    """
    if arguments.plan is not None:
        take_proposal(arguments)
    _check(arguments)
    tensorboard = TensorBoard(arguments.tensorboard) if arguments.tensorboard else None
    data = datasets.load(
        arguments.dataset,
        data_dir=arguments.data_dir,
        validation=arguments.validation,
        seed=arguments.seed,
    )
    print(data)
    keras.utils.set_random_seed(arguments.seed)  # the initial weights of new networks
    members = members_for(arguments, data)
    method = make_method(arguments, members)
    compile_for(method, members, optimizer_of(arguments))
    training = {"epochs": arguments.epochs, "batch_size": arguments.batch_size}
    steps = arguments.epochs * math.ceil(len(data.x_train) / arguments.batch_size)
    if hint := slow_statistics(members, steps):
        print(f"\n{hint}\n")
    if arguments.dry_run:
        plan = method.plan(data.x_train, data.y_train, **training)
        print(plan)
        return Outcome({"jobs": [asdict(job) for job in plan]})
    with keeping_command(arguments):
        history = method.fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val, data.y_val) if len(data.x_val) else None,
            run_dir=arguments.run_dir,
            executor=Processes(arguments.workers) if arguments.workers > 1 else None,
            on_failure=arguments.on_failure,
            callbacks=tensorboard,
            **training,
        )
    if arguments.report is None and arguments.run_dir is not None and not arguments.no_report:
        arguments.report = arguments.run_dir / "report.html"
    result = reporting.result_of(type(method).__name__, method, history, data.x_test, data.y_test)
    _report(arguments, method, result, history, data)
    return Outcome(_told(arguments, result, history), LEFT_OUT if history.failed else DONE)


def _told(arguments: argparse.Namespace, result: Result, history: History) -> dict[str, Any]:
    """What `--json` prints of a training."""
    files = ("run_dir", "output", "plot", "report")
    return {
        "method": result.name,
        "test_accuracy": result.quality.accuracy,
        "test_accuracy_of_members": dict(
            zip(result.member_jobs, result.quality.member_accuracy, strict=True)
        ),
        "seconds": history.ledger.total(),
        "left_out": history.failed,
        "files": {name: str(p) for name in files if (p := getattr(arguments, name)) is not None},
    }


def make_method(arguments: argparse.Namespace, members: list[Member]) -> Method:
    """The method that the arguments name, with its settings."""
    settings = {"n_clusters": arguments.clusters, "network": arguments.network}
    given = {name: value for name, value in settings.items() if value is not None}
    entry = Entry(arguments.method, tuple(given.items()))
    method = entry.make(members, seed=arguments.seed, learning_rate=_learning_rate(arguments))
    if isinstance(method, MotherNets):
        method.member_epochs = arguments.member_epochs
    return method


def compile_for(method: Any, members: list[Member], optimizer: OptimizerOfJob) -> None:
    """Compile a method for classification with class numbers as labels.

    Args:
        method: The method.
        members: Its members; all give probabilities, or all give logits.
        optimizer: Makes each job's optimizer.

    Raises:
        MotherNetsError: Some members give probabilities and others logits.
    """
    loss_from_logits = not alike_outputs(members)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=loss_from_logits)
    method.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])


def alike_outputs(members: list[Member]) -> bool:
    """Whether all members give probabilities; else all give logits.

    Raises:
        MotherNetsError: Some members give probabilities and others logits.
    """
    kinds = {member.label: gives_probabilities(member.model) for member in members}
    if len(set(kinds.values())) > 1:
        raise MotherNetsError(
            "Some members end in a softmax and others do not",
            received=", ".join(
                f"`{name}` gives {'probabilities' if probabilities else 'logits'}"
                for name, probabilities in kinds.items()
            ),
            fix="End all members alike",
        )
    return all(kinds.values())


def _check(arguments: argparse.Namespace) -> None:
    """Find before anything is loaded what could not be done at the end."""
    for option, methods in OWN_OPTIONS.items():
        if getattr(arguments, option) is not None and arguments.method not in methods:
            name = option.replace("_", "-")
            raise MotherNetsError(f"--{name} says nothing to --method {arguments.method}")
    if arguments.output is not None and arguments.output.suffix != ".keras":
        raise MotherNetsError("--output must be a .keras file", received=f"`{arguments.output}`")
    check_source(arguments.ensemble, width=arguments.width, augment=arguments.augment)
    if arguments.output is not None:
        check_writable(arguments.output)
    if arguments.report is not None:
        check_writable(arguments.report)
    if arguments.plot is not None:
        reporting.check_picture(arguments.plot)


def _learning_rate(arguments: argparse.Namespace) -> float:
    return float(arguments.learning_rate or LEARNING_RATES[arguments.optimizer])


def optimizer_of(arguments: argparse.Namespace) -> OptimizerOfJob:
    """What makes each job's optimizer, as the arguments say."""
    rate = _learning_rate(arguments)
    # The cycles of snapshots bring rates of their own.
    is_snapshots = getattr(arguments, "method", None) == "snapshots"
    is_constant = arguments.constant or is_snapshots
    return OptimizerOfJob(arguments.optimizer, rate, arguments.weight_decay, is_constant)


def _report(
    arguments: argparse.Namespace,
    method: Method,
    result: Result,
    history: History,
    data: Dataset,
) -> None:
    print(f"\n{reporting.member_table(result)}\n\n{reporting.time_table([result])}")
    for why in history.failed.values():
        print(f"\n{why}")
    if arguments.plot is not None:
        title = f"{arguments.ensemble} on {data.name}"
        reporting.plot_results([result], arguments.plot, title=title)
        print(f"\nPicture: {arguments.plot}")
    if arguments.output is not None:
        method.ensemble().save(arguments.output)
        print(f"\nEnsemble, one Keras model: {arguments.output}")
    if arguments.report is not None:
        title = f"{arguments.ensemble} on {data.name}, by {arguments.method}"
        print(f"\nReport: {reporting.report(method, arguments.report, data=data, title=title)}")
