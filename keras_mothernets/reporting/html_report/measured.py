"""What members say about labelled examples, or in a word why it is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mothernets.datasets import Dataset
from keras_mothernets.ensembles import EnsembleStatistics, Predictions
from keras_mothernets.ensembles.task import Task
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import last_activation
from keras_mothernets.member import Member
from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.training.losses import PROBABILITIES
from keras_mothernets.training.text import cell_text

WITHIN = 0.001  # what an ensemble may lose by members who leave, as a part of its score
MOST_LISTED = 8


def labelled(data: Any) -> tuple[Any, Any] | None:
    """Inputs and labels of what was given as data.

    Args:
        data: `(x, y)`, a `Dataset`, of which the test part is taken, or `None`.

    Raises:
        MotherNetsError: It is none of these.
    """
    if data is None:
        return None
    if isinstance(data, Dataset):
        return data.x_test, data.y_test
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data[0], data[1]
    raise MotherNetsError(
        "`data` cannot be used",
        expected="a pair `(x, y)` of inputs and labels, or what `km.datasets.load` gives",
        received=f"{type(data).__name__}",
    )


def predict(run: RunData, data: tuple[Any, Any]) -> EnsembleStatistics:
    """Let the finished members predict.

    Args:
        run: The run.
        data: Inputs and labels.

    Raises:
        DataError: Data and members do not go together.
        MotherNetsError: A network cannot be loaded, or members are neither classifiers of one
            class of several nor a regression.
    """
    members = [Member(run.network(job), job.name) for job in run.members]
    said = "classification" if "rossentropy" in run.plan.settings.get("loss", "") else None
    logits = run.logits
    if all(member.model.compiled for member in members):
        said = logits = None
    elif logits is not None and _ends_in_probabilities(members):
        logits = None
    return EnsembleStatistics(Predictions.of(members, *data, logits=logits, task=said))


def _ends_in_probabilities(members: Sequence[Member]) -> bool:
    return all(last_activation(member.model) in PROBABILITIES for member in members)


def is_classification(statistics: EnsembleStatistics) -> bool:
    """Whether members name classes; else they predict numbers."""
    return statistics.predictions.task is Task.CLASSES


def quality_rows(statistics: EnsembleStatistics) -> tuple[list[str], list[list[str]]]:
    """A table of the members, and of the ensemble in its last row.

    Args:
        statistics: Of the members.

    Returns:
        Headers with units, and rows.
    """
    if is_classification(statistics):
        headers = ["", "error [%]", "log-likelihood, negative [nats]", "Brier score [0 to 2]"]
        headers.append("calibration error [%]")
    else:
        headers = ["", "mean squared error [unit of the target, squared]"]
    names = statistics.predictions.names
    subsets: list[tuple[str, list[int] | None]] = [(name, [n]) for n, name in enumerate(names)]
    return headers, [
        [name, *_figures(statistics, subset)] for name, subset in [*subsets, ("ensemble", None)]
    ]


def _figures(statistics: EnsembleStatistics, subset: list[int] | None) -> list[str]:
    if not is_classification(statistics):
        return [cell_text(statistics.mse(subset))]
    return [
        f"{100 * (1 - statistics.accuracy(subset)):.2f}",
        f"{statistics.nll(subset):.4f}",
        f"{statistics.brier(subset):.4f}",
        f"{100 * statistics.ece(subset):.2f}",
    ]


def who_can_go(statistics: EnsembleStatistics) -> str:
    """Say which members the ensemble could do without.

    Args:
        statistics: Of at least two members.
    """
    score = "Brier score" if is_classification(statistics) else "mean squared error"
    bound = f"with at most {WITHIN:.1%} more than its {score}"
    names = statistics.which_can_go(WITHIN)
    if not names:
        return f"Nobody can go: {bound}, the ensemble needs all of its members."
    shown = ", ".join(names[:MOST_LISTED])
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (
        f"{len(names)} of {statistics.predictions.num_members} members can go together, {bound} on"
        f" these examples: {shown}{more}."
    )


def growth(statistics: EnsembleStatistics) -> dict[str, np.ndarray]:
    """Errors as the ensemble takes up one member after the other, in their order.

    Args:
        statistics: Of the members.

    Returns:
        "member": error of each member; "ensemble": of the average of the first so many; of a
        classification also "oracle": share of examples on which all of these are wrong. A
        regression's errors are mean squared ones.

    Example:
        >>> one, two = [[0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]]
        >>> grown = growth(EnsembleStatistics(Predictions.of_classes([one, two], [0, 1])))
        >>> {name: values.tolist() for name, values in grown.items()}
        {'member': [0.5, 0.5], 'ensemble': [0.5, 0.0], 'oracle': [0.5, 0.0]}
    """
    values, labels = statistics.predictions.values, statistics.predictions.labels
    count = np.arange(1, len(values) + 1)[:, None, None]
    means = np.cumsum(values, axis=0) / count  # (members, examples, classes or targets)
    if not is_classification(statistics):
        return {
            "member": ((values - labels) ** 2).mean(axis=(1, 2)),
            "ensemble": ((means - labels) ** 2).mean(axis=(1, 2)),
        }
    wrong = values.argmax(axis=-1) != labels
    return {
        "member": wrong.mean(axis=1),
        "ensemble": (means.argmax(axis=-1) != labels).mean(axis=1),
        "oracle": np.logical_and.accumulate(wrong, axis=0).mean(axis=1),
    }
