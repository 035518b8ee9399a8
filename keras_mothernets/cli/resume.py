"""`keras-mothernets resume`: go on with a run, from its directory alone."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

from keras_mothernets.cli import train
from keras_mothernets.cli.kept_command import read_command
from keras_mothernets.cli.outcome import Outcome
from keras_mothernets.cli.parser import build_parser


def run(arguments: argparse.Namespace) -> Outcome:
    """Call `train` as it was called for this run directory.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: There is no run of the console command, or `train` fails.
    """
    folder = arguments.run.resolve()
    argv, place = read_command(folder)
    again = build_parser().parse_args(argv)
    again.argv, again.run_dir = argv, folder
    # Whoever made the folder may have allowed it; who goes on must do so too.
    again.allow_code = arguments.allow_code
    with _inside(place):
        print(f"keras-mothernets {' '.join(argv)}")
        return train.run(again)


@contextlib.contextmanager
def _inside(place: str) -> Iterator[None]:
    """Paths of the command are those of the folder it was called in, if that is still there."""
    before = os.getcwd()
    if os.path.isdir(place):
        os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)
