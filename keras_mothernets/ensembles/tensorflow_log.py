"""Lines of TensorFlow's log that would mislead who reads them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_lines(words: str) -> Iterator[None]:
    """Keep lines with these words out of TensorFlow's log for a while.

    Args:
        words: What stands in them.
    """

    def is_kept(record: logging.LogRecord) -> bool:
        return words not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_kept)
    try:
        yield
    finally:
        logger.removeFilter(is_kept)
