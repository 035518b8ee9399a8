"""One writer at a time: a lock that the system takes back from a process that is dead.

It is the system's lock on an open file, not the file's being there: whatever ends a process
ends its lock, and nobody has to guess whether a process of some number still lives. What is
written in the file, process and host, is for people only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
import warnings
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_mothernets.errors import RunError

TRIES, PAUSE = 5, 0.02  # seconds; a reader that looks at the lock holds it for an instant

if sys.platform == "win32":
    import msvcrt

    FAR = 2**30  # Windows locks bytes against readers too: one that is behind all that is written

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@dataclass(frozen=True)
class Writer:
    """Who holds a lock, as far as it is known.

    Args:
        process: Number of the process.
        host: Name of its machine.

    Example:
        >>> str(Writer(12, "gauss"))
        'process 12 on `gauss`'
    """

    process: int | None = None
    host: str | None = None

    def __str__(self) -> str:
        if self.process is None:
            return "a process that is not known"
        this = ", which is this one" if self == _here() else ""
        return f"process {self.process} on `{self.host}`{this}"


class Lock:
    """The right to write into a folder.

    A lock that is dropped is given back. Copies in other processes hold nothing.

    Args:
        path: The file; made when it is needed, and never removed, since another process may
            be about to lock it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.lock"
        >>> mine = Lock(path)
        >>> mine.take()
        >>> Lock(path).writer() == mine.writer() is not None
        True
        >>> mine.give_back()
        >>> mine.writer() is None
        True
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._release: weakref.finalize[[int], Lock] | None = None

    def take(self) -> None:
        """Take the lock, or be refused at once; nothing happens if it is held by this object.

        A file system that has no locks is warned of.

        Raises:
            RunError: Somebody else holds it.
            OSError: The file cannot be opened.
        """
        if self._release is not None and self._release.alive:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock_soon(descriptor)
        except BlockingIOError:
            writer = _told_in(descriptor)
            os.close(descriptor)
            raise _refusal(self.path.parent, writer) from None
        except OSError as error:
            warnings.warn(
                f"Run directory `{self.path.parent}` cannot be locked ({error.strerror}); take"
                " care that one process at a time writes there",
                stacklevel=5,
            )
        _tell_in(descriptor, json.dumps(asdict(_here())).encode())
        self._release = weakref.finalize(self, _give_back, descriptor)
        _taken.add(self)

    def give_back(self) -> None:
        """Let others write; nothing happens if it is not held."""
        if self._release is not None:
            self._release()
        self._release = None

    def writer(self) -> Writer | None:
        """Who holds it now, here or elsewhere; `None` if nobody does. Writes nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return None
        try:
            _lock(descriptor, shared=True)
            _unlock(descriptor)
        except BlockingIOError:
            return _told_in(descriptor)
        except OSError:  # no locks here
            return None
        finally:
            os.close(descriptor)
        return None

    def __reduce__(self) -> tuple[type[Lock], tuple[Path]]:
        return Lock, (self.path,)

    def _leave(self) -> None:
        """Close the file without giving the lock back: it is the parent's."""
        if self._release is not None and (kept := self._release.detach()) is not None:
            os.close(*kept[2])
        self._release = None


# A process that was forked, to load data for example, shares the lock of its parent and would
# hold it when the parent is killed.
_taken: weakref.WeakSet[Lock] = weakref.WeakSet()


def _leave_all() -> None:
    for lock in list(_taken):
        lock._leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)


def _lock_soon(descriptor: int) -> None:
    for _ in range(TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            return _lock(descriptor)
        time.sleep(PAUSE)
    return _lock(descriptor)


def _give_back(descriptor: int) -> None:
    _tell_in(descriptor, b"")
    with contextlib.suppress(OSError):
        _unlock(descriptor)
    os.close(descriptor)


def _here() -> Writer:
    return Writer(os.getpid(), socket.gethostname())


def _tell_in(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk must not keep anybody from a finished run
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content)


def _told_in(descriptor: int) -> Writer:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        told: dict[str, Any] = json.loads(os.read(descriptor, 4096))
        return Writer(int(told["process"]), str(told["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Writer()


def _refusal(folder: Path, writer: Writer) -> RunError:
    return RunError(
        f"Run directory `{folder}` is being written by another `fit`",
        expected="one at a time",
        received=str(writer),
        fix="Wait until it ends, or end it, or choose another `run_dir`",
    )
