"""The arguments of the console command; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_mothernets import __version__
from keras_mothernets.cli.argument_types import (
    at_least,
    not_negative,
    positive,
    shape,
)
from keras_mothernets.cli.options import (
    add_allow_code,
    add_budget,
    add_data,
    add_grid,
    add_json,
    add_method,
    add_optimizer,
    add_results,
    add_width,
)

ENSEMBLE_HELP = (
    "of the zoo: v5 (five VGG networks), d5 (five DenseNets), r10 (ten ResNets), v25 or v100 (25 "
    "or 100 variants of VGG16), wrn5 (five Wide ResNets), demo (five small networks); or a folder "
    "of .keras files; or file.py:function, a function of (input_shape, num_classes) that returns a "
    "list of models"
)


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of `keras-mothernets` with its commands."""
    parser = argparse.ArgumentParser(
        prog="keras-mothernets",
        description="Train an ensemble of different Keras networks at a fraction of the time: "
        "train what they have in common once, grow every network from it, train each on briefly.",
        epilog="Exit codes: 0 done; 2 something was wrong with the arguments, the networks or the "
        "data, and one sentence says what; 3 trained, but members were left out (--on-failure); "
        "130 Ctrl-C. With --json, only that is on standard output.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_train(commands)
    _add_compare(commands)
    _add_plan(commands)
    _add_inspect(commands)
    _add_status(commands)
    _add_resume(commands)
    _add_export(commands)
    _add_report(commands)
    _add_completion(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction) -> None:
    demo = commands.add_parser(
        "demo",
        help="train one small ensemble both ways, and compare",
        description="Train an ensemble of five small networks on handwritten digits, first from "
        "scratch and then with a MotherNet, and compare accuracy and time. "
        "Takes two minutes on two CPU cores.",
    )
    demo.add_argument(
        "--epochs",
        type=at_least(1),
        metavar="N",
        default=10,
        help="from scratch, and of the mother (10)",
    )
    demo.add_argument(
        "--member-epochs", type=at_least(1), metavar="N", default=3, help="after hatching (3)"
    )
    demo.add_argument(
        "--seed", type=at_least(0), metavar="N", default=0, help="of everything random (0)"
    )
    demo.add_argument(
        "--plot",
        type=Path,
        default=Path("keras-mothernets-demo.png"),
        help="picture to write (keras-mothernets-demo.png)",
    )


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train an ensemble on a data set",
        description="Train an ensemble, report what each member reached and cost, and save the "
        "ensemble as one Keras model.",
    )
    train.add_argument("ensemble", help=ENSEMBLE_HELP)
    train.add_argument("dataset", help="digits, or the name of a tensorflow-datasets data set")
    train.add_argument(
        "--plan", type=Path, metavar="FILE", help="train what `plan --out FILE` has proposed"
    )
    add_data(train)
    add_method(train)
    add_optimizer(train)
    add_results(train)


def _add_compare(commands: argparse._SubParsersAction) -> None:
    compare = commands.add_parser(
        "compare",
        help="train one ensemble with several methods at equal costs, and compare",
        description="Train one ensemble with several methods at equal costs, and write a table of "
        "all results and pictures: test error against time, where the time went, growth with the "
        "size of the ensemble, what it costs, diversity. Stopped at any time, the same command "
        "goes on. Of several variants of one method, pictures show the one that is best on "
        "held-out examples.",
    )
    compare.add_argument("ensemble", help=ENSEMBLE_HELP)
    compare.add_argument("dataset", help="digits, or the name of a tensorflow-datasets data set")
    add_data(compare)
    add_grid(compare)
    add = compare.add_argument
    add("--batch-size", type=at_least(1), metavar="N", default=128, help="in one step (128)")
    add("--optimizer", choices=["sgd", "adam", "adamw"], default="sgd", help="sgd (default): "
        "Nesterov momentum 0.9")  # fmt: skip
    add("--weight-decay", type=not_negative, metavar="N", default=5e-4, help="decoupled (5e-4)")
    add("--out", type=Path, default=Path("comparison"), help="folder of all results (comparison)")
    add("--clock", choices=["wall", "cpu"], default="wall", help="what pictures call time (wall)")
    add("--note", default="", help="what a reader must know of the data, for titles")
    add("--draw", action="store_true", help="train nothing; draw what is there")


def _add_plan(commands: argparse._SubParsersAction) -> None:
    plan = commands.add_parser(
        "plan",
        help="say what training will take, and what a budget allows",
        description="Propose a number of MotherNets, epochs and workers for a budget, and say what "
        "every job will take, before anything is trained. The first time on a device it measures "
        "what layers take there, in about a minute.",
    )
    plan.add_argument("ensemble", help=ENSEMBLE_HELP)
    plan.add_argument("dataset", help="digits, or the name of a tensorflow-datasets data set")
    add_data(plan)
    add_budget(plan)
    add_optimizer(plan)
    add = plan.add_argument
    add("--plot", type=Path, help="where to draw predicted times against the number of MotherNets")
    add(
        "--out", type=Path, metavar="FILE", help="where to keep the best proposal, for train --plan"
    )
    add_json(plan)
    add("--measure", action="store_true", help="measure the device anew")


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    inspect = commands.add_parser(
        "inspect",
        help="show the networks, their MotherNet, and what each inherits",
        description="Print every architecture, the MotherNet, and for each member what part of its "
        "parameters comes from the mother and which layers are inserted. Trains nothing.",
    )
    inspect.add_argument("ensemble", help=ENSEMBLE_HELP)
    add = inspect.add_argument
    add(
        "--input-shape",
        type=shape,
        default=(32, 32, 3),
        metavar="H,W,C",
        help="for networks that are yet to be made (32,32,3)",
    )
    add("--num-classes", type=at_least(1), metavar="N", default=10, help="the same (10)")
    add_width(inspect)
    add("--clusters", type=at_least(1), metavar="N", default=1, help="number of MotherNets (1)")
    add_allow_code(inspect)
    add("--brief", action="store_true", help="leave out the architectures layer by layer")
    add_json(inspect)


def _add_status(commands: argparse._SubParsersAction) -> None:
    status = commands.add_parser(
        "status",
        help="show how far a run with --run-dir has come",
        description="Print what a run directory tells of a run, also while it is being written: "
        "the jobs that are finished, in progress, or waiting, and who is writing. Changes nothing.",
    )
    status.add_argument("run", type=Path, metavar="RUN", help="the folder given as --run-dir")
    add_json(status)


def _add_resume(commands: argparse._SubParsersAction) -> None:
    resume = commands.add_parser(
        "resume",
        help="go on with a run of train that was stopped",
        description="Call `train` once more as it was called for this run directory: finished jobs "
        "are not trained again, and one that was under way goes on after its last epoch.",
    )
    resume.add_argument("run", type=Path, metavar="RUN", help="the folder given as --run-dir")
    add_allow_code(resume)
    add_json(resume)


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser(
        "export",
        help="write trained members as a SavedModel, ONNX or LiteRT file with a model card",
        description="Write trained networks as one ensemble that gives class probabilities, those "
        "of each member, and uncertainties, and that answers without this package.",
    )
    add = export.add_argument
    add(
        "source",
        type=Path,
        metavar="RUN_OR_FOLDER",
        help="the folder given as --run-dir, or one of .keras files",
    )
    add("--out", type=Path, required=True, help="folder to make")
    add("--format", choices=["tf_saved_model", "onnx", "litert"], default="tf_saved_model",
        help="tf_saved_model (default); the others need an extra: keras_mothernets[onnx] or "
        "keras_mothernets[litert]")  # fmt: skip
    add("--endpoints", nargs="+", metavar="NAME", help="which to write (all)")
    add("--members", nargs="+", metavar="NAME", help="which to write, the best ones first (all)")
    add("--max-members", type=at_least(1), metavar="N", help="keep so many, the first ones")
    add("--max-latency-ms", type=positive, metavar="N", help="keep as many, from the first one on, "
        "as answer in so many milliseconds on this machine")  # fmt: skip
    add("--batch-size", type=at_least(1), metavar="N", default=1, help="in such an answer (1)")
    add("--logits", choices=["yes", "no", "softmax", "sigmoid"], help="whether the networks give "
        "logits; known of runs of `train`")  # fmt: skip
    add("--class-names", nargs="+", metavar="NAME", help="known of runs of `train`")
    add("--title", help="for the model card")
    add("--license", help="for the model card")
    add("--overwrite", action="store_true", help="replace an export that is there")
    add_allow_code(export)
    add_json(export)


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="write an HTML page about a run with --run-dir",
        description="Write one HTML page that tells what was trained, when, at what cost, and how "
        "good it is. It needs no network. Errors are measured on the test data of the data set "
        "that the run was trained on. The run is not changed.",
    )
    report.add_argument("run", type=Path, metavar="RUN", help="the folder given as --run-dir")
    add = report.add_argument
    add("--out", type=Path, metavar="FILE", help="the page (report.html in RUN)")
    add("--data-dir", type=Path, help="where tensorflow-datasets keeps its data (as in train)")
    add("--comparison", type=Path, metavar="DIR", help="what compare wrote: its methods, too")
    add("--no-data", action="store_true", help="load no data; leaves out errors and examples")
    add("--price", type=positive, metavar="N", help="USD per hour (those of two rented machines)")
    add_allow_code(report)


def _add_completion(commands: argparse._SubParsersAction) -> None:
    completion = commands.add_parser(
        "completion",
        help="print what lets a shell complete these commands",
        description="Print a script that lets a shell complete commands, options and files. "
        'For bash: eval "$(keras-mothernets completion bash)", which may stand in ~/.bashrc; '
        "for zsh: keras-mothernets completion zsh > DIR/_keras-mothernets, in a DIR of $fpath.",
    )
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
