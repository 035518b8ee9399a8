"""Settings as short texts that are the same in another process, so that runs can be compared.

Code and objects of the user have no such text of their own: their `repr` is an address. A
function is told by its name and a hash of what it does; an object by its class and what it
was made with. Installed packages are told by name only.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sysconfig
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mothernets.graph import names_without_decay
from keras_mothernets.training.data.arrays import describe_array
from keras_mothernets.training.fresh import tells_its_config

# They watch a training and do not change it, so a run may go on with others.
WATCHERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)
_BASES = (keras.callbacks.Callback, keras.losses.Loss)  # whose own attributes say nothing
_STDLIB = sysconfig.get_path("stdlib")
_PLAIN = (bool, int, complex, str, bytes, type(None), type(Ellipsis))
_VALUES = (*_PLAIN, float, tuple, list, dict, np.ndarray, np.generic, types.FunctionType)
_UNSET = inspect.Parameter.empty
_NAMES = ("name", "_name")  # Keras numbers them on, so they differ from process to process


def describe(value: Any) -> str:
    """A setting as a text that is the same in another process.

    Lists, dicts and sets that a callback or its functions hold do not count: that is where
    they write to.

    Args:
        value: What was given to `compile`, `fit` or `Member`.

    Example:
        >>> describe(keras.optimizers.SGD(0.2, momentum=0.9))
        'SGD(learning_rate=0.2, momentum=0.9)'
        >>> describe([keras.callbacks.EarlyStopping(patience=3)])
        '[EarlyStopping(patience=3)]'
    """
    return _text(value, whole=True, seen=())


def describe_callbacks(callbacks: list[keras.callbacks.Callback]) -> str:
    """The callbacks that can change what a training gives; "" without one."""
    changing = [callback for callback in callbacks if not isinstance(callback, WATCHERS)]
    return describe(changing) if changing else ""


def _text(value: Any, whole: bool, seen: tuple[int, ...]) -> str:
    """The text of a value; `whole` is false for what callbacks hold."""
    inner = functools.partial(_text, whole=whole, seen=seen)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.7g}"  # float32 settings come back with digits that nobody gave
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple) or (whole and isinstance(value, list)):
        return f"[{', '.join(map(inner, value))}]"
    if isinstance(value, frozenset) or (whole and isinstance(value, set)):
        return f"{{{', '.join(sorted(map(inner, value)))}}}"
    if isinstance(value, Mapping):
        return _text_of_dict(value, inner) if whole else type(value).__name__
    if isinstance(value, np.ndarray) or keras.ops.is_tensor(value):
        array = np.asarray(value)
        return describe_array(array) if array.ndim else inner(array[()])
    if isinstance(value, functools.partial):
        keywords = _arguments(value.keywords, inner)
        return f"partial({inner(value.func)}, {inner(value.args)}, {keywords})"
    if isinstance(value, type):
        return value.__qualname__
    value = getattr(value, "python_function", value)  # of a `tf.function`
    if callable(value) and hasattr(value, "__qualname__"):
        return _text_of_function(value, whole, seen)
    return _text_of_object(value, whole, seen)


def _text_of_dict(value: Mapping[Any, Any], inner: Any) -> str:
    if {"class_name", "config"} <= set(value):  # an object as `get_config` tells it
        config = value["config"]
        inside = _arguments(config, inner) if isinstance(config, dict) else inner(config)
        return f"{value['class_name']}({inside})"
    return f"{{{', '.join(f'{inner(key)}: {inner(part)}' for key, part in value.items())}}}"


def _arguments(values: Mapping[str, Any], inner: Any) -> str:
    return ", ".join(f"{key}={inner(value)}" for key, value in values.items() if key not in _NAMES)


def _text_of_object(value: Any, whole: bool, seen: tuple[int, ...]) -> str:
    kind = type(value)
    code = _code_of_class(kind, seen)
    is_known = code or any(map(_is_of_keras, kind.__mro__))
    is_network = isinstance(value, (keras.Layer, keras.Variable, keras.KerasTensor))
    if not is_known or is_network or id(value) in seen:
        return kind.__qualname__
    whole = whole and not isinstance(value, keras.callbacks.Callback)
    inner = functools.partial(_text, whole=whole, seen=(*seen, id(value)))
    return f"{kind.__qualname__}({_arguments(_settings(value), inner)}){code}"


def _settings(value: Any) -> dict[str, Any]:
    """What an object was made with, as far as it can be seen, without what is the default."""
    defaults = _defaults(type(value))
    settings = _all_settings(value, list(defaults))
    if isinstance(value, keras.optimizers.Optimizer):
        names = names_without_decay(value)
        settings["exclude_from_weight_decay"] = tuple(sorted(names.split("|"))) if names else None
        defaults["exclude_from_weight_decay"] = None
    return {
        key: part
        for key, part in settings.items()
        if not (isinstance(part, (*_PLAIN, float)) and part == defaults.get(key, _UNSET))
    }


def _defaults(kind: type) -> dict[str, Any]:
    """Arguments of a constructor with their defaults."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # there is none that could be read
        return {}
    return {key: parameter.default for key, parameter in parameters.items()}


def _all_settings(value: Any, parameters: list[str]) -> dict[str, Any]:
    attributes = getattr(value, "__dict__", {})
    config = _config(value)
    if config and tells_its_config(value):
        return config
    if _is_of_keras(type(value)):
        held = {key.removeprefix("_"): part for key, part in attributes.items()}
        return {key: held[key] for key in parameters if key in held}
    bases = [base for base in _BASES if isinstance(value, base)]
    common = [key for base in bases for key in vars(base())]
    return config | {key: part for key, part in attributes.items() if key not in common}


def _config(value: Any) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lambdas, which are not stored here
            return dict(value.get_config())
    except Exception:  # there is none, or a part of the user's own has none
        return {}


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "keras"


def _text_of_function(function: Any, whole: bool, seen: tuple[int, ...]) -> str:
    owner = getattr(function, "__self__", None)  # of a bound method
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None or _is_installed(code) or id(code) in seen:
        return str(function.__qualname__)
    inner = functools.partial(_text, whole=whole, seen=(*seen, id(code)))
    cells = [_content(cell) for cell in function.__closure__ or ()]
    parts = [
        *_code(code, function.__doc__),
        inner((owner, function.__defaults__, *cells)),
        _arguments(function.__kwdefaults__ or {}, inner),
        _arguments(dict(_globals_used(function)), inner),
    ]
    return f"{function.__qualname__}{_hash(parts)}"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _code(code: types.CodeType, doc: str | None) -> Iterator[str]:
    """What a function does: its instructions, the constants and the names in them."""
    yield code.co_code.hex()
    yield str((code.co_names, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant, None)
        elif isinstance(constant, frozenset):
            yield str(sorted(map(repr, constant)))
        elif doc is None or constant != doc:
            yield repr(constant)


def _globals_used(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Numbers, texts, lists of them and functions that a function reads from its module."""
    for name in sorted(set(_global_names(function.__code__))):
        value = function.__globals__.get(name)
        if isinstance(value, _VALUES):
            yield name, value


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _code_of_class(kind: type, seen: tuple[int, ...]) -> str:
    """A hash of the methods that the user wrote, "" where there are none."""
    methods = [
        _text_of_function(part, False, seen)
        for ancestor in kind.__mro__
        for _, part in sorted(vars(ancestor).items())
        if isinstance(part, types.FunctionType) and not _is_installed(part.__code__)
    ]
    return _hash(methods) if methods else ""


def _is_installed(code: types.CodeType) -> bool:
    """Whether code is a package's that was installed, or Python's own."""
    path = code.co_filename
    return bool({"site-packages", "dist-packages"} & set(Path(path).parts)) or (
        path.startswith((_STDLIB, "<frozen"))
    )


def _hash(parts: list[str]) -> str:
    return f"#{hashlib.sha256(str(parts).encode()).hexdigest()[:8]}"
