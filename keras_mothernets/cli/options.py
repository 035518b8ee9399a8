"""Options that several commands share, or that belong together; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mothernets.cli.argument_types import (
    at_least,
    fraction,
    not_negative,
    numbers,
    positive,
)

METHODS = [
    "mothernets",
    "fulldata",
    "bagging",
    "distillation",
    "treenets",
    "snapshots",
    "geometric",
]
METHODS_HELP = (
    "mothernets (default); fulldata: every member from scratch; bagging: each on a sample of its "
    "own; distillation: the largest teaches the others; treenets: the first layers in common; "
    "snapshots and geometric: one network at several times"
)


def add_grid(compare: argparse.ArgumentParser) -> None:
    """What `compare` tries."""
    add = compare.add_argument
    add(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="METHOD",
        help=f"{METHODS_HELP}; each with settings if you like: 'mothernets(n_clusters=2, "
        "member_share=1)', 'fulldata(learning_rate=0.2)' (all, as they are)",
    )
    add(
        "--budgets",
        nargs="+",
        type=at_least(1),
        metavar="N",
        default=[4, 8],
        help="costs, in epochs of every member from scratch; every method trains for as many "
        "epochs as come nearest to that (4 8)",
    )
    add(
        "--learning-rates",
        nargs="+",
        type=positive,
        metavar="N",
        help="highest ones, each tried with every method (0.1 for sgd, 0.001 for the others)",
    )
    add("--seeds", nargs="+", type=at_least(0), metavar="N", default=[0], help="(0)")
    add("--train-size", type=at_least(1), metavar="N", help="use so many training images (all)")
    add("--test-size", type=at_least(1), metavar="N", help="use so many test images (all)")


def add_data(train: argparse.ArgumentParser) -> None:
    """Data, and what is done to it."""
    add = train.add_argument
    add("--data-dir", type=Path, help="where tensorflow-datasets keeps its data")
    add(
        "--validation",
        type=fraction,
        metavar="N",
        default=0.1,
        help="part of the training data held out (0.1); every network is kept as it was after the"
        " epoch with the least loss on it, or after the last one with 0",
    )
    add(
        "--augment",
        action="store_true",
        help="mirror and move training images; for networks of the zoo",
    )
    add_width(train)
    add_allow_code(train)


def add_width(command: argparse.ArgumentParser) -> None:
    """How wide networks of the zoo are."""
    command.add_argument(
        "--width",
        type=positive,
        metavar="N",
        default=1.0,
        help="width multiplier for networks of the zoo (1)",
    )


def add_allow_code(command: argparse.ArgumentParser) -> None:
    """Whether files may bring code."""
    command.add_argument(
        "--allow-code",
        action="store_true",
        help="load .keras files with Python code in them (`Lambda` layers), which then runs: only "
        "files that you trust",
    )


def add_method(train: argparse.ArgumentParser) -> None:
    """The method and its epochs."""
    add = train.add_argument
    add(
        "--method",
        choices=METHODS,
        default="mothernets",
        help=METHODS_HELP,
    )
    add(
        "--epochs",
        type=at_least(1),
        metavar="N",
        default=20,
        help="from scratch, and of the mother (20)",
    )
    add(
        "--member-epochs",
        type=at_least(0),
        metavar="N",
        help="of each member after hatching (a tenth of --epochs; half if the mother is a member)",
    )
    add("--clusters", type=at_least(1), metavar="N", help="number of MotherNets (1)")
    add("--network", metavar="NAME", help="the one that snapshots and geometric train (an average)")
    add("--seed", type=at_least(0), metavar="N", default=0, help="of everything random (0)")


def add_optimizer(train: argparse.ArgumentParser) -> None:
    """How networks are trained."""
    add = train.add_argument
    add(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        default=128,
        help="examples in one step (128)",
    )
    add(
        "--optimizer",
        choices=["sgd", "adam", "adamw"],
        default="sgd",
        help="sgd has Nesterov momentum 0.9 (default)",
    )
    add(
        "--learning-rate",
        type=positive,
        metavar="N",
        help="highest (0.1 for sgd, 0.001 for the others)",
    )
    add(
        "--weight-decay",
        type=not_negative,
        metavar="N",
        default=5e-4,
        help="decoupled: times the learning rate in each step (5e-4)",
    )
    add(
        "--constant",
        action="store_true",
        help="constant learning rate; by default it falls as a cosine over each job",
    )


def add_results(train: argparse.ArgumentParser) -> None:
    """What comes of a training, and where it goes."""
    add = train.add_argument
    add(
        "--run-dir", type=Path, help="folder that keeps the run, so that it can go on after a crash"
    )
    add(
        "--workers",
        type=at_least(1),
        metavar="N",
        default=1,
        help="processes that train jobs side by side (1)",
    )
    add(
        "--on-failure",
        choices=["stop", "skip", "retry"],
        default="stop",
        help="when a job fails: stop the run (default), skip the job, or retry it with lower "
        "learning rates",
    )
    add("--tensorboard", type=Path, metavar="DIR", help="where to log every job for TensorBoard")
    add("--output", type=Path, help="where to save the ensemble: a .keras file")
    add("--plot", type=Path, help="where to write a picture of the run")
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="where to write an HTML page about the run (report.html in --run-dir)",
    )
    add("--no-report", action="store_true", help="write none")
    add("--dry-run", action="store_true", help="print the plan and train nothing")
    add_json(train)


def add_json(command: argparse.ArgumentParser) -> None:
    """The outcome for programs."""
    command.add_argument(
        "--json", action="store_true", help="print the outcome for programs, all else as errors go"
    )


def add_budget(plan: argparse.ArgumentParser) -> None:
    """What there is to spend, and what if."""
    add = plan.add_argument
    limit = plan.add_mutually_exclusive_group()
    limit.add_argument("--budget", metavar="TIME", help="time that there is: 90s, 30m, 1h30m")
    limit.add_argument("--usd", type=positive, metavar="N", help="money that there is")
    limit.add_argument(
        "--epochs",
        type=at_least(1),
        metavar="N",
        default=20,
        help="without a budget: compare times for so many epochs (20)",
    )
    add("--price", type=positive, metavar="N", default=0.9, help="USD per hour (0.9)")
    add("--member-epochs", type=at_least(0), metavar="N", help="as in train")
    add("--clusters", type=numbers, metavar="A..B", help="numbers of MotherNets: 3, 1..5 or 1,2,4")
    add(
        "--workers",
        type=at_least(1),
        nargs="+",
        metavar="N",
        default=[1],
        help="numbers of worker processes to choose from (1)",
    )
    add("--without", nargs="+", metavar="NAME", default=[], help="what if these were not there")
    add("--faster", type=positive, metavar="N", default=1.0, help="what if the device were (1)")
