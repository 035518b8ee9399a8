"""How `keras-mothernets train` was called, kept in the run directory for `resume`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from keras_mothernets.cli.parser import build_parser
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.files import write_atomically

COMMAND = "command.json"


@contextlib.contextmanager
def keeping_command(arguments: argparse.Namespace) -> Iterator[None]:
    """Keep in the run directory how `train` was called, unless the run there is refused.

    Args:
        arguments: Of `train`.
    """
    folder = arguments.run_dir
    if folder is None or (folder / COMMAND).exists():
        yield
        return
    has_begun = (folder / "plan.json").exists()
    with contextlib.suppress(OSError):  # `fit` will tell what is the matter
        folder.mkdir(parents=True, exist_ok=True)
        values = {"arguments": arguments.argv, "folder": os.getcwd()}
        write_atomically(folder / COMMAND, json.dumps(values, indent=1).encode())
    try:
        yield
    except MotherNetsError:
        if has_begun or not (folder / "plan.json").exists():
            (folder / COMMAND).unlink(missing_ok=True)
        raise


def read_command(folder: Path) -> tuple[list[str], str]:
    """How `train` was called for a run directory.

    Args:
        folder: The run directory.

    Returns:
        Its arguments, and the folder it was called in.

    Raises:
        MotherNetsError: There is no run of the console command, or its file cannot be read.
    """
    try:
        values = json.loads((folder / COMMAND).read_text())
        argv, place = [str(each) for each in values["arguments"]], str(values["folder"])
    except FileNotFoundError:
        has_run = (folder / "plan.json").exists()
        raise MotherNetsError(
            f"There is no run of `keras-mothernets train` in `{folder}`",
            expected=f"a folder given as --run-dir, with a `{COMMAND}` in it",
            received="a run that a script has begun" if has_run else None,
            fix="Call the script again with the same `run_dir`: it goes on" if has_run else None,
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MotherNetsError(
            f"`{folder / COMMAND}` cannot be read",
            received=f"{type(error).__name__}: {error}",
            fix="Call `train` with the same arguments as before: it goes on",
        ) from error
    return argv, place


def kept_arguments(folder: Path) -> argparse.Namespace:
    """The arguments of the `train` that a run directory tells of, with paths as they were meant.

    Args:
        folder: The run directory.

    Raises:
        MotherNetsError: As in `read_command`.
    """
    argv, place = read_command(folder)
    arguments = build_parser().parse_args(argv)
    if arguments.data_dir is not None:
        arguments.data_dir = Path(place) / arguments.data_dir
    return arguments
