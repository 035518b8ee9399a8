"""`keras-mothernets report`: a run as one HTML page."""

from __future__ import annotations

import argparse

import keras

from keras_mothernets import datasets, reporting
from keras_mothernets.cli.kept_command import COMMAND, kept_arguments
from keras_mothernets.datasets import Dataset
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.files import check_writable
from keras_mothernets.training.ledger import PRICES

SCRIPT = (
    "a script has begun this run, so the command does not know its data; `km.report(run,"
    " data=(x, y))` takes them."
)


def run(arguments: argparse.Namespace) -> None:
    """Write the report of a run, with the test data of its data set.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: There is no run, it cannot be read, or the file cannot be written.
    """
    folder = arguments.run
    path = arguments.out or folder / "report.html"
    if folder.is_dir():  # else `report` tells that there is no run
        check_writable(path)
    if arguments.allow_code:
        keras.config.enable_unsafe_deserialization()
    data, title, no_data = _data(arguments)
    prices = PRICES if arguments.price is None else {"your price": arguments.price}
    written = reporting.report(
        folder,
        path,
        data=data,
        title=title,
        usd_per_hour=prices,
        no_data=no_data,
        comparison=arguments.comparison,
    )
    print(f"Report: {written}")


def _data(arguments: argparse.Namespace) -> tuple[Dataset | None, str | None, str]:
    """The data set that the run's command names, what to call the page, and why there is none."""
    if arguments.no_data:
        return None, None, "the report was asked for without them (--no-data)."
    if not (arguments.run / COMMAND).exists():
        return None, None, SCRIPT
    train = kept_arguments(arguments.run)
    data_dir = arguments.data_dir or train.data_dir
    title = f"{train.ensemble} on {train.dataset}, by {train.method}"
    try:
        data = datasets.load(
            train.dataset, data_dir=data_dir, validation=train.validation, seed=train.seed
        )
    except MotherNetsError as error:
        return None, title, f"`{train.dataset}` cannot be loaded here: {error}"
    return data, title, ""
