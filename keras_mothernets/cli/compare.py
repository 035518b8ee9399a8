"""`keras-mothernets compare`: several methods on one ensemble and data set, at equal costs."""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mothernets import comparison, datasets
from keras_mothernets.cli.sources import check_classes, check_source, load_ensemble
from keras_mothernets.cli.train import alike_outputs
from keras_mothernets.comparison import Entry, Grid, Results, Task
from keras_mothernets.datasets import Dataset
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.optimizers import LEARNING_RATES

SUBSET_SEED = 0  # of the fixed random order whose first images are used
# What makes two comparisons different; methods, budgets and seeds can be added to one.
SETTINGS = (
    "ensemble dataset width augment validation train_size test_size batch_size optimizer "
    "weight_decay note"
).split()


def run(arguments: argparse.Namespace) -> None:
    """Train what is not trained yet, then print a table and draw.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: Something does not fit, or the folder holds another comparison.
    """
    if arguments.draw:
        results = Results.read(arguments.out / "results.csv")
        if not results.rows or not (arguments.out / "settings.json").exists():
            raise MotherNetsError(f"There are no results in `{arguments.out}` yet")
    else:
        results = _trained(arguments)
    for path in comparison.draw_all(
        results, arguments.out, title=_title(arguments.out), clock=arguments.clock
    ):
        print(f"Picture: {path}")
    print(f"Table: {arguments.out / 'results.csv'}\n\n{comparison.table(results, arguments.clock)}")


def _trained(arguments: argparse.Namespace) -> Results:
    check_source(arguments.ensemble, width=arguments.width, augment=arguments.augment)
    grid = Grid(
        [Entry.parse(text) for text in arguments.methods],
        arguments.budgets,
        arguments.learning_rates or [LEARNING_RATES[arguments.optimizer]],
        arguments.seeds,
    )
    if not arguments.validation:
        raise MotherNetsError(
            "--validation must be above 0: variants are chosen on images held out"
        )
    data = _load(arguments)
    print(data)
    make = functools.partial(
        load_ensemble, arguments.ensemble, data.input_shape, data.num_classes,
        allow_code=arguments.allow_code, width=arguments.width, augment=arguments.augment,
    )  # fmt: skip
    members = make()
    check_classes(members, data.num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not alike_outputs(members))
    task = Task(make, data, arguments.batch_size, arguments.optimizer, arguments.weight_decay, loss)
    settings: dict[str, Any] = {name: getattr(arguments, name) for name in SETTINGS}
    return comparison.compare(
        grid, task, arguments.out, settings, functools.partial(print, flush=True)
    )


def _load(arguments: argparse.Namespace) -> Dataset:
    """The data, or the first images of a fixed random order."""
    data = datasets.load(
        arguments.dataset, data_dir=arguments.data_dir, validation=arguments.validation
    )
    order = np.random.default_rng(SUBSET_SEED)
    train = order.permutation(len(data.x_train))[: arguments.train_size]
    test = order.permutation(len(data.x_test))[: arguments.test_size]
    # Held out is as large a part of the images used as it is of all.
    share = len(train) / len(data.x_train)
    held_out = order.permutation(len(data.x_val))[: max(1, round(share * len(data.x_val)))]
    return replace(
        data,
        x_train=data.x_train[train],
        y_train=data.y_train[train],
        x_val=data.x_val[held_out],
        y_val=data.y_val[held_out],
        x_test=data.x_test[test],
        y_test=data.y_test[test],
    )


def _title(folder: Path) -> str:
    """What was trained on what, as the folder says."""
    there = json.loads((folder / "settings.json").read_text())
    width = f" at width {there['width']:g}" if there["width"] != 1 else ""
    size = f"{there['train_size']:,} images of " if there["train_size"] else ""
    note = f" ({there['note']})" if there["note"] else ""
    return f"{there['ensemble']}{width} on {size}{there['dataset']}{note}"
