"""What a format must be able to do, for `export.py`; one file each says how."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mothernets.ensembles.endpoints import Served
from keras_mothernets.errors import MotherNetsError

if TYPE_CHECKING:
    from keras_mothernets.ensembles.model_card import CardTensor, ModelCard

# From inputs by name to outputs by name, as who loads the files gets them.
Runner = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Format:
    """A kind of files.

    Args:
        name: What it is called in `km.export`.
        write: Writes what is served into a folder, with the model card inside where it can be.
        load: Loads the files of a folder as somebody else would, without this package.
        example: Lines of Python, to be run in the folder, that load the files and ask once; in
            the card. `INPUTS` stands for the inputs.
        extra: The extra of this package that brings what it needs; "" for none.
        modules: What `write` and `load` import.
    """

    name: str
    write: Callable[[Served, Path, ModelCard], None]
    load: Callable[[Path], Runner]
    example: str
    extra: str = ""
    modules: tuple[str, ...] = ()

    def loading(self, inputs: Sequence[CardTensor]) -> str:
        """The example, for inputs."""
        return self.example.replace("INPUTS", f"inputs = {{{', '.join(map(_zeros, inputs))}}}")

    def check_installed(self) -> None:
        """Raise `MotherNetsError` unless all modules are there; nothing is imported."""
        missing = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if missing:
            raise MotherNetsError(
                f'Format "{self.name}" needs what is not installed',
                expected=", ".join(f"`{name}`" for name in self.modules),
                received=f"no {', no '.join(f'`{name}`' for name in missing)}",
                fix=f"Install it: `pip install 'keras_mothernets[{self.extra}]'`",
            )


def _zeros(tensor: CardTensor) -> str:
    shape = tuple(size or 16 for size in (1, *tensor.shape[1:]))
    if tensor.dtype == "string":
        return f'"{tensor.name}": np.full({shape}, "")'
    return f'"{tensor.name}": np.zeros({shape}, "{tensor.dtype}")'


def operation_in(name: str, layer: str) -> str:
    """An operation and its layer, as errors tell them; the layer is "" where it is not known."""
    return f"operation `{name}`" + (f" in layer `{layer}`" if layer else "")


def cannot_convert(name: str, operations: Sequence[str], reason: str) -> MotherNetsError:
    """The error of a network that a format has no operations for.

    Args:
        name: The format.
        operations: The operations and their layers, as far as they are known.
        reason: The converter's own words.
    """
    return MotherNetsError(
        f'The ensemble cannot be converted to format "{name}"',
        expected="layers made of operations that the format has",
        received="; ".join(operations) or reason,
        fix='Replace these layers, leave their members out with `members`, or use "tf_saved_model",'
        " which takes everything that TensorFlow computes",
    )
