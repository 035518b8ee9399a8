"""One ensemble of a comparison: trained, and measured on held-out and test examples."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_mothernets.comparison.budget import budget_cost, epochs_within
from keras_mothernets.comparison.entry import Entry
from keras_mothernets.datasets import Dataset
from keras_mothernets.ensembles import EnsembleStatistics
from keras_mothernets.member import Member
from keras_mothernets.methods import Method
from keras_mothernets.reporting.compared import Cell, Row
from keras_mothernets.training.optimizers import OptimizerOfJob
from keras_mothernets.training.record import History


@dataclass(frozen=True, eq=False)
class Task:
    """What all ensembles of a comparison have in common.

    Args:
        make: Makes the members; called once per ensemble, after the seed has been set, so that
            every method begins with the same initial weights.
        data: Training, held-out and test examples.
        batch_size: Examples in one step.
        optimizer: Name for `OptimizerOfJob`.
        weight_decay: For the same.
        loss: A Keras loss.
    """

    make: Callable[[], Sequence[Member]]
    data: Dataset
    batch_size: int
    optimizer: str
    weight_decay: float
    loss: keras.losses.Loss


def prepare(entry: Entry, cell: Cell, task: Task) -> tuple[Method, int]:
    """The method of a cell, compiled, and the epochs that its budget is worth.

    Raises:
        MotherNetsError: The method refuses something, or the budget is too small for it.
    """
    keras.utils.clear_session()
    gc.collect()
    keras.utils.set_random_seed(cell.seed)
    members = list(task.make())
    method = entry.make(members, seed=cell.seed, learning_rate=cell.learning_rate)
    cost = budget_cost(members, cell.budget)
    epochs = epochs_within(entry, method, cost, fewest=entry.fewest_epochs(members))
    # Methods of one network bring the rates of every step themselves.
    is_constant = entry.method == "snapshots"
    optimizer = OptimizerOfJob(task.optimizer, cell.learning_rate, task.weight_decay, is_constant)
    method.compile(optimizer=optimizer, loss=task.loss, metrics=["accuracy"])
    return method, epochs


def train_cell(entry: Entry, cell: Cell, task: Task, run_dir: Path) -> list[Row]:
    """Train one ensemble, or go on where its run directory stands, and measure it.

    Args:
        entry: The method.
        cell: Budget, learning rate and seed.
        task: What all have in common.
        run_dir: Folder of the run.

    Returns:
        All figures of this ensemble.

    Raises:
        MotherNetsError: See `prepare` and `Method.fit`.
    """
    method, epochs = prepare(entry, cell, task)
    data = task.data
    history = method.fit(
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=task.batch_size,
        validation_data=(data.x_val, data.y_val),
        run_dir=run_dir,
        verbose=0,
    )
    test = EnsembleStatistics.of(method.members, data.x_test, data.y_test)
    held_out = EnsembleStatistics.of(method.members, data.x_val, data.y_val)
    rows = [
        *_of_jobs(history),
        *_of_members(test),
        *_of_ensemble(test, held_out, history),
        ("ensemble", "", "epochs", float(epochs)),
    ]
    return [Row(cell, *row) for row in rows]


Figure = tuple[str, str, str, float]  # part, name, measure, value


def _of_jobs(history: History) -> Iterator[Figure]:
    for row in history.ledger:
        for measure in ("epochs", "wall_seconds", "cpu_seconds", "flops", "peak_memory"):
            value = getattr(row, measure)
            if value is not None:
                yield "job", row.job, measure, float(value)


def _of_members(test: EnsembleStatistics) -> Iterator[Figure]:
    for name in test.predictions.names:
        yield "member", name, "test_error", 1 - test.accuracy([name])
        yield "member", name, "test_nll", test.nll([name])
    for size in range(1, test.predictions.num_members + 1):
        first = list(range(size))
        yield "size", str(size), "test_error", 1 - test.accuracy(first)
        yield "size", str(size), "test_nll", test.nll(first)
        yield "size", str(size), "test_calibrated_nll", test.calibrated_nll(first)


def _of_ensemble(
    test: EnsembleStatistics, held_out: EnsembleStatistics, history: History
) -> Iterator[Figure]:
    names = range(test.predictions.num_members)
    errors = [1 - test.accuracy([name]) for name in names]
    figures = {
        "test_error": 1 - test.accuracy(),
        "test_nll": test.nll(),
        "test_calibrated_nll": test.calibrated_nll(),
        "test_brier": test.brier(),
        "test_ece": test.ece(),
        "oracle_error": 1 - test.oracle_accuracy(),
        "mean_member_error": sum(errors) / len(errors),
        "best_member_error": min(errors),
        "validation_error": 1 - held_out.accuracy(),
        "validation_nll": held_out.nll(),
    }
    if len(errors) > 1:
        figures["disagreement"] = test.diversity().disagreement
    for measure in ("wall_seconds", "cpu_seconds", "flops"):
        figures[measure] = history.ledger.total(column=measure)
    for measure, value in figures.items():
        yield "ensemble", "", measure, float(value)
