"""Members from files: a folder of `.keras` files, of which none runs code unless it is allowed.

A layer can bring Python code of its own: Keras keeps that of a `Lambda` in the file, and runs it
as soon as the file is loaded. So files that hold such code are refused, as Keras itself does.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member, as_members

CODE = "__lambda__"  # as which kind of object Keras writes Python code down


def load_folder(folder: Path, *, allow_code: bool = False) -> list[Member]:
    """Load the members of an ensemble, in the order of their files' names.

    Args:
        folder: Where the `.keras` files are.
        allow_code: Whether code in them may run; then it may in all that this process loads.

    Raises:
        MotherNetsError: There are none, or one cannot be loaded, or holds code.
    """
    files = sorted(folder.glob("*.keras"))
    if not files:
        raise MotherNetsError(f"There are no .keras files in `{folder}`")
    # A name may hold less than that of a file.
    named = [(re.sub(r"[^A-Za-z0-9_.-]", "_", file.stem), file) for file in files]
    return load_files(named, allow_code=allow_code)


def load_files(files: Sequence[tuple[str, Path]], *, allow_code: bool = False) -> list[Member]:
    """Load the members of an ensemble.

    Args:
        files: Name and file of each.
        allow_code: Whether code in them may run; then it may in all that this process loads.

    Raises:
        MotherNetsError: There are none, or one cannot be loaded, or holds code.
    """
    if allow_code:
        # For the whole process: networks are copied from their configs, which hold the code too.
        keras.config.enable_unsafe_deserialization()
    return as_members([Member(_load(file), name=name) for name, file in files])


def _load(file: Path) -> keras.Model:
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # broken files and unknown layers raise all kinds
        if "safe_mode" in str(error):
            raise _refusal(file) from error
        reason = (str(error).strip().splitlines() or [""])[0]
        raise MotherNetsError(
            f"`{file}` cannot be loaded as a Keras model",
            received=f"{type(error).__name__}: {reason}",
        ) from error


def _refusal(file: Path) -> MotherNetsError:
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(_with_code(_config_in(file))))
    return MotherNetsError(
        f"`{file}` holds Python code that would run when it is loaded"
        + (f", in layer {names}" if names else ""),
        expected="layers without code of their own",
        fix="If you trust whoever made the file, allow it with --allow-code; else write the layer"
        " as a class, or with the layers and operations of Keras",
    )


def _config_in(file: Path) -> Any:
    """What the file tells of the network; nothing is made of it."""
    try:
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _with_code(config: Any, layer: str = "") -> Iterator[str]:
    """Names of the layers in whose configs there is code."""
    if isinstance(config, dict):
        own = config.get("config")
        if isinstance(own, dict) and isinstance(own.get("name"), str):
            layer = own["name"]
        if config.get("class_name") == CODE and layer:
            yield layer
    values = config.values() if isinstance(config, dict) else config
    for value in values if isinstance(config, (dict, list)) else ():
        yield from _with_code(value, layer)
