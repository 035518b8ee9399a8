"""The arrays inside what `fit` was given, each with a name to call it by in a message."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_mothernets.errors import DataError


def named_leaves(title: str, structure: Any) -> list[tuple[str, Any]]:
    """The leaves of a nest of dicts, lists and tuples, with names such as `x['image']`.

    Args:
        title: What the whole is called: "x", "y", "sample_weight".
        structure: The nest; `None` has no leaves.

    Example:
        >>> [name for name, _ in named_leaves("y", {"a": 1, "b": (2, 3)})]
        ["y['a']", "y['b'][0]", "y['b'][1]"]
    """
    if structure is None:
        return []
    if isinstance(structure, dict):
        pairs = [(f"{title}[{key!r}]", structure[key]) for key in sorted(structure)]
    elif isinstance(structure, (list, tuple)):
        pairs = [(f"{title}[{position}]", leaf) for position, leaf in enumerate(structure)]
    else:
        return [(title, structure)]
    return [leaf for name, part in pairs for leaf in named_leaves(name, part)]


def as_arrays(title: str, structure: Any) -> Any:
    """Turn every leaf into a NumPy array of the same dtype, lists into tuples.

    Nothing is copied where a leaf is an array already, so images stay one byte a
    channel in memory. Lists become tuples because `tf.data` takes a list for a tensor.

    Raises:
        DataError: A leaf is no array, or an array of Python objects.
    """
    for name, leaf in named_leaves(title, structure):
        _check_array(name, leaf)
    if structure is None:
        return None
    converted = keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.asarray(leaf), structure
    )
    return keras.tree.lists_to_tuples(converted)


def _check_array(name: str, leaf: Any) -> None:
    if leaf is None:
        return
    if not hasattr(leaf, "__array__"):
        raise DataError(
            f"`{name}` is not an array",
            expected="a NumPy array or a tensor (in a dict, list or tuple, if there are several)",
            received=f"a {type(leaf).__name__}",
            fix="Convert it with `np.asarray`",
        )
    if str(getattr(leaf, "dtype", "")) == "object" or len(leaf.shape) == 0:
        raise DataError(
            f"`{name}` is not an array of numbers with one row per example",
            received=f"dtype {leaf.dtype}, shape {tuple(leaf.shape)}",
        )
