"""A job's history as the text of a CSV file: a line per epoch, a column per metric."""

from __future__ import annotations

import csv
import io


def history_text(history: dict[str, list[float]]) -> str:
    """Write a history.

    Args:
        history: Metric to its values; one that was not measured in the last epochs has fewer.

    Example:
        >>> print(history_text({"loss": [0.5, 0.25]}), end="")
        epoch,loss
        1,0.5
        2,0.25
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["epoch", *history])
    count = max((len(values) for values in history.values()), default=0)
    for epoch in range(count):
        cells = [values[epoch] if epoch < len(values) else "" for values in history.values()]
        writer.writerow([epoch + 1, *(repr(float(cell)) if cell != "" else "" for cell in cells)])
    return stream.getvalue()


def read_history(text: str) -> dict[str, list[float]]:
    r"""Read what `history_text` wrote.

    Args:
        text: The text.

    Example:
        >>> read_history("epoch,loss\n1,0.5\n2,0.25\n")
        {'loss': [0.5, 0.25]}
    """
    header, *rows = csv.reader(io.StringIO(text))
    return {
        name: [float(row[column]) for row in rows if row[column]]
        for column, name in enumerate(header)
        if name != "epoch"
    }
