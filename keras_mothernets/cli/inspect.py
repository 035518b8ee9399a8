"""`keras-mothernets inspect`: what members have in common, without training anything."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from keras_mothernets.cli.outcome import Outcome
from keras_mothernets.cli.sources import load_ensemble
from keras_mothernets.clustering import Cluster, cluster
from keras_mothernets.graph import read
from keras_mothernets.member import Member
from keras_mothernets.surgery import explain
from keras_mothernets.training.text import text_table

NAMES_SHOWN = 4


def run(arguments: argparse.Namespace) -> Outcome:
    """Print architectures, mothers, and what each member inherits and has inserted.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: A network cannot be read, or members cannot share a mother.
    """
    members = load_ensemble(
        arguments.ensemble,
        arguments.input_shape,
        arguments.num_classes,
        allow_code=arguments.allow_code,
        width=arguments.width,
    )
    clusters = cluster(members, arguments.clusters)
    for member in members:
        if not arguments.brief:
            print(f"{replace(read(member.model), name=member.label)}\n")
    for number, found in enumerate(clusters, start=1):
        print(_describe(number, found, members, brief=arguments.brief))
    return Outcome([_told(found, members) for found in clusters])


def _told(found: Cluster, members: list[Member]) -> dict[str, Any]:
    """What `--json` prints of a cluster."""
    told = {}
    for index in found.indices:
        plan = explain(found.mothernet, members[index].model)
        told[members[index].label] = {
            "parameters": members[index].model.count_params(),
            "inherits": plan.inherited,
            "inserts": list(plan.inserted),
        }
    return {"mothernet_parameters": found.mothernet.count_params(), "members": told}


def _describe(number: int, found: Cluster, members: list[Member], *, brief: bool) -> str:
    """One cluster: its mother, and a line per member."""
    mother = read(found.mothernet)
    rows = []
    for index in found.indices:
        member = members[index]
        plan = explain(found.mothernet, member.model)
        total = member.model.count_params()
        rows.append([member.label, f"{total:,}", f"{plan.inherited:.1%}", _listed(plan.inserted)])
    table = text_table(["member", "parameters", "inherits", "inserts"], rows)
    title = f"MotherNet {number} has {mother.num_params:,} parameters and grows into"
    table = "\n".join([table, *(f"apart because {reason}" for reason in found.apart)])
    return f"{title}\n{table}\n" if brief else f"{mother}\n\n{title}\n{table}\n"


def _listed(names: tuple[str, ...]) -> str:
    """The first few names, and how many more there are."""
    if not names:
        return "nothing"
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f", and {more} more" if more > 0 else "")
