"""Ctrl-C: the training stops at the next step, and says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import keras


class Interrupt:
    """While it is entered, the first Ctrl-C is only noted, and the second one stops at once.

    Elsewhere than in the main thread, or where a program has a handler of its own for Ctrl-C,
    nothing is changed.

    Args:
        say: Takes what the user is told at the first one; it is printed by default.

    Example:
        >>> with Interrupt() as interrupt:
        ...     interrupt.check()
        >>> interrupt.is_asked
        False
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self.is_asked = False
        self._say = say
        self._before: Any = None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def check(self) -> None:
        """Stop here if that is asked for.

        Raises:
            KeyboardInterrupt: It is.
        """
        if self.is_asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
        # Ray replaces `print`, and then the one of before cannot be sent to its workers.
        say = self._say or print
        say("Stopping after this step; once more stops at once.")


class StopWhenAsked(keras.callbacks.Callback):
    """Stops a training between two steps.

    Args:
        interrupt: Knows whether that is asked for.
    """

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__()
        self.interrupt = interrupt

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop, if it is.

        Raises:
            KeyboardInterrupt: It is asked for.
        """
        self.interrupt.check()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Likewise in a validation."""
        self.interrupt.check()
