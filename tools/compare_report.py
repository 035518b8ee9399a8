"""What `compare_cifar10.py` has measured so far: as a picture, and as a page of the docs."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import textwrap
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from keras_mothernets.errors import MotherNetsError

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tools" / "results"  # results that stand on the page
PAGE = ROOT / "docs" / "LONGER_TRAINING.md"
HEAD = """# Longer training, as in the paper

Written by `tools/compare_cifar10.py --page`. Independent training and MotherNets as in the paper
(`mother_part=1`: a mother is trained to the end of her schedule, and each member once more), up to
forty epochs. At short budgets the hatched ensemble is ahead, at long ones it is behind: its members
are better for their cost but more alike, so that averaging gives them less. Mothers that stop early
are better at equal cost (see `RESULTS.md`), and independent training wins later against them."""


@dataclass(frozen=True)
class Cell:
    """One trained and tested ensemble: a line of results.csv.

    Args:
        method: Name of the method.
        budget: Epochs from scratch, and after hatching: "20" or "20+10".
        seed: Seed of everything random.
        job_epochs: "job:epochs" for every job.
        wall_seconds: Training, validation left out; wall clock.
        cpu_seconds: The same in processor seconds over all cores.
        member_epochs: Cost in epochs of the average member, by multiplications.
        ensemble_error: Test error, 0 to 1, as are the next two.
        mean_member_error: Mean over members.
        best_member_error: Smallest over members, picked on the test data.
        nll: Negative log-likelihood of the ensemble, nats.
        disagreement: Mean over pairs of members of the part of images they name differently.
    """

    method: str
    budget: str
    seed: int
    job_epochs: str
    wall_seconds: float
    cpu_seconds: float
    member_epochs: float
    ensemble_error: float
    mean_member_error: float
    best_member_error: float
    nll: float
    disagreement: float


def read_cells(path: Path) -> list[Cell]:
    """Read results.csv.

    Args:
        path: The file; none yet is no results.

    Raises:
        MotherNetsError: A line is not as this version writes it.
    """
    if not path.exists():
        return []
    kinds = {"str": str, "int": int, "float": float}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            Cell(**{entry.name: kinds[str(entry.type)](row[entry.name]) for entry in fields(Cell)})
            for row in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise MotherNetsError(f"`{path}` is not as this version writes it: {error!r}") from error


def draw(cells: list[Cell], settings: dict[str, Any], path: Path) -> None:
    """Draw test error against training time.

    Args:
        cells: All results.
        settings: Those of the comparison.
        path: Where to write the picture.
    """
    from keras_mothernets.reporting import plot_error_against_time
    from keras_mothernets.reporting.plots import Point

    points = [
        Point(
            cell.method,
            f"{cell.budget.replace('+', ' + ')} epochs",
            cell.cpu_seconds / 60,
            cell.ensemble_error,
        )
        for cell in cells
    ]
    seeds = len({cell.seed for cell in cells})
    note = f" ({settings['note']})" if settings["note"] else ""
    data = f"{settings['train_size']:,} images of CIFAR-10{note}"
    title = (
        f"V5 at width {settings['width']:g} on {data}, {seeds} {'seeds' if seeds > 1 else 'seed'}"
    )
    plot_error_against_time(points, path, title=title, clock="CPU time of training")


def table(cells: list[Cell]) -> str:
    """One line of Markdown per method and budget, with mean and standard deviation over seeds."""
    headers = ["method", "epochs", "cost", "CPU minutes", "ensemble error %", "mean member %"]
    headers += ["best member %", "NLL", "disagreement %", "seeds"]
    lines = [f"| {' | '.join(headers)} |", "|---" * len(headers) + "|"]
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.method, cell.budget), []).append(cell)
    for (method, budget), group in sorted(
        groups.items(), key=lambda item: (item[0][0], item[1][0].member_epochs)
    ):
        figures = [
            f"{mean(cell.member_epochs for cell in group):.0f}",
            spread([cell.cpu_seconds / 60 for cell in group], 1),
            spread([100 * cell.ensemble_error for cell in group], 1),
            spread([100 * cell.mean_member_error for cell in group], 1),
            spread([100 * cell.best_member_error for cell in group], 1),
            spread([cell.nll for cell in group], 3),
            spread([100 * cell.disagreement for cell in group], 1),
            str(len(group)),
        ]
        lines.append(f"| {method} | {budget.replace('+', ' + ')} | {' | '.join(figures)} |")
    return "\n".join(lines)


def spread(values: list[float], digits: int) -> str:
    """Mean, and the standard deviation where there are several values."""
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def write_page(cells: list[Cell], settings: dict[str, Any], out: Path) -> None:
    """Write the page, and keep figures and picture beside the tool.

    Args:
        cells: All results.
        settings: Those of the comparison.
        out: Folder with results.csv and the picture.
    """
    KEPT.mkdir(exist_ok=True)
    shutil.copyfile(out / "results.csv", KEPT / "compare_cifar10.csv")
    shutil.copyfile(out / "error_against_time.png", KEPT / "compare_cifar10.png")
    PAGE.write_text(f"{HEAD}\n\n{results_text(cells, settings)}\n")
    print(f"Written: {PAGE}")


def results_text(cells: list[Cell], settings: dict[str, Any]) -> str:
    """What was done, the picture, the table."""
    machine = f"{os.cpu_count()} {platform.machine()} CPU cores"
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras"))
    sizes = f"{settings['train_size']:,} training and {settings['test_size']:,} test images"
    paragraph = (
        f"V5 at width {settings['width']:g} with BatchNormalization; {sizes} of CIFAR-10"
        f"{' (' + settings['note'] + ')' if settings['note'] else ''}; "
        "mirrored and shifted training images; SGD with Nesterov momentum 0.9, learning rate "
        f"rising to {settings['learning_rate']:g} and falling as a cosine to zero over each job, "
        f"weight decay {settings['weight_decay']:g}, batches of {settings['batch_size']}. "
        f"{machine}, {versions}. "
        "Figures are means ± standard deviations over seeds. Epochs of 20 + 10 are 20 of the "
        "mother and 10 of each member; cost counts epochs of the average member, by "
        "multiplications. The best member is picked on the test images."
    )
    picture = (
        "![Test error of the ensemble against training time](../tools/results/compare_cifar10.png)"
    )
    return f"{picture}\n\n{textwrap.fill(paragraph, 100)}\n\n{table(cells)}"
