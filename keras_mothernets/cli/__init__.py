"""The console command `keras-mothernets`.

Nothing here imports Keras until a command has been parsed: `--help` and a misspelt option
are answered at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from keras_mothernets.cli.outcome import INTERRUPTED, READER_GONE, USER_ERROR, Outcome
from keras_mothernets.cli.parser import build_parser
from keras_mothernets.errors import MotherNetsError

STDERR = 2  # number of its file


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit code: 0; 2 after one sentence about what was wrong with the arguments or the
        data; 3 if an ensemble was trained, but some of its members were left out; 130 after Ctrl-C.

    Raises:
        SystemExit: By argparse, after `--help`, `--version` or arguments that do not parse.

    Example:
        >>> main(["train", "v5", "no_such_data"])
        2
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = build_parser().parse_args(argv)
    arguments.argv = argv
    # TensorFlow's notices, about its start and about tracing one network after the other, say
    # nothing about the user's run.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _without_notices():
        command = importlib.import_module(f"keras_mothernets.cli.{arguments.command}")
    try:
        outcome = _run(command, arguments)
    except MotherNetsError as error:
        print(f"keras-mothernets {arguments.command}: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("\nInterrupted.", _how_to_go_on(arguments), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        return READER_GONE
    return outcome.code


def _reader_has_gone() -> bool:
    """Whether nobody reads standard output any more, as after `| head`."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    # What is left to be written when Python ends goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _run(command: Any, arguments: argparse.Namespace) -> Outcome:
    """Run a command; with `--json` nothing but that is on standard output."""
    if not getattr(arguments, "json", False):
        return command.run(arguments) or Outcome()
    with contextlib.redirect_stdout(sys.stderr):
        outcome: Outcome = command.run(arguments)
    print(json.dumps(outcome.told, indent=1))
    return outcome


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Keep TensorFlow's notices of its start from the user: they are written past Python.

    Errors are exceptions, so they are seen all the same.
    """
    sys.stderr.flush()
    kept = os.dup(STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


def _how_to_go_on(arguments: argparse.Namespace) -> str:
    keeps = hasattr(arguments, "out")  # a comparison always does
    if arguments.command == "resume":
        return "The same command goes on where it stopped."
    if not keeps and not hasattr(arguments, "run_dir"):
        return "Nothing was kept."
    if not keeps and arguments.run_dir is None:
        return "Nothing was kept; with --run-dir a run can go on where it stopped."
    return "The same command goes on where it stopped."
