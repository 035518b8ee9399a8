"""A folder that is there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_mothernets.ensembles.model_card import JSON
from keras_mothernets.errors import MotherNetsError, RunError
from keras_mothernets.training.files import UNFINISHED
from keras_mothernets.training.job_files import reason_of_disk

FILES = (".onnx", ".tflite", ".keras", ".h5", ".pb")  # what is taken for the name of a file


def check_place(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Where a folder can be made.

    Args:
        path: The folder.
        overwrite: Whether an export that is there may be replaced.

    Raises:
        MotherNetsError: It is no path of a folder, or something is there.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise MotherNetsError("`path` must be the path of a folder", received=repr(path))
    place = Path(path).resolve()
    if place.suffix in FILES:
        raise MotherNetsError(
            "`path` names a file, and a folder is made, with the model card in it",
            received=f"`{path}`",
            fix=f"Choose a folder: `{Path(path).with_suffix('')}`",
        )
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        _check_replaceable(place, overwrite)
    return place


def _check_replaceable(place: Path, overwrite: bool) -> None:
    is_export = (place / JSON).is_file()
    if not is_export:
        raise MotherNetsError(
            f"`{place}` is there already, and is not an export",
            expected="a path at which nothing is, or an empty folder",
            fix="Choose another `path`",
        )
    if not overwrite:
        raise MotherNetsError(
            f"There is an export in `{place}` already",
            fix="Choose another `path`, or replace it with `overwrite=True`",
        )


@contextlib.contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A new folder beside a place, that gets its name when the block has ended well.

    What was there before is removed then, and stays after a failure. A kill between the two
    renames leaves it beside the place, under a name that begins with `.unfinished`.

    Args:
        place: Where `check_place` has said that it can be made.

    Raises:
        RunError: It cannot be written.
    """
    unfinished = place.with_name(UNFINISHED.replace("*", f"{os.getpid()}-{place.name}"))
    before = unfinished.with_name(f"{unfinished.name}-before")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        _replace(place, unfinished, before)
    except OSError as error:
        raise RunError(
            f"`{place}` cannot be written",
            received=reason_of_disk(error),
            fix="Make room, or choose another `path`",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace(place: Path, new: Path, before: Path) -> None:
    """Give a folder its name; a folder that has it gets it again if that fails."""
    has_old = place.exists()
    if has_old:
        os.replace(place, before)
    try:
        os.replace(new, place)
    except OSError:
        if has_old:
            os.replace(before, place)
        raise
    if has_old:
        shutil.rmtree(before, ignore_errors=True)
