"""A method with its settings as one writes it down: `mothernets(n_clusters=2)`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mothernets.errors import MotherNetsError, check_arguments, finite_number, naming
from keras_mothernets.graph import forward_flops
from keras_mothernets.member import Member
from keras_mothernets.methods import (
    Bagging,
    FastGeometricEnsemble,
    FullData,
    KnowledgeDistillation,
    Method,
    MotherNets,
    SnapshotEnsemble,
    TreeNets,
)

METHODS: dict[str, type[Method]] = {
    "mothernets": MotherNets,
    "fulldata": FullData,
    "bagging": Bagging,
    "distillation": KnowledgeDistillation,
    "treenets": TreeNets,
    "snapshots": SnapshotEnsemble,
    "geometric": FastGeometricEnsemble,
}
ONE_NETWORK = ("snapshots", "geometric")
# Of 0.1, with which networks are trained here, these are the method's own 0.05 and 0.0005.
GEOMETRIC_RATES = (0.5, 0.005)


@dataclass(frozen=True)
class Entry:
    """A method of a comparison, with what differs from its defaults.

    Besides the arguments of the method there are `learning_rate` (the highest of the schedule), for
    MotherNets `member_share` (epochs of a hatched member as a part of the mother's), and for
    methods of one network `network` (a member's name; by default the one whose cost is
    nearest to the mean of all).

    Args:
        method: A name of `METHODS`.
        settings: Names and values.

    Example:
        >>> entry = Entry.parse("mothernets(n_clusters=2, member_share=1)")
        >>> entry.title, entry.words
        ('MotherNets', 'n_clusters=2, member_share=1')
    """

    method: str
    settings: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Entry:
        """Read what one writes: a name, and settings as in a call.

        Args:
            text: The name, or `name(setting=value, ...)` with plain values.

        Raises:
            MotherNetsError: It is no such text, the method or a setting is not known, or a number
                cannot be used.
        """
        name, settings = _parsed(text)
        if name not in METHODS:
            raise MotherNetsError(
                f"There is no method `{name}`", expected=f"one of {', '.join(METHODS)}"
            )
        check_arguments(name, settings, _arguments(name))
        for number in ("learning_rate", "member_share"):
            if number in settings:
                finite_number(number, settings[number], above=True)
        return cls(name, tuple(settings.items()))

    @property
    def title(self) -> str:
        """The method's name in tables and pictures."""
        return METHODS[self.method].__name__

    @property
    def words(self) -> str:
        """The settings as they were written."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings)

    @property
    def learning_rate(self) -> float | None:
        """The entry's own learning rate, if it has one."""
        return dict(self.settings).get("learning_rate")

    def fewest_epochs(self, members: Sequence[Member]) -> int:
        """The fewest epochs that the method can train for: a snapshot or level needs one each."""
        settings = dict(self.settings)
        if self.method == "snapshots":
            return int(self._count(members))
        return 1 + int(settings.get("chain", 0)) + int(settings.get("tree", False))

    def make(
        self, members: Sequence[Member], *, seed: int, learning_rate: float | None = None
    ) -> Method:
        """The method on an ensemble.

        Args:
            members: The members; a method of one network gives as many as these are.
            seed: Of everything random.
            learning_rate: The highest of the schedule; the cycles of a fast geometric ensemble
                run between a half and a two hundredth of it, if no `rates` are set.

        Raises:
            MotherNetsError: The method refuses the members or a setting.
        """
        own = {
            name: value
            for name, value in self.settings
            if name not in ("learning_rate", "member_share", "network")
        }
        make: Callable[..., Method] = METHODS[self.method]
        with naming(f"`{self}`"):
            if self.method not in ONE_NETWORK:
                return make(list(members), seed=seed, **own)
            network = network_of(members, dict(self.settings).get("network"))
            own.pop("n_members", None)
            if self.method == "geometric" and learning_rate is not None:
                high, low = (share * learning_rate for share in GEOMETRIC_RATES)
                own.setdefault("rates", (high, low))
            return make(network, self._count(members), seed=seed, **own)

    def set_epochs(self, method: Method, epochs: int) -> None:
        """Prepare a method for a `fit` of so many epochs."""
        share = dict(self.settings).get("member_share")
        if isinstance(method, MotherNets) and share is not None:
            method.member_epochs = max(1, round(share * epochs))

    def _count(self, members: Sequence[Member]) -> Any:
        return dict(self.settings).get("n_members", len(members))

    def __str__(self) -> str:
        return f"{self.method}({self.words})" if self.settings else self.method


def network_of(members: Sequence[Member], name: str | None = None) -> Member:
    """The network that a method of one network trains.

    Args:
        members: The ensemble.
        name: A member's name; by default the one whose cost is nearest to the mean of all.

    Raises:
        MotherNetsError: There is no such member.
    """
    names = [member.label for member in members]
    if name is not None:
        if name not in names:
            raise MotherNetsError(f"There is no member `{name}`", expected=f"one of {names}")
        return members[names.index(name)]
    costs = [forward_flops(member.model) or member.model.count_params() for member in members]
    mean = sum(costs) / len(costs)
    return min(zip(members, costs, strict=True), key=lambda pair: abs(pair[1] - mean))[0]


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            return call.id, {}
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        settings = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise MotherNetsError(
            "A method cannot be read",
            expected="a name, or settings as in `mothernets(n_clusters=2)`",
            received=f"`{text}`",
        ) from error
    return call.func.id, settings


def _arguments(name: str) -> list[str]:
    """The settings that an entry of this method can have."""
    known = [each for each in inspect.signature(METHODS[name]).parameters if each != "seed"]
    known = [each for each in known if each not in ("members", "member", "member_epochs")]
    own = ["member_share"] if name == "mothernets" else []
    return [*known, *own, *(["network"] if name in ONE_NETWORK else []), "learning_rate"]
