"""The file in which `keras-mothernets plan` hands its proposal to `train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.files import write_atomically

VERSION = 1
# What `train` must be given alike for a proposal to hold.
SAME = (
    "ensemble dataset width augment batch_size optimizer weight_decay validation member_epochs"
).split()


def keep_proposal(arguments: argparse.Namespace, proposal: dict[str, Any]) -> None:
    """Write a proposal to `arguments.out`.

    Args:
        arguments: Of `plan`.
        proposal: Clusters, epochs, workers and what else is told.
    """
    same = {name: getattr(arguments, name) for name in SAME}
    values = {"version": VERSION, **proposal, "for": same, "without": arguments.without}
    write_atomically(arguments.out, checked_json(values))


def take_proposal(arguments: argparse.Namespace) -> None:
    """Set clusters, epochs and workers of `train` as a proposal says.

    Args:
        arguments: Of `train`, with `plan`; changed in place.

    Raises:
        MotherNetsError: The file cannot be read, or is for another ensemble or another data set.
    """
    path: Path = arguments.plan
    try:
        values = read_checked_json(path, since=1)
        if values["version"] > VERSION:
            raise ValueError(f"it is of version {values['version']}, newer than {VERSION}")
        same, proposed = (
            dict(values["for"]),
            {name: int(values[name]) for name in ("n_clusters", "epochs", "workers")},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MotherNetsError(
            f"`{path}` is no proposal",
            expected="a file that `keras-mothernets plan --out` wrote",
            received=f"{type(error).__name__}: {error}",
        ) from error
    others = {name: value for name, value in same.items() if getattr(arguments, name) != value}
    if others or arguments.method != "mothernets" or values["without"]:
        told = [f"{name} {value}" for name, value in others.items()]
        told += [f"without {name}" for name in values["without"]]
        raise MotherNetsError(
            f"The proposal in `{path}` is for another training",
            expected="the same ensemble, data and settings, and the method mothernets",
            received=f"a proposal for {', '.join(told) or 'mothernets'}",
        )
    arguments.clusters, arguments.epochs = proposed["n_clusters"], proposed["epochs"]
    arguments.workers = proposed["workers"]
