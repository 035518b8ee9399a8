"""`keras-mothernets plan`: what an ensemble will take, and what a budget allows."""

from __future__ import annotations

import argparse
from typing import Any

from keras_mothernets import datasets, reporting
from keras_mothernets.cli.outcome import Outcome
from keras_mothernets.cli.proposal_file import keep_proposal
from keras_mothernets.cli.sources import check_source, members_for
from keras_mothernets.cli.train import compile_for, optimizer_of
from keras_mothernets.methods import MotherNets
from keras_mothernets.planning import DeviceCosts, measure_device
from keras_mothernets.planning.choice import Proposals
from keras_mothernets.training.files import check_writable


def run(arguments: argparse.Namespace) -> Outcome:
    """Measure the device if it is new, propose, draw, and keep the best proposal.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: Something does not fit, or a file cannot be written.
    """
    check_source(arguments.ensemble, width=arguments.width, augment=arguments.augment)
    for path in (arguments.out, arguments.plot):
        if path is not None:
            check_writable(path)
    if arguments.plot is not None:
        reporting.check_picture(arguments.plot)
    data = datasets.load(
        arguments.dataset, data_dir=arguments.data_dir, validation=arguments.validation, seed=0
    )
    members = members_for(arguments, data)
    method = MotherNets(members, member_epochs=arguments.member_epochs)
    compile_for(method, members, optimizer_of(arguments))
    if arguments.measure or not DeviceCosts.here().is_measured:
        measure_device()
    found = method.propose(
        data.x_train,
        data.y_train,
        validation_data=(data.x_val, data.y_val) if len(data.x_val) else None,
        batch_size=arguments.batch_size,
        budget=arguments.budget,
        usd=arguments.usd,
        price=arguments.price,
        epochs=arguments.epochs,
        clusters=arguments.clusters,
        workers=arguments.workers,
        without=arguments.without,
        faster=arguments.faster,
    )
    _report(arguments, found)
    return Outcome([_told(one) for one in found.options])


def _report(arguments: argparse.Namespace, found: Proposals) -> None:
    best = found.best
    print(f"{best.plan}\n\n{found}")
    if arguments.plot is not None:
        title = f"{arguments.ensemble} on {arguments.dataset}"
        reporting.plot_proposals(found, arguments.plot, title=title)
        print(f"\nPicture: {arguments.plot}")
    if arguments.out is not None:
        keep_proposal(arguments, _told(best))
        print(
            f"\nProposal: {arguments.out}. To train it: keras-mothernets train"
            f" {arguments.ensemble} {arguments.dataset} --plan {arguments.out}"
        )


def _told(one: Any) -> dict[str, Any]:
    names = ("n_clusters", "epochs", "workers", "seconds", "effective_epochs")
    return {name: getattr(one, name) for name in names}
