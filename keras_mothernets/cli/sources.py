"""Where the command line's ensembles come from: the zoo, a folder, or the user's own file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_mothernets import graph, zoo
from keras_mothernets.errors import MotherNetsError, naming
from keras_mothernets.member import Member, as_members

# Ensembles that the command line knows by name.
ZOO: dict[str, Callable[..., list[Member]]] = {"v5": zoo.v5}


def load_ensemble(
    source: str, input_shape: tuple[int, ...], num_classes: int, **zoo_options: Any
) -> list[Member]:
    """Make or load the members of an ensemble.

    Args:
        source: A zoo name, a folder of .keras files, or `file.py:function`.
        input_shape: Shape of one example, for members that are yet to be made.
        num_classes: Number of classes, likewise.
        **zoo_options: `width` and `augment`, for the zoo only.

    Returns:
        The members, with distinct names.

    Raises:
        MotherNetsError: The source is none of these, or what it gives are no models.
    """
    if source in ZOO:
        return ZOO[source](input_shape, num_classes, **zoo_options)
    if zoo_options.get("augment") or zoo_options.get("width", 1.0) != 1.0:
        raise MotherNetsError(
            f"--augment and --width change networks of the zoo only, and `{source}` is not one",
            expected="one of " + ", ".join(f"`{name}`" for name in ZOO),
        )
    if Path(source).is_dir():
        return _from_folder(Path(source))
    file, separator, function = source.rpartition(":")
    if separator and file.endswith(".py"):
        with naming(f"`{source}`"):
            return as_members(_function(Path(file), function)(input_shape, num_classes))
    raise MotherNetsError(
        f"There is no ensemble `{source}`",
        expected=f"a name of the zoo ({', '.join(ZOO)}), a folder of .keras files, or "
        "file.py:function",
    )


def gives_probabilities(model: keras.Model) -> bool:
    """Whether a classifier ends in a softmax; otherwise its outputs are taken for logits."""
    architecture = graph.read(model)
    [last] = [node for node in architecture.nodes if architecture.outputs[0] in node.outputs]
    return last.kind.lower() == "softmax"


def _from_folder(folder: Path) -> list[Member]:
    files = sorted(folder.glob("*.keras"))
    if not files:
        raise MotherNetsError(f"There are no .keras files in `{folder}`")
    return as_members([Member(_load(file), name=file.stem) for file in files])


def _load(file: Path) -> keras.Model:
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # broken files and unknown layers raise all kinds
        raise MotherNetsError(
            f"`{file}` cannot be loaded as a Keras model",
            received=f"{type(error).__name__}: {_first_line(error)}",
        ) from error


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
