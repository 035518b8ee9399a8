"""Docstrings taken apart: what is public, and what each says of its arguments and results."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import keras_mothernets as km
from keras_mothernets import errors

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example|Source):[ \t]*(.*)$")
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}


@dataclass(frozen=True)
class Public:
    """A public name.

    Args:
        part: What it is: a function, a class, a method, a property.
        above: The method that it overrides, whose docstring holds for it where it says no more.
    """

    part: Any
    above: Public | None = None

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.part)

    @property
    def is_property(self) -> bool:
        return hasattr(self.part, "fget") or hasattr(self.part, "func")

    @property
    def function(self) -> Any:
        """The function behind a method, a class method or a property; a class as it is."""
        part = getattr(self.part, "__func__", self.part)
        return getattr(part, "func", getattr(part, "fget", part))

    def section(self, name: str) -> str:
        """A section of the docstring; what comes before all of them is the "summary"."""
        text = _sections(inspect.getdoc(self.function) or "").get(name, "")
        return text if text.strip() or self.above is None else self.above.section(name)

    def told(self, section: str) -> list[str]:
        """The names that a section `Args` or `Raises` explains."""
        lines = textwrap.dedent(self.section(section))
        return re.findall(r"^(\*{0,2}\w+): ", lines, flags=re.MULTILINE)

    @property
    def arguments(self) -> list[str]:
        """Names of what it takes, with stars where they have some."""
        parameters = inspect.signature(self.function).parameters.values()
        named = [_STARS.get(each.kind, "") + each.name for each in parameters]
        return [name for name in named if name not in ("self", "cls")]

    @property
    def gives_something(self) -> bool:
        answer = inspect.signature(self.function).return_annotation
        return answer not in (None, "None", inspect.Signature.empty)

    @property
    def raised(self) -> set[str]:
        """Errors of ours that it raises itself, without what it calls."""
        code = vars(self.part).get("__init__") if self.is_class else self.function
        if getattr(code, "__code__", None) is None or code.__code__.co_filename == "<string>":
            return set()  # made by `dataclass`, or there is none
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
        raises = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
        return {ast.unparse(getattr(each, "func", each)) for each in raises} & ERRORS


def public() -> dict[str, Public]:
    """Everything public by name: functions, classes, and the classes' methods and properties.

    What classes inherit is there once, under the name of the class that has it.
    """
    found: dict[str, Public] = {}
    for name in km.__all__:
        value = getattr(km, name)
        if isinstance(value, ModuleType):
            names = getattr(value, "__all__", DATASETS)
            found |= {f"{name}.{each}": _whole(getattr(value, each)) for each in names}
        else:
            found[name] = _whole(value)
    for each in [each.part for each in found.values() if each.is_class]:
        for part in vars_of(each):
            named = _named(each, part)
            if named is not None:
                found[named.function.__qualname__] = named
    return found


DATASETS = ("load", "class_names", "Dataset")
_STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _whole(value: Any) -> Public:
    """A class whose constructor is that of the class above is explained there."""
    if inspect.isclass(value) and "__init__" not in vars(value) and _is_ours(value.__mro__[1]):
        return Public(value, _whole(value.__mro__[1]))
    return Public(value)


def vars_of(value: type) -> set[str]:
    """Names of a class and of those of ours that it derives from."""
    return {name for each in value.__mro__ if _is_ours(each) for name in vars(each)}


def _named(value: type, name: str) -> Public | None:
    """A public method or property of a class, with those that it overrides."""
    found = None
    for each in reversed([each for each in value.__mro__ if _is_ours(each)]):
        if not name.startswith("_") and name in vars(each):
            found = Public(vars(each)[name], found)
    return found if found and isinstance(found.function, FunctionType) else None


def _is_ours(value: Any) -> bool:
    return value.__module__.startswith("keras_mothernets")


def _sections(text: str) -> dict[str, str]:
    found, name = {"summary": ""}, "summary"
    for line in text.splitlines():
        title = SECTION.match(line)
        if title:
            name, line = title[1], title[2]
        found[name] = f"{found.get(name, '')}{line}\n"
    return found
