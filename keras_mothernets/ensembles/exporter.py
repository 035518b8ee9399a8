"""One export: any of its members as what is served, as a card, as files, and how fast these are."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mothernets.ensembles.endpoints import MEANINGS, Served, serve
from keras_mothernets.ensembles.export_format import Format, Runner
from keras_mothernets.ensembles.latency import Latency, measure_latency
from keras_mothernets.ensembles.model_card import (
    JSON,
    MARKDOWN,
    CardMember,
    CardTensor,
    ModelCard,
)
from keras_mothernets.ensembles.probe import checked_deviation, probe
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError, reason_of
from keras_mothernets.member import Member
from keras_mothernets.training.versions import versions_here


@dataclass(frozen=True, eq=False)
class Exporter:
    """What all exports of some of these members have in common.

    Args:
        format: The format.
        members: All members.
        weights: One number of at least 0 for each.
        squashings: For each what makes probabilities of its logits, or `None`.
        task: What they predict.
        endpoints: As `chosen_endpoints` takes them.
        preprocessing: As `as_preprocessing` takes it, or `None`.
        class_names: Names of the classes, if they are known.
        given: What the user tells in the card.
    """

    format: Format
    members: Sequence[Member]
    weights: np.ndarray
    squashings: Sequence[str | None]
    task: Task
    endpoints: Iterable[str] | None
    preprocessing: Any
    class_names: tuple[str, ...] | None
    given: dict[str, Any]

    def write(
        self, positions: Sequence[int], folder: Path, latency: Latency | None = None
    ) -> ModelCard:
        """Write some of the members with their card, and prove that they answer as they should.

        Args:
            positions: Which members.
            folder: An empty folder.
            latency: For the card, where it was measured.

        Raises:
            MotherNetsError: They cannot be written in this format.
        """
        served = self.serve(positions)
        card = replace(self.card(positions, served), latency=latency)
        self._write(served, folder, card)
        runner = self._load(folder)
        card = replace(card, deviation=checked_deviation(served.model, runner))
        (folder / MARKDOWN).write_text(str(card), encoding="utf-8")
        (folder / JSON).write_text(card.to_json(), encoding="utf-8")
        return card

    def latency(self, positions: Sequence[int], batch_size: int) -> Latency:
        """The time that the files of some of the members take for one answer.

        Args:
            positions: Which members.
            batch_size: Examples in one answer.

        Raises:
            MotherNetsError: They cannot be written in this format.
        """
        served = self.serve(positions)
        inputs = probe(served.model, batch_size)
        with tempfile.TemporaryDirectory() as folder:
            self._write(served, Path(folder), self.card(positions, served))
            runner = self._load(Path(folder))
            return measure_latency(lambda: runner(inputs), batch_size)

    def serve(self, positions: Sequence[int]) -> Served:
        """What is served of some of the members.

        Raises:
            MotherNetsError: Endpoints, weights or preprocessing cannot be used.
        """
        return serve(
            [self.members[position] for position in positions],
            self._shares(positions),
            [self.squashings[position] for position in positions],
            self.task,
            endpoints=self.endpoints,
            preprocessing=self.preprocessing,
        )

    def card(self, positions: Sequence[int], served: Served) -> ModelCard:
        """The card of some of the members, before anything is measured."""
        inputs = _tensors(served.model.input)
        return ModelCard(
            format=self.format.name,
            task=self.task.value,
            members=tuple(
                CardMember(member.label, member.model.count_params(), float(share))
                for member, share in zip(
                    [self.members[position] for position in positions],
                    self._shares(positions),
                    strict=True,
                )
            ),
            inputs=inputs,
            outputs=_tensors(served.model.output),
            endpoints=served.endpoints,
            class_names=self.class_names,
            has_preprocessing=self.preprocessing is not None,
            loading=self.format.loading(inputs),
            date=datetime.date.today().isoformat(),
            versions=versions_here(),
            given=self.given,
        )

    def _write(self, served: Served, folder: Path, card: ModelCard) -> None:
        try:
            self.format.write(served, folder, card)
        except (MotherNetsError, OSError):  # these say what it is
            raise
        except Exception as error:  # a layer of the user's that cannot be traced, for example
            raise MotherNetsError(
                f'The ensemble cannot be written in format "{self.format.name}"',
                received=f"{type(error).__name__}: {reason_of(error)}",
            ) from error

    def _load(self, folder: Path) -> Runner:
        try:
            return self.format.load(folder)
        except Exception as error:  # the runtimes raise all kinds
            raise MotherNetsError(
                f'The files of format "{self.format.name}" were written, and cannot be loaded',
                received=f"{type(error).__name__}: {reason_of(error)}",
                fix="Nothing was kept; try another format",
            ) from error

    def _shares(self, positions: Sequence[int]) -> np.ndarray:
        return as_shares(self.weights[list(positions)], len(positions))


def _tensors(tensors: dict[str, Any]) -> tuple[CardTensor, ...]:
    return tuple(
        CardTensor(name, (None, *tensor.shape[1:]), str(tensor.dtype), MEANINGS.get(name, ""))
        for name, tensor in tensors.items()
    )
