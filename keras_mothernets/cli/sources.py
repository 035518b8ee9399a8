"""Where the command line's ensembles come from: the zoo, a folder, or the user's own file."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_mothernets import graph, zoo
from keras_mothernets.cli.demo_networks import demo
from keras_mothernets.cli.model_files import load_folder
from keras_mothernets.datasets import Dataset
from keras_mothernets.errors import MotherNetsError, naming
from keras_mothernets.member import Member, as_members
from keras_mothernets.training.losses import PROBABILITIES

# Ensembles that the command line knows by name.
ZOO: dict[str, Callable[..., list[Member]]] = {
    "v5": zoo.v5,
    "d5": zoo.d5,
    "r10": zoo.r10,
    "v25": zoo.v25,
    "v100": zoo.v100,
    "wrn5": zoo.wrn5,
    "demo": demo,
}


def members_for(arguments: argparse.Namespace, data: Dataset) -> list[Member]:
    """The ensemble that a command names, made or loaded for a data set.

    Args:
        arguments: With `ensemble`, `allow_code`, `width` and `augment`.
        data: The data set.

    Raises:
        MotherNetsError: As in `load_ensemble` and `check_classes`.
    """
    members = load_ensemble(
        arguments.ensemble,
        data.input_shape,
        data.num_classes,
        allow_code=arguments.allow_code,
        width=arguments.width,
        augment=arguments.augment,
    )
    check_classes(members, data.num_classes)
    return members


def load_ensemble(
    source: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    allow_code: bool = False,
    **zoo_options: Any,
) -> list[Member]:
    """Make or load the members of an ensemble.

    Args:
        source: A zoo name, a folder of .keras files, or `file.py:function`.
        input_shape: Shape of one example, for members that are yet to be made.
        num_classes: Number of classes, likewise.
        allow_code: Whether code in .keras files may run.
        **zoo_options: `width` and `augment`, for the zoo only.

    Returns:
        The members, with distinct names.

    Raises:
        MotherNetsError: The source is none of these, or what it gives are no models.
    """
    check_source(source, **zoo_options)
    if source in ZOO:
        return ZOO[source](input_shape, num_classes, **zoo_options)
    if Path(source).is_dir():
        return load_folder(Path(source), allow_code=allow_code)
    file, _, function = source.rpartition(":")
    with naming(f"`{source}`"):
        made = _called(_function(Path(file), function), input_shape, num_classes)
        return as_members(made)


def check_source(source: str, **zoo_options: Any) -> None:
    """Whether there is such a source, as far as it can be known without opening it.

    Raises:
        MotherNetsError: There is none, or the options are not for it.
    """
    if source in ZOO:
        return
    if zoo_options.get("augment") or zoo_options.get("width", 1.0) != 1.0:
        raise MotherNetsError(
            f"--augment and --width change networks of the zoo only, and `{source}` is not one",
            expected="one of " + ", ".join(f"`{name}`" for name in ZOO),
        )
    file, separator, _ = source.rpartition(":")
    if not Path(source).is_dir() and not (separator and file.endswith(".py")):
        raise MotherNetsError(
            f"There is no ensemble `{source}`",
            expected=f"a name of the zoo ({', '.join(ZOO)}), a folder of .keras files, or "
            "file.py:function",
        )


def check_classes(members: list[Member], num_classes: int) -> None:
    """All members must tell as many classes as the data have.

    Raises:
        MotherNetsError: One does not.
    """
    for member in members:
        shape = tuple(member.model.outputs[0].shape)[1:]
        if len(member.model.outputs) != 1 or shape != (num_classes,):
            raise MotherNetsError(
                f"Member `{member.label}` does not tell the classes of the data",
                expected=f"one output of shape {(num_classes,)}",
                received=f"{[tuple(output.shape)[1:] for output in member.model.outputs]}",
            )


def gives_probabilities(model: keras.Model) -> bool:
    """Whether a classifier ends in a softmax or the like; else its outputs are logits."""
    return graph.last_activation(model) in PROBABILITIES


def _function(file: Path, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise MotherNetsError(f"There is no file `{file}`")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file does
        raise MotherNetsError(
            f"`{file}` cannot be imported", received=f"{type(error).__name__}: {_first_line(error)}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise MotherNetsError(f"There is no function `{name}` in `{file}`")
    return function


def _called(function: Callable[..., Any], input_shape: tuple[int, ...], num_classes: int) -> object:
    try:
        return function(input_shape, num_classes)
    except MotherNetsError:
        raise
    except Exception as error:  # whatever the user's function does
        raise MotherNetsError(
            "The function fails",
            expected="a function of (input_shape, num_classes) that returns a list of models",
            received=f"{type(error).__name__}: {_first_line(error)}",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
