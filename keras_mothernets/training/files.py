"""Files that are either the old or the new one, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from keras_mothernets.errors import MotherNetsError

UNFINISHED = ".unfinished-*"  # what a process leaves behind that is killed while it writes


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole.

    Args:
        path: The file; its folder must be there.
        content: Its new content.
    """
    replace_atomically(path, lambda unfinished: unfinished.write_bytes(content))


def replace_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function write a file under another name, then give it its own.

    The data are on the disk before the name is, and the name before this returns: after a
    kill or a power cut at any instant there is the whole old file or the whole new one.

    Args:
        path: The file to be replaced or made.
        write: Writes the content to the path it is given; that path has the same suffix, since
            Keras looks at it, and lies in the same folder, since only there a rename is one step.
    """
    unfinished = path.with_name(UNFINISHED.replace("*", f"{os.getpid()}-{path.name}"))
    try:
        write(unfinished)
        _sync(unfinished)
        os.replace(unfinished, path)
        _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise `MotherNetsError` unless a file can be made or replaced there."""
    if not path.parent.is_dir():
        problem = f"There is no folder `{path.parent}` to write `{path.name}` into"
    elif path.is_dir():
        problem = f"`{path}` is a folder, and a file is to be written there"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = f"`{path}` cannot be written"
    else:
        return
    raise MotherNetsError(problem, fix="Choose another place")


def sha256_of(path: Path) -> str:
    """The checksum of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder, and need not
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
