"""The commands of `keras-mothernets` as Markdown, from their parser: for docs/COMMANDS.md."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from keras_mothernets.cli.parser import build_parser

PLACE = "<!-- commands: written here by `tools/docs`, from the parser -->"
COLUMNS = "78"  # as many as a page of the site is wide


def page() -> str:
    """A section for each command: what it does, and its `--help`."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    parser = build_parser()
    for name, command in commands(parser).items():
        yield f"## {name}\n"
        yield f"```text\n{help_of(command)}```\n"


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of all commands, by name."""
    [choices] = [
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return dict(choices)


def help_of(parser: argparse.ArgumentParser) -> str:
    """What `--help` says, as on a terminal of so many columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        return parser.format_help()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
