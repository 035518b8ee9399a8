"""The networks of a run as strips of cells, each mother inside the networks hatched from her."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_mothernets.graph import Node
from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.surgery import HatchPlan, explain
from keras_mothernets.surgery.plan import LayerPlan
from keras_mothernets.training.job import Hatch, Job

# A column of a strip: the number of the mother's layer, and how many were inserted since.
Column = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """A layer with weights.

    Args:
        column: Number of its column.
        how: "mother", "inherited", "widened", "inserted" or "fresh".
        words: Name, kind and size of the layer.
    """

    column: int
    how: str
    words: str


@dataclass(frozen=True)
class Strip:
    """The layers of one network.

    Args:
        name: Name of its job.
        parameters: Number of parameters.
        inherited: Share of them that are the mother's, 0 to 1; `None` of a mother.
        cells: Its layers.
    """

    name: str
    parameters: int
    inherited: float | None
    cells: tuple[Cell, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of layers of each kind."""
        return dict(Counter(cell.how for cell in self.cells))


@dataclass(frozen=True)
class Stage:
    """Neighbouring columns of one resolution.

    Args:
        words: The resolution.
        first: Number of its first column.
        columns: Number of columns.
    """

    words: str
    first: int
    columns: int


@dataclass(frozen=True)
class Family:
    """A mother and the networks hatched from her, in common columns.

    Args:
        mother: Her strip.
        children: Theirs.
        stages: All columns, by resolution.
    """

    mother: Strip
    children: tuple[Strip, ...]
    stages: tuple[Stage, ...]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return sum(stage.columns for stage in self.stages)


def families(run: RunData) -> list[Family]:
    """All mothers of a run with what was hatched from them; empty where nothing was hatched.

    Args:
        run: The run.

    Raises:
        MotherNetsError: A network cannot be loaded or read.
    """
    parents = dict.fromkeys(
        job.start.parent
        for job in run.plan
        if isinstance(job.start, Hatch) and job.name in run.records
    )
    return [_family(run, parent) for parent in parents if parent in run.records]


def from_scratch(run: RunData) -> list[Job]:
    """The finished members that were hatched from nobody."""
    return [job for job in run.members if not isinstance(job.start, Hatch)]


def _family(run: RunData, parent: str) -> Family:
    jobs = [
        job
        for job in run.plan
        if isinstance(job.start, Hatch) and job.start.parent == parent and job.name in run.records
    ]
    mother = run.network(run.plan[parent])
    plans = {job.name: explain(mother, run.network(job)) for job in jobs}
    first = next(iter(plans.values()))
    own = [layer for layer in _with_weights(first) if not layer.is_inserted]
    position = {layer.step.mother.layer.path: number for number, layer in enumerate(own)}
    placed = {name: list(_placed(plan, position)) for name, plan in plans.items()}
    mothers = [((number, 0), layer.step.mother) for number, layer in enumerate(own)]
    resolution = dict(mothers)
    for cells in placed.values():
        for column, layer in cells:
            resolution.setdefault(column, layer.step.member)
    columns = {column: number for number, column in enumerate(sorted(resolution))}
    return Family(
        Strip(
            parent,
            run.plan[parent].parameters,
            None,
            tuple(Cell(columns[column], "mother", _words(node)) for column, node in mothers),
        ),
        tuple(
            Strip(
                name,
                run.plan[name].parameters,
                plans[name].inherited,
                tuple(
                    Cell(
                        columns[column], _how(layer), f"{_words(layer.step.member)}, {_how(layer)}"
                    )
                    for column, layer in cells
                ),
            )
            for name, cells in placed.items()
        ),
        tuple(_stages([_resolution(resolution[column]) for column in columns])),
    )


def _with_weights(plan: HatchPlan) -> list[LayerPlan]:
    return [layer for layer in plan.layers if layer.variables]


def _placed(
    plan: HatchPlan, position: dict[tuple[str, ...], int]
) -> Iterator[tuple[Column, LayerPlan]]:
    """Each layer with its column: below the mother's own, or behind the one before it."""
    anchor, inserted = -1, 0
    for layer in _with_weights(plan):
        at = None if layer.is_inserted else position.get(layer.step.mother.layer.path)
        if at is None:
            inserted += 1
        else:
            anchor, inserted = at, 0
        yield (anchor, inserted), layer


def _cell(column: int, layer: LayerPlan) -> Cell:
    how = _how(layer)
    return Cell(column, how, f"{_words(layer.step.member)}, {how}")


def _how(layer: LayerPlan) -> str:
    if layer.step.how == "inserted":
        return "inserted"
    if layer.is_inserted:
        return "fresh"
    before = layer.step.mother.layer.variables
    is_same = all(before.get(variable.name) == variable.shape for variable in layer.variables)
    return "inherited" if is_same else "widened"


def _words(node: Node) -> str:
    shape = next(iter(node.layer.variables.values()), ())
    size = "×".join(map(str, shape))
    return f"{node.layer.name}: {node.layer.cls.__name__} {size}".rstrip()


def _resolution(node: Node) -> str:
    shape = node.output_shapes[0] if node.output_shapes else ()
    return "×".join("?" if size is None else str(size) for size in shape[:-1]) or "flat"


def _stages(resolutions: Sequence[str]) -> Iterator[Stage]:
    first = 0
    for words, group in groupby(resolutions):
        count = len(list(group))
        yield Stage(words, first, count)
        first += count
