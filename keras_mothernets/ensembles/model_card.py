"""What whoever gets an exported ensemble must know of it, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from keras_mothernets.ensembles.latency import Latency
from keras_mothernets.errors import MotherNetsError, check_arguments

MARKDOWN, JSON = "MODEL_CARD.md", "model_card.json"

# What only the user can tell, and the heading of each.
GIVEN = {
    "title": "Title",
    "description": "Description",
    "intended_use": "Intended use",
    "limitations": "Limitations",
    "data": "Data",
    "measures": "Measures",
    "license": "License",
    "authors": "Authors",
}
NOT_STATED = {"license": "Not stated: ask the authors before you use it."}


@dataclass(frozen=True)
class CardMember:
    """A member in the card.

    Args:
        name: Its name.
        parameters: Number of its parameters.
        weight: Its share in the mean; all of them sum to one.
    """

    name: str
    parameters: int
    weight: float


@dataclass(frozen=True)
class CardTensor:
    """An input or output in the card.

    Args:
        name: Its name.
        shape: Its shape, the examples first; `None` for any size.
        dtype: Its type.
        meaning: What an output is.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    meaning: str = ""


@dataclass(frozen=True)
class ModelCard:
    """What is in an exported ensemble, where it comes from, and how to load it.

    `str()` gives it as Markdown.

    Args:
        format: Name of the format.
        task: "classification" or "regression".
        members: The members.
        inputs: The inputs.
        outputs: The outputs.
        endpoints: For each endpoint the names of its outputs.
        class_names: Names of the classes in the order of the probabilities, if they are known.
        has_preprocessing: Whether it begins with preprocessing.
        loading: Python that loads the files and asks once.
        date: When it was exported.
        versions: Of all that took part, by name.
        given: What the user told: title, data, measures, license, ...
        latency: Of one answer, where it was measured.
        deviation: How far the loaded files were from the Keras model on random inputs: the
            largest difference of any output but `disagreement`, over the larger of 1 and the
            largest output.
    """

    format: str
    task: str
    members: tuple[CardMember, ...]
    inputs: tuple[CardTensor, ...]
    outputs: tuple[CardTensor, ...]
    endpoints: dict[str, tuple[str, ...]]
    class_names: tuple[str, ...] | None
    has_preprocessing: bool
    loading: str
    date: str
    versions: dict[str, str]
    given: dict[str, Any] = field(default_factory=dict)
    latency: Latency | None = None
    deviation: float | None = None

    def to_json(self) -> str:
        """The card for programs."""
        return json.dumps(asdict(self), indent=1, default=_plain)

    def __str__(self) -> str:
        title = self.given.get("title", f"An ensemble of {len(self.members)}")
        parts = [f"# {title}", self._what(), *self._sections()]
        return "\n\n".join(parts) + "\n"

    def _what(self) -> str:
        count = len(self.members)
        networks = f"{count} networks" if count > 1 else "one network"
        before = (
            "The inputs pass the preprocessing that is inside. " if self.has_preprocessing else ""
        )
        return (
            f"An ensemble of {networks} for {self.task}, in format {self.format}, exported by "
            f"keras_mothernets {self.versions['keras_mothernets']} on {self.date}. {before}"
            "Nothing of keras_mothernets is needed to load it."
        )

    def _sections(self) -> list[str]:
        sections = [
            _section(heading, _shown(self.given.get(key), NOT_STATED.get(key, "Not stated.")))
            for key, heading in GIVEN.items()
            if key != "title"
        ]
        sections.append(_section("Inputs", _tensors(self.inputs)))
        sections.append(_section("Outputs", _tensors(self.outputs)))
        if self.class_names is not None:
            classes = [(str(number), name) for number, name in enumerate(self.class_names)]
            sections.append(_section("Classes", _table(("number", "class"), classes)))
        rows = [(one.name, f"{one.parameters:,}", f"{one.weight:.4g}") for one in self.members]
        sections.append(_section("Members", _table(("member", "parameters", "weight"), rows)))
        sections.append(_section("Checks", self._checks()))
        sections.append(_section("How to load", f"```python\n{self.loading}```"))
        return sections

    def _checks(self) -> str:
        lines = []
        if self.deviation is not None:
            lines.append(
                f"- Loaded again, it was {self.deviation:.1e} from the Keras model at most, on"
                " random inputs."
            )
        if self.latency is not None:
            lines.append(f"- An answer took {self.latency}.")
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return "\n".join([*lines, f"- Made with {versions}."])


def check_given(card: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the user tells in a card.

    Args:
        card: Any of `GIVEN`: a text, a number, or a list or dict of these.

    Returns:
        The same as plain values.

    Raises:
        MotherNetsError: It has another key, or a value that JSON cannot hold.

    Example:
        >>> check_given({"license": "CC-BY-4.0", "measures": {"accuracy": 0.97}})
        {'license': 'CC-BY-4.0', 'measures': {'accuracy': 0.97}}
    """
    if card is None:
        return {}
    if not isinstance(card, Mapping):
        raise MotherNetsError(
            "`card` must be a dict",
            expected=f"some of {list(GIVEN)}",
            received=f"a {type(card).__name__}",
        )
    check_arguments("card", list(card), list(GIVEN))
    plain = {}
    for key, value in card.items():
        try:
            plain[key] = json.loads(json.dumps(value, default=_plain))
        except (TypeError, ValueError) as error:
            raise MotherNetsError(
                f"`card` has a `{key}` that cannot be written",
                expected="a text, a number, or a list or dict of these",
                received=f"{error}",
            ) from error
    return plain


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's; for `json`."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def _section(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}"


def _shown(value: Any, without: str) -> str:
    if value is None or value == "":
        return without
    if isinstance(value, Mapping):
        return _table(("", ""), [(str(key), _number(each)) for key, each in value.items()])
    if isinstance(value, list):
        return "\n".join(f"- {_number(each)}" for each in value)
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tensors(tensors: Sequence[CardTensor]) -> str:
    columns = ("name", "shape", "type", "what")
    rows = [(f"`{each.name}`", _shape(each.shape), each.dtype, each.meaning) for each in tensors]
    return _table(columns, rows)


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
