"""The examples on which members disagree most, each with the votes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.image
import numpy as np

from keras_mothernets.ensembles import Predictions

MOST_SHOWN = 12
LARGEST_IMAGE = 256  # pixels along a side; larger ones are thinned out


@dataclass(frozen=True)
class Votes:
    """The members that name one class.

    Args:
        name: The class.
        members: Names of the members.
        is_right: Whether it is the right one.
    """

    name: str
    members: tuple[str, ...]
    is_right: bool


@dataclass(frozen=True)
class Contested:
    """An example that is contested.

    Args:
        number: Its number among the examples, from 0.
        truth: The right class.
        ensemble: The class that the average puts first.
        is_right: Whether that is the right one.
        votes: The members by the class they name, most first.
        image: The example as the URI of a small PNG; "" if it is no image.
    """

    number: int
    truth: str
    ensemble: str
    is_right: bool
    votes: tuple[Votes, ...]
    image: str


def most_contested(
    predictions: Predictions, x: Any, class_names: Sequence[str] | None = None
) -> list[Contested]:
    """Find the examples whose votes are most evenly spread, at most twelve.

    Args:
        predictions: Of a classification.
        x: The inputs that were predicted; pictures are drawn of arrays (examples, height, width)
            or (examples, height, width, channels) with one, three or four channels.
        class_names: Names of the classes; their numbers by default.
    """
    named = predictions.values.argmax(axis=-1)  # (members, examples)
    means = predictions.mean()
    spread = vote_entropy(named, predictions.values.shape[-1])
    ranked = np.lexsort((means.max(axis=-1), -spread))[:MOST_SHOWN]
    scale = _scale(x)
    return [
        _contested(int(row), predictions, named[:, row], class_names, _image(x, int(row), scale))
        for row in ranked
        if spread[row] > 0
    ]


def vote_entropy(named: np.ndarray, classes: int) -> np.ndarray:
    """How evenly votes are spread over the classes, in nats; 0 if all are for one.

    Args:
        named: The class that each member names, (members, examples).
        classes: Number of classes.

    Returns:
        (examples,).

    Example:
        >>> vote_entropy(np.array([[0, 1], [0, 2]]), 3).round(3).tolist()
        [0.0, 0.693]
    """
    shares = np.stack([(named == one).mean(axis=0) for one in range(classes)])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.abs((shares * logs).sum(axis=0))


def _contested(
    row: int,
    predictions: Predictions,
    named: np.ndarray,
    class_names: Sequence[str] | None,
    image: str,
) -> Contested:
    def name(number: int) -> str:
        return str(number) if class_names is None else str(class_names[number])

    truth = int(predictions.labels[row])
    ensemble = int(predictions.values[:, row].mean(axis=0).argmax())
    numbers, counts = np.unique(named, return_counts=True)
    votes = tuple(
        Votes(
            name(number),
            tuple(predictions.names[position] for position in np.flatnonzero(named == number)),
            number == truth,
        )
        for number in numbers[np.argsort(-counts, kind="stable")].tolist()
    )
    return Contested(row, name(truth), name(ensemble), ensemble == truth, votes, image)


def _scale(x: Any) -> tuple[float, float] | None:
    """Darkest and brightest value of images; `None` if the inputs are none."""
    if not isinstance(x, np.ndarray) or x.ndim not in (3, 4) or x.dtype.kind not in "uif":
        return None
    if x.ndim == 4 and x.shape[-1] not in (1, 3, 4) or min(x.shape[1:3]) < 2:
        return None
    if x.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(x.min()), float(x.max())
    return (low, high) if high > low else (low, low + 1)


def _image(x: Any, row: int, scale: tuple[float, float] | None) -> str:
    if scale is None:
        return ""
    low, high = scale
    step = -(-max(x.shape[1:3]) // LARGEST_IMAGE)
    pixels = (x[row, ::step, ::step].astype("float64") - low) / (high - low)
    if pixels.ndim == 2 or pixels.shape[-1] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=-1)
    stream = io.BytesIO()
    matplotlib.image.imsave(stream, np.uint8(np.round(255 * pixels)), format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
