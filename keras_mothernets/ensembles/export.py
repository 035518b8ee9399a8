"""An ensemble as files that answer without this package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_mothernets.ensembles.combine import check_alike
from keras_mothernets.ensembles.export_format import Format
from keras_mothernets.ensembles.export_litert import LITERT
from keras_mothernets.ensembles.export_onnx import ONNX
from keras_mothernets.ensembles.export_saved_model import SAVED_MODEL
from keras_mothernets.ensembles.export_task import check_class_names, task_without_labels
from keras_mothernets.ensembles.exporter import Exporter
from keras_mothernets.ensembles.model_card import ModelCard, check_given
from keras_mothernets.ensembles.new_folder import check_place, new_folder
from keras_mothernets.ensembles.outputs import squashings_of
from keras_mothernets.ensembles.shares import as_shares
from keras_mothernets.ensembles.subset import chosen_positions, within_latency
from keras_mothernets.errors import MotherNetsError, finite_number, whole_number
from keras_mothernets.member import Member, as_members

FORMATS = {each.name: each for each in (SAVED_MODEL, ONNX, LITERT)}


def export(
    models: Any,
    path: str | os.PathLike[str],
    format: str = "tf_saved_model",  # noqa: A002
    *,
    endpoints: Iterable[str] | None = None,
    members: Sequence[str | int] | None = None,
    max_members: int | None = None,
    max_latency_ms: float | None = None,
    batch_size: int = 1,
    weights: Sequence[float] | np.ndarray | None = None,
    logits: Any = None,
    preprocessing: Any = None,
    class_names: Sequence[str] | None = None,
    card: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> ModelCard:
    """Write an ensemble into a folder, from which it answers without this package.

    Endpoints of a classification, of which each gives outputs of its name:

    - "probabilities", (examples, classes): the mean of the members'. One unit behind a sigmoid
      gives two classes, no and yes.
    - "member_probabilities", (examples, members, classes).
    - "uncertainty": `predictive_entropy` and `mutual_information` in nats, and `disagreement`, the
      share of pairs of members that name different classes; each (examples,).

    And of a regression: "mean", (examples, targets); "member_predictions", (examples, members,
    targets); and "uncertainty": the `variance` of the members, (examples, targets).

    The folder holds the SavedModel, `model.onnx` or `model.tflite`, and a model card,
    `MODEL_CARD.md` for people and `model_card.json` for programs. The files are loaded
    again and compared with the ensemble before the folder gets its name: after a failure there
    is what was there before.

    Args:
        models: Trained models or `km.Member`s as `km.combine` takes them, with one output of shape
            (examples, units); or a method that was fit.
        path: The folder that is made.
        format: "tf_saved_model"; "onnx" or "litert", which need `keras_mothernets[onnx]` or
            `keras_mothernets[litert]`.
        endpoints: Those that are written; all by default.
        members: Names or positions of the members that are written, the best ones first: a
            ranking, where one of the next two is given. All as they are by default.
        max_members: Keep so many, the first ones.
        max_latency_ms: Keep as many, from the first one on, as answer within so many milliseconds:
            the median over answers of the exported files on this machine. The card tells it.
        batch_size: Examples in one such answer.
        weights: One number of at least 0 for each of `models`; equal by default. Those of the
            members that are written are scaled to sum to one.
        logits: Whether the members give logits, as in `km.combine`. Members that tell nothing, by
            loss or last activation, must be told: with `False` they give probabilities if there
            are `class_names`, else the numbers of a regression.
        preprocessing: What comes before the members, inside: a built model, whose inputs the
            files then take; or a layer, or a function of Keras layers and operations.
        class_names: Names of the classes, in the order of the probabilities.
        card: What only you can tell, any of "title", "description", "intended_use", "limitations",
            "data", "measures", "license", "authors": texts, numbers, or lists or dicts of them.
        overwrite: Whether an export that is at `path` may be replaced.

    Returns:
        The model card; `print` shows it.

    Raises:
        MotherNetsError: An argument cannot be used, members do not match, an extra is missing, a
            layer has no counterpart in the format, or something is at `path`.

    Example:
        >>> import pathlib, tempfile
        >>> networks = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")],
        ...                              name=name) for name in ("one", "two")]
        >>> with tempfile.TemporaryDirectory() as place:
        ...     card = export(networks, f"{place}/served", class_names=["cat", "dog", "bird"],
        ...                   card={"license": "CC-BY-4.0"})
        ...     files = [file.name for file in pathlib.Path(place, "served").iterdir()]
        >>> [output.name for output in card.outputs][:2], "saved_model.pb" in files
        (['probabilities', 'member_probabilities'], True)

    Source:
        Uncertainties: Depeweg et al. 2018, equation 3. The card: Mitchell et al., Model Cards for
        Model Reporting, 2019.
    """
    kind = _format(format)
    place = check_place(path, overwrite)
    everyone = _members(models)
    check_alike(everyone)
    networks = [member.model for member in everyone]
    ranking = chosen_positions([member.label for member in everyone], members, max_members)
    squashings = [each[0] for each in squashings_of(logits, networks)]
    task = task_without_labels(everyone, squashings, logits, class_names)
    exporter = Exporter(
        format=kind,
        members=everyone,
        weights=as_shares(weights, len(everyone)),
        squashings=squashings,
        task=task,
        endpoints=endpoints if endpoints is None or isinstance(endpoints, str) else list(endpoints),
        preprocessing=preprocessing,
        class_names=check_class_names(class_names, task, networks[0].outputs[0].shape[-1]),
        given=check_given(card),
    )
    size = whole_number("batch_size", batch_size, 1)
    latency = None
    if max_latency_ms is not None:
        budget = finite_number("max_latency_ms", max_latency_ms, above=True)
        ranking, latency = within_latency(
            ranking, lambda positions: exporter.latency(positions, size), budget
        )
    with new_folder(place) as folder:
        return exporter.write(ranking, folder, latency)


def _format(name: Any) -> Format:
    if not isinstance(name, str) or name not in FORMATS:
        raise MotherNetsError(
            "`format` is not known", expected=f"one of {list(FORMATS)}", received=repr(name)
        )
    FORMATS[name].check_installed()
    return FORMATS[name]


def _members(models: Any) -> list[Member]:
    """Of models, or of a method: a method says itself if it has not been fit."""
    if not isinstance(models, keras.Model | Member) and hasattr(models, "members"):
        models = models.members
    return as_members(list(models) if isinstance(models, tuple) else models)
