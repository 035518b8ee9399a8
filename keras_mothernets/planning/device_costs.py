"""What layers cost on a device: measured once, kept in a file, and asked for any network."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np

from keras_mothernets.errors import MotherNetsError, reason_of
from keras_mothernets.graph import read
from keras_mothernets.planning.corrections import Corrections
from keras_mothernets.planning.device import device_here, file_of
from keras_mothernets.planning.law import Law
from keras_mothernets.planning.optimizer_costs import (
    OptimizerCosts,
    kind_of,
    measure_optimizer,
)
from keras_mothernets.planning.overheads import (
    Alone,
    Overheads,
    measure_overheads,
    probe_optimizer,
)
from keras_mothernets.planning.pace import (
    forget_pace,
    pace_lately,
    pace_now,
    reference_primitives,
)
from keras_mothernets.planning.primitive import Primitive, Sizes, primitives_of
from keras_mothernets.planning.standard import standard_primitives
from keras_mothernets.planning.stopwatch import measure
from keras_mothernets.planning.workers import measure_workers
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.files import write_atomically
from keras_mothernets.training.processes import cores

VERSION = 1
ENOUGH = 6  # sizes at which a kind that no device is measured with is measured when first met


class Measured(NamedTuple):
    """Seconds of a primitive, or of a step.

    Args:
        forward: For inference.
        training: Forward and backward.
    """

    forward: float
    training: float


class DeviceCosts:
    """Predicts what networks take on this device, from the times of their layers one by one.

    Args:
        device: The device in words.
        path: The file to keep the measurements in; `None` for none.

    Attributes:
        overheads: What a job takes besides its layers; `None` before the first measurement.
        corrections: What finished jobs taught.

    Example:
        >>> costs = DeviceCosts("CPU")
        >>> costs.is_measured
        False

    Source: Idreos et al., "The Data Calculator" (SIGMOD 2018): the cost of a design is put together
    from primitives that were measured on the hardware, without building the design.
    """

    def __init__(self, device: str, path: Path | None = None) -> None:
        self.device = device
        self.path = path
        self.overheads: Overheads | None = None
        self.corrections = Corrections()
        self._measured: dict[str, dict[Sizes, Measured]] = defaultdict(dict)
        self._optimizers: dict[str, OptimizerCosts] = {}
        self._workers: dict[int, tuple[float, float]] = {}
        self._laws: dict[str, tuple[Law, Law]] = {}

    @classmethod
    def here(cls) -> DeviceCosts:
        """The costs of this device as its file has them; empty if there is none.

        A file that is damaged or newer is warned of and not read.
        """
        device = device_here()
        path = file_of(device)
        if path.exists():
            try:
                return cls.load(path)
            except MotherNetsError as error:
                warnings.warn(str(error), stacklevel=2)
        return cls(device, path)

    @property
    def is_measured(self) -> bool:
        """Whether `measure` has been called for this device, in this process or an earlier one."""
        return self.overheads is not None

    def measure(self, tell: Callable[[str], object] = lambda text: None) -> Self:
        """Measure the standard layers and what jobs take besides, and keep it in the file.

        It takes about a minute on two CPU cores; other work beside it makes it wrong.

        Args:
            tell: Is given a sentence now and then.

        Returns:
            These costs.
        """
        primitives = [*standard_primitives(), *reference_primitives()]
        tell(f"Measuring {len(primitives)} layers on {self.device}, once for this device")
        self._measure(primitives)
        tell("Measuring what a training takes besides its layers")
        self.overheads = measure_overheads(self._probe_seconds)
        forget_pace(self.device)
        self.save()
        return self

    def pace(self) -> float:
        """How many times as long layers take now as when the device was measured.

        A machine that others share is not always as fast. A few layers are measured again for
        that, in a second or two, unless that was done in the last two minutes.
        """
        known = {
            one: self._measured[one.kind][one.sizes].training
            for one in reference_primitives()
            if one.sizes in self._measured[one.kind]
        }
        with _alone("How fast the device is now"):
            return pace_now(self.device, known, lambda one: measure(one)[1])

    @property
    def known_pace(self) -> float:
        """What `pace` has told in the last two minutes, else 1; nothing is measured."""
        return pace_lately(self.device) or 1.0

    def meet(self, networks: Iterable[Counter[Primitive]], seconds: float = math.inf) -> None:
        """Measure what is not known yet of some networks.

        Kinds of layers of which nothing is known are measured at a few sizes, however long it
        takes; then layers at their own sizes, those first that make up most of a step.

        Args:
            networks: Their primitives.
            seconds: How long to measure layers at their own sizes.
        """
        wanted: Counter[Primitive] = Counter()
        for network in networks:
            wanted += network
        missing = [one for one in wanted if one.sizes not in self._measured[one.kind]]
        if not missing:
            return
        pace = self.pace()
        self._measure(_few_of_each([one for one in missing if not self._measured[one.kind]]), pace)
        missing = [one for one in missing if one.sizes not in self._measured[one.kind]]
        missing.sort(key=lambda one: -wanted[one] * self.step(Counter([one])).training)
        end = time.perf_counter() + seconds
        self._measure(itertools.takewhile(lambda one: time.perf_counter() < end, missing), pace)
        self.save()

    @property
    def slower(self) -> dict[int, float]:
        """By number of worker processes, how many times as long a job takes in one of them."""
        return {count: factor for count, (factor, _) in self._workers.items()}

    @property
    def worker_start(self) -> float:
        """Seconds until worker processes are ready."""
        return max((start for _, start in self._workers.values()), default=0.0)

    def step(self, network: Counter[Primitive]) -> Measured:
        """Seconds of a step's layers one by one.

        Args:
            network: The primitives of the network.

        Raises:
            MotherNetsError: Nothing is known of a kind of layer.
        """
        by_kind: dict[str, list[tuple[Sizes, int]]] = defaultdict(list)
        for one, count in network.items():
            by_kind[one.kind].append((one.sizes, count))
        forward = training = 0.0
        for kind, pairs in by_kind.items():
            sizes = [size for size, _ in pairs]
            counts = np.array([count for _, count in pairs])
            forward += float(counts @ self._seconds(kind, sizes, 0))
            training += float(counts @ self._seconds(kind, sizes, 1))
        return Measured(forward, training)

    def optimizer(self, optimizer: keras.optimizers.Optimizer) -> OptimizerCosts:
        """What an optimizer takes.

        Args:
            optimizer: The optimizer; one of its kind is measured when first met.
        """
        kind = kind_of(optimizer)
        if kind not in self._optimizers:
            with _alone(f"Optimizer `{kind}`"):
                self._optimizers[kind] = measure_optimizer(optimizer)
            self.save()
        return self._optimizers[kind]

    def know_workers(self, count: int) -> None:
        """Measure how much slower jobs are side by side in so many processes, if not known yet.

        Args:
            count: Number of worker processes; with more than there are cores they share these.
        """
        if count > 1 and count not in self._workers:
            here = min(count, max(2, cores()))
            if here not in self._workers:
                self._workers[here] = measure_workers(here)
            factor, start = self._workers[here]
            self._workers[count] = (factor * count / here, start)
            self.save()

    def save(self) -> None:
        """Write the file, if there is one; a folder that cannot be written is passed over."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, checked_json(self.to_json()))
        except OSError as error:
            warnings.warn(f"Measured costs cannot be kept in `{self.path}`: {error}", stacklevel=2)
            self.path = None

    @classmethod
    def load(cls, path: Path) -> DeviceCosts:
        """Read a file that `save` wrote.

        Args:
            path: The file.

        Raises:
            MotherNetsError: It is damaged, or of a newer version.
        """
        try:
            values = read_checked_json(path, since=1)
            if values["version"] > VERSION:
                raise ValueError(f"it is of version {values['version']}, newer than {VERSION}")
            return cls.from_json(values, path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MotherNetsError(
                f"Measured costs cannot be read from `{path}`",
                received=f"{type(error).__name__}: {error}",
                fix="Delete the file; it is measured anew",
            ) from error

    def to_json(self) -> dict[str, Any]:
        """All that is known, as plain values."""
        return {
            "version": VERSION,
            "device": self.device,
            "overheads": None if self.overheads is None else asdict(self.overheads),
            "optimizers": {kind: asdict(one) for kind, one in self._optimizers.items()},
            "workers": {str(count): list(both) for count, both in self._workers.items()},
            "corrections": self.corrections.to_json(),
            "primitives": {
                kind: [[*sizes.values, *seconds] for sizes, seconds in rows.items()]
                for kind, rows in self._measured.items()
                if rows
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], path: Path | None = None) -> DeviceCosts:
        """Read what `to_json` gave."""
        costs = cls(str(values["device"]), path)
        if values["overheads"] is not None:
            costs.overheads = Overheads(**values["overheads"])
        costs._optimizers = {
            kind: OptimizerCosts(**one) for kind, one in values["optimizers"].items()
        }
        costs._workers = {int(count): (a, b) for count, (a, b) in values["workers"].items()}
        costs.corrections = Corrections.from_json(values["corrections"])
        for kind, rows in values["primitives"].items():
            for *sizes, forward, training in rows:
                costs._measured[kind][Sizes(*sizes)] = Measured(forward, training)
        return costs

    def _measure(self, primitives: Iterable[Primitive], pace: float = 1.0) -> None:
        """Keep what primitives take at the pace at which the device was measured."""
        for one in primitives:
            with _alone(f"Layer `{one.node.name}`"):
                forward, training = measure(one)
            self._measured[one.kind][one.sizes] = Measured(forward / pace, training / pace)
            self._laws.pop(one.kind, None)

    def _seconds(self, kind: str, sizes: list[Sizes], which: int) -> np.ndarray:
        """Seconds of primitives of one kind: as measured, else by the law."""
        known = self._measured[kind]
        if not known:
            raise MotherNetsError(
                f"It is not known how long `{kind}` takes on this device",
                fix="Call `meet` with the network first",
            )
        if kind not in self._laws:
            self._laws[kind] = tuple(  # type: ignore[assignment]
                Law(list(known), [seconds[each] for seconds in known.values()]) for each in (0, 1)
            )
        told = self._laws[kind][which].many(sizes)
        exact = [known[size][which] if size in known else np.nan for size in sizes]
        return np.where(np.isnan(exact), told, exact)

    def _probe_seconds(self, model: keras.Model, batch: int) -> Alone:
        """What `measure_overheads` asks for."""
        network = primitives_of(read(model), batch)
        self._measure(one for one in network if one.sizes not in self._measured[one.kind])
        step = self.step(network)
        optimizer = self.optimizer(probe_optimizer())
        update = optimizer.update(len(model.trainable_variables), model.count_params())
        return Alone(step.training, update, step.forward)


@contextlib.contextmanager
def _alone(what: str) -> Iterator[None]:
    """Say what could not be run alone; a plan then has no seconds, and trains all the same."""
    try:
        yield
    except MotherNetsError:
        raise
    except Exception as error:
        raise MotherNetsError(
            f"{what} cannot be measured alone",
            received=f"{type(error).__name__}: {reason_of(error)}",
        ) from error


def _few_of_each(primitives: list[Primitive]) -> Iterator[Primitive]:
    """Of each kind a few, spread over their sizes."""
    kinds: dict[str, list[Primitive]] = defaultdict(list)
    for one in primitives:
        kinds[one.kind].append(one)
    for found in kinds.values():
        found.sort(key=lambda one: (one.sizes.inputs, one.sizes.parameters))
        places = np.linspace(0, len(found) - 1, min(ENOUGH, len(found))).round().astype(int)
        yield from (found[place] for place in places)
