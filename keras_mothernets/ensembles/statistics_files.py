"""The directory of statistics: predictions, labels and sums, each file whole or not there.

`statistics.json` is written last and tells everything: which members there are, and in which files
with which checksums. A batch of files holds what was added since the save before; it is never
written again, so that files which are mapped into memory stay as they are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_mothernets.ensembles.additive import kinds, member_type
from keras_mothernets.ensembles.aggregates import Aggregates
from keras_mothernets.ensembles.kept_examples import KeptExamples
from keras_mothernets.ensembles.stack import Stack
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import RunError
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.files import replace_atomically, sha256_of, write_atomically

INDEX = "statistics.json"
KIND = "keras_mothernets statistics"
VERSION = 1
MAPPED_FROM = 64 * 2**20  # bytes: larger files are mapped, smaller ones read


@dataclass(frozen=True)
class Stored:
    """Who is a member.

    Args:
        names: Names of the members, in their order.
        rows: Where each lies among all that were ever added.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]


def write_statistics(path: Path, stored: Stored, aggregates: Aggregates) -> None:
    """Write what is not there yet, and then the index.

    Args:
        path: The directory.
        stored: Who is a member.
        aggregates: Predictions, labels and sums.

    Raises:
        RunError: Other statistics are there, or it cannot be written.
    """
    examples = aggregates.examples
    there = _same(path, aggregates) if (path / INDEX).exists() else None
    files = dict(there["files"]) if there else {}
    batches = list(there["batches"]) if there else []
    first = sum(batches)
    try:
        path.mkdir(parents=True, exist_ok=True)
        arrays = {} if there else {"labels.npy": lambda: examples.labels}
        if first < examples.num_members:
            arrays |= _batch(aggregates, len(batches), first)
            batches.append(examples.num_members - first)
        for name, make in arrays.items():
            replace_atomically(path / name, partial(np.save, arr=make(), allow_pickle=False))
            files[name] = sha256_of(path / name)
        index = {
            "kind": KIND,
            "version": VERSION,
            "task": examples.task.value,
            "chunk": aggregates.chunk,
            "examples": examples.num_examples,
            "width": examples.width,
            "names": list(stored.names),
            "rows": list(stored.rows),
            "batches": batches,
            "checksums": list(examples.checksums),
            "files": files,
        }
        write_atomically(path / INDEX, checked_json(index))
    except OSError as error:
        raise RunError(
            f"Statistics cannot be written into `{path}`", received=str(error)
        ) from error


def read_statistics(path: Path, *, verify: bool) -> tuple[Stored, Aggregates]:
    """Read what `write_statistics` wrote.

    Args:
        path: The directory.
        verify: Whether to compare checksums of all files, and not only that of the index.

    Raises:
        RunError: There is nothing, it is damaged, or a newer version wrote it.
    """
    index = _read_index(path)
    with _damage(path):
        task, width, chunk = Task(index["task"]), index["width"], index["chunk"]
        boundaries = -(-index["examples"] // chunk) + 1
        if verify:
            _verify(path, index["files"])
        labels = _read(path / "labels.npy")
        read = partial(_read_batches, path, index["batches"])
        named = None
        if task is Task.CLASSES:
            named = read("named", np.min_scalar_type(width - 1), len(labels))
        values = read("values", np.dtype("f8"), index["examples"], width)
        if len(labels) != index["examples"]:
            raise ValueError(f"`labels.npy` has {len(labels)} labels")
        examples = KeptExamples(task, labels, values, named, tuple(index["checksums"]))
        aggregates = Aggregates(examples, chunk)
        for name in aggregates.orders:
            aggregates.keep(
                name,
                read(f"pairs_{name}", np.dtype("f8"), boundaries, kinds(task), axis=-1),
                read(f"members_{name}", member_type(task, width), boundaries, axis=-1),
            )
        return Stored(tuple(index["names"]), tuple(index["rows"])), aggregates


def _batch(aggregates: Aggregates, number: int, first: int) -> dict[str, Callable[[], np.ndarray]]:
    """Files of the members from `first` on, by name."""
    examples, last = aggregates.examples, aggregates.examples.num_members
    stacks: dict[str, tuple[Stack, int, int]] = {"values": (examples.values, first, last)}
    if examples.named is not None:
        stacks["named"] = (examples.named, first, last)
    for name in aggregates.orders:
        sums = aggregates.running(name)
        cells = first * (first + 1) // 2, last * (last + 1) // 2
        stacks[f"pairs_{name}"] = (sums.pairs, *cells)
        stacks[f"members_{name}"] = (sums.members, first, last)
    return {
        f"{number:04}_{what}.npy": partial(stack.between, start, stop)
        for what, (stack, start, stop) in stacks.items()
    }


def _same(path: Path, aggregates: Aggregates) -> dict[str, Any]:
    """The index that is there, if it is of these statistics with as many members or fewer."""
    index = _read_index(path)
    examples = aggregates.examples
    given = {
        "task": examples.task.value,
        "chunk": aggregates.chunk,
        "examples": examples.num_examples,
        "width": examples.width,
        "checksums": list(examples.checksums[: len(index["checksums"])]),
    }
    differences = [name for name, value in given.items() if index[name] != value]
    if differences:
        raise RunError(
            f"`{path}` holds other statistics",
            expected="these ones, with as many members or fewer",
            received=f"others in {', '.join(differences)}",
            fix="Choose another directory, or delete this one",
        )
    return index


def _read_index(path: Path) -> dict[str, Any]:
    if not (path / INDEX).exists():
        raise RunError(
            f"There are no statistics in `{path}`",
            expected=f"a file `{INDEX}`, as `save` writes it",
        )
    with _damage(path):
        told = json.loads((path / INDEX).read_bytes())
        if not isinstance(told, dict) or told.get("kind") != KIND:
            raise RunError(
                f"`{path / INDEX}` is not of statistics", expected="what `save` has written"
            )
        if told.get("version") != VERSION:
            raise RunError(
                f"The statistics in `{path}` are of another version",
                expected=f"version {VERSION}",
                received=told.get("version"),
                fix="Read them with the keras_mothernets that wrote them, or a newer one",
            )
        return read_checked_json(path / INDEX, since=0)


def _verify(path: Path, files: dict[str, str]) -> None:
    for name, checksum in files.items():
        if sha256_of(path / name) != checksum:
            raise ValueError(f"the checksum of `{name}` does not agree")


def _read_batches(
    path: Path, batches: list[int], what: str, dtype: np.dtype, *other: int, axis: int = 0
) -> Stack:
    """One stack from the files of all batches; their form must be what the index tells.

    Args:
        path: The directory.
        batches: Members of each batch.
        what: Which of its files.
        dtype: What is in them.
        *other: Lengths of the other axes.
        axis: The axis along which members, or pairs of them, lie.
    """
    parts = []
    first = 0
    for number, count in enumerate(batches):
        last = first + count
        length = (last * (last + 1) - first * (first + 1)) // 2 if "pairs" in what else count
        shape = (length, *other) if axis == 0 else (*other, length)
        name = f"{number:04}_{what}.npy"
        part = _read(path / name)
        if part.dtype != dtype or part.shape != shape:
            raise ValueError(f"`{name}` has {part.dtype} of shape {part.shape}")
        parts.append(part)
        first = last
    return Stack(tuple(parts), axis)


def _read(path: Path) -> np.ndarray:
    if path.stat().st_size >= MAPPED_FROM:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    return np.asarray(np.load(path, allow_pickle=False))


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What the block cannot read is damaged."""
    try:
        yield
    except RunError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise RunError(
            f"The statistics in `{path}` cannot be read",
            received=str(error),
            fix="Delete them, and make them anew from predictions",
        ) from error
