"""`keras-mothernets export`: the members of a run, or of a folder, as files that answer."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_mothernets import datasets
from keras_mothernets.cli.kept_command import COMMAND, kept_arguments
from keras_mothernets.cli.model_files import load_files, load_folder
from keras_mothernets.cli.outcome import Outcome
from keras_mothernets.cli.train import alike_outputs
from keras_mothernets.ensembles import export
from keras_mothernets.ensembles.positions import positions_of
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.member import Member
from keras_mothernets.training.job_files import JobFiles
from keras_mothernets.training.run_directory import RunDirectory
from keras_mothernets.training.run_status import JobStatus, read_status

SAID = {"yes": True, "no": False, "softmax": "softmax", "sigmoid": "sigmoid"}
# What a run directory tells of a member; others of its figures are of the training.
MEASURE = "val_"


@dataclass(frozen=True)
class Source:
    """Networks, and what is known of them.

    Args:
        members: The networks.
        logits: Whether they give logits, if that is known.
        class_names: Names of the classes, if they are known.
        card: What the card can tell of them.
    """

    members: list[Member]
    logits: Any = None
    class_names: tuple[str, ...] | None = None
    card: dict[str, Any] = field(default_factory=dict)


def run(arguments: argparse.Namespace) -> Outcome:
    """Export, and print the model card.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: There are no finished members, or they cannot be exported.
    """
    source = _read(arguments)
    given = {"title": arguments.title, "license": arguments.license}
    card = export(
        source.members,
        arguments.out,
        arguments.format,
        endpoints=arguments.endpoints,
        max_members=arguments.max_members,
        max_latency_ms=arguments.max_latency_ms,
        batch_size=arguments.batch_size,
        logits=source.logits if arguments.logits is None else SAID[arguments.logits],
        class_names=arguments.class_names or source.class_names,
        card={**source.card, **{key: value for key, value in given.items() if value}},
        overwrite=arguments.overwrite,
    )
    print(f"{card}\nExported to {arguments.out}")
    return Outcome({"folder": str(arguments.out), "format": arguments.format})


def _read(arguments: argparse.Namespace) -> Source:
    folder = arguments.source
    if (folder / "plan.json").exists():
        source = _of_run(arguments)
        return _with_command(source, folder) if (folder / COMMAND).exists() else source
    if not folder.is_dir():
        raise MotherNetsError(
            f"There is no folder `{folder}`",
            expected="a run directory, or a folder of .keras files",
        )
    members = load_folder(folder, allow_code=arguments.allow_code)
    return Source(_chosen(members, arguments.members))


def _of_run(arguments: argparse.Namespace) -> Source:
    """The finished members of a run, or those of them that are named."""
    directory = RunDirectory(arguments.source)
    plan = directory.stored_plan()
    assert plan is not None, "there is a plan.json"
    jobs = [job for job in read_status(arguments.source).jobs if job.role == "member"]
    names = [job.job for job in jobs]
    if arguments.members is not None:
        jobs = [jobs[position] for position in positions_of(names, arguments.members)]
    _check_finished(jobs, names)
    files = JobFiles(directory.path, plan)
    paths = [(job.job, files.folder(plan[job.job]) / "model.keras") for job in jobs]
    measures = {
        f"{job.job}: {name}": value
        for job in jobs
        for name, value in job.metrics.items()
        if name.startswith(MEASURE)
    }
    card = {"description": f"Trained by {plan.method}."}
    return Source(
        load_files(paths, allow_code=arguments.allow_code),
        card={**card, "measures": measures} if measures else card,
    )


def _check_finished(jobs: list[JobStatus], names: list[str]) -> None:
    waiting = [job.job for job in jobs if job.state != "finished"]
    if waiting or not jobs:
        finished = [name for name in names if name not in waiting]
        raise MotherNetsError(
            "The run has members that are not finished",
            expected="members that are finished, as `keras-mothernets status` tells",
            received=", ".join(f"`{name}`" for name in waiting) or "no members",
            fix=f"Go on with the run, or name others: --members {' '.join(finished)}"
            if finished
            else "Go on with the run",
        )


def _with_command(source: Source, folder: Path) -> Source:
    """What is known of a run of `keras-mothernets train`: its data set, and what a loss takes."""
    command = kept_arguments(folder)
    card = {**source.card, "data": f"Data set `{command.dataset}`"}
    logits = not alike_outputs(source.members)
    try:
        names = datasets.class_names(command.dataset, data_dir=command.data_dir)
    except MotherNetsError:  # the data set may be gone, or on another machine
        names = None
    return replace(source, logits=logits, class_names=names, card=card)


def _chosen(members: list[Member], names: list[str] | None) -> list[Member]:
    if names is None:
        return members
    known = [member.label for member in members]
    return [members[position] for position in positions_of(known, names)]
