"""Plain values in a file without pickles: numbers, texts, arrays, and nests of these.

The file is one of `numpy.savez`: the arrays under their numbers, and under "text" the rest as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

TEXT = "text"
_AS_THEY_ARE = (bool, int, float, str, type(None))
_USERS_OWN = 2  # NumPy's `dtype.isbuiltin` of what others have added, as bfloat16


def write_plain(path: Path, values: dict[str, Any]) -> None:
    """Write plain values into one file.

    Args:
        path: The file; its name must end in `.npz`.
        values: By name: `None`, bool, int, float, str, NumPy numbers and arrays, and lists,
            tuples and dicts of these.

    Raises:
        TypeError: A value is something else.
    """
    arrays: list[np.ndarray] = []
    told = {name: told_as(value, arrays) for name, value in values.items()}
    text = np.frombuffer(json.dumps(told).encode(), "uint8")
    numbered = {str(number): array for number, array in enumerate(arrays)}
    np.savez(path, allow_pickle=False, **{TEXT: text, **numbered})


def read_plain(path: Path, only: Collection[str] | None = None) -> dict[str, Any]:
    """Read what `write_plain` wrote: the same values, of the same types.

    Args:
        path: The file.
        only: Names of the values to read; arrays of others are not touched. All if `None`.

    Raises:
        Exception: The file is damaged; its kind depends on where.
    """
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        told = json.loads(arrays[TEXT].tobytes())
        return {
            name: _value(part, arrays)
            for name, part in told.items()
            if only is None or name in only
        }


def is_plain(value: Any) -> bool:
    """Whether a value can be written.

    Example:
        >>> is_plain({"best": (0.5, [1, 2])}), is_plain(print)
        (True, False)
    """
    try:
        told_as(value, [])
    except TypeError:
        return False
    return True


def told_as(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value as JSON takes it; its arrays are put behind those that are there.

    Types are compared exactly: an `OrderedDict` or an `IntEnum` would come back as another.

    Raises:
        TypeError: The value is not plain.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [told_as(part, arrays) for part in value]
    if kind is tuple:
        return {"tuple": [told_as(part, arrays) for part in value]}
    if kind is dict:
        return {"dict": [[told_as(part, arrays) for part in pair] for pair in value.items()]}
    if (kind is np.ndarray or isinstance(value, np.generic)) and not value.dtype.hasobject:
        return {"array" if kind is np.ndarray else "number": _array_as(np.asarray(value), arrays)}
    raise TypeError(f"a {kind.__name__} is not plain")


def _array_as(array: np.ndarray, arrays: list[np.ndarray]) -> list[Any]:
    """Number and dtype of an array. Dtypes that NumPy cannot write go as their bytes."""
    is_known = array.dtype.isbuiltin != _USERS_OWN
    arrays.append(array if is_known else array.view(f"uint{8 * array.dtype.itemsize}"))
    return [len(arrays) - 1, None if is_known else array.dtype.name]


def _value(told: Any, arrays: Any) -> Any:
    if isinstance(told, list):
        return [_value(part, arrays) for part in told]
    if not isinstance(told, dict):
        return told
    ((kind, inside),) = told.items()
    if kind == "tuple":
        return tuple(_value(part, arrays) for part in inside)
    if kind == "dict":
        return {_value(key, arrays): _value(part, arrays) for key, part in inside}
    number, dtype = inside
    array = arrays[str(number)]
    if dtype is not None:
        array = array.view(dtype)
    return array if kind == "array" else array[()]
