"""`keras-mothernets completion`: what lets a shell complete these commands."""

from __future__ import annotations

import argparse
from pathlib import Path

import shtab

from keras_mothernets.cli.parser import build_parser

FOLDERS = ("RUN", "DIR", "RUN_OR_FOLDER")  # how the help calls what is a folder


def run(arguments: argparse.Namespace) -> None:
    """Print the script.

    Args:
        arguments: As parsed by `cli.parser`.
    """
    parser = build_parser()
    _complete_paths(parser)
    print(shtab.complete(parser, arguments.shell))


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Say of all arguments that are paths that they are, in all commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
        elif action.type is Path or action.dest == "ensemble":
            is_folder = action.metavar in FOLDERS or action.dest.endswith("_dir")
            action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]
