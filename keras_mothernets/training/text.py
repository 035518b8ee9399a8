"""Plain text tables, as plans and ledgers print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align rows under their headers; numbers to the right, words to the left.

    Args:
        headers: One title per column.
        rows: Rows of as many cells; `None` prints as nothing.

    Returns:
        The lines of the table, without a newline at the end.

    Example:
        >>> print(text_table(["job", "epochs"], [["vgg16", 10], ["vgg19", 5]]))
        job    epochs
        vgg16      10
        vgg19       5
    """
    rows = [list(row) for row in rows]
    cells = [[cell_text(cell) for cell in row] for row in rows]
    widths = [
        max([len(header), *(len(row[column]) for row in cells)])
        for column, header in enumerate(headers)
    ]
    right = [
        bool(rows) and all(isinstance(row[column], (int, float, type(None))) for row in rows)
        for column in range(len(headers))
    ]
    lines = [list(headers), *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def cell_text(cell: object) -> str:
    """One value as a short text: floats with four significant digits, `None` as nothing."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return str(cell)


def duration_text(seconds: float | None) -> str:
    """Minutes and seconds, or `?`.

    Example:
        >>> duration_text(75.2)
        '1:15'
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
