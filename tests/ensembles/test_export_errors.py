"""What an export refuses, in which words, and that it leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exported import FORMAT_TESTS, image_network, row_network, rows

from keras_mothernets import MotherNetsError, RunError, combine, export
from keras_mothernets.ensembles import export_format, exporter, new_folder
from keras_mothernets.ensembles.export import FORMATS

L = keras.layers


def two(**settings: Any) -> list[keras.Model]:
    return [row_network("a", 3, **settings), row_network("b", 5, **settings)]


def regression() -> list[keras.Model]:
    models = two(end=None)
    for model in models:
        model.compile(loss="mse")
    return models


def two_outputs() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, [L.Dense(3, "softmax")(inputs), L.Dense(3, "softmax")(inputs)])


def wide(size: int) -> keras.Model:
    return keras.Sequential([keras.Input((2,)), L.Dense(size)])


def broken(x: Any) -> Any:
    return np.asarray(x) + 1


CASES: list[tuple[Any, dict[str, Any], list[str]]] = [
    (two, {"format": "pickle"}, ["`format` is not known", "litert", "'pickle'"]),
    (two, {"format": ["onnx"]}, ["`format` is not known", "['onnx']"]),
    (two, {"endpoints": ["probabilites"]}, ["Endpoint `probabilites` is not known"]),
    (two, {"endpoints": ["mean"]}, ["`mean` has no meaning for a classification"]),
    (two, {"endpoints": []}, ["`endpoints` is empty"]),
    (regression, {"endpoints": "probabilities"}, ["no meaning for a regression", "mean"]),
    (regression, {"class_names": ["x", "y", "z"]}, ["no meaning for a regression"]),
    (two, {"class_names": ["x", "y"]}, ["`class_names`", "3 different names", "['x', 'y']"]),
    (two, {"class_names": ["x", "x", "y"]}, ["3 different names"]),
    (two, {"class_names": "xyz"}, ["`class_names`", "['xyz']"]),
    (two, {"class_names": [1, 2, 3]}, ["`class_names`"]),
    (two, {"preprocessing": wide(3)}, ["`preprocessing` gives something else", "(None, 4)"]),
    (two, {"preprocessing": broken}, ["`preprocessing` fails on inputs like"]),
    (two, {"preprocessing": "rescale"}, ["`preprocessing` cannot be used", "a str"]),
    (two, {"preprocessing": keras.Sequential([L.Dense(4)])}, ["`preprocessing`", "not built"]),
    (two, {"members": ["z"]}, ["A member is not known", "['a', 'b']", "'z'"]),
    (two, {"members": [2]}, ["a position from 0 to 1"]),
    (two, {"members": []}, ["at least one member"]),
    (two, {"members": "a"}, ["`members` must be a list"]),
    (two, {"members": ["a", 0]}, ["Member `a` stands twice"]),
    (two, {"max_members": 0}, ["`max_members`", "at least 1"]),
    (two, {"max_latency_ms": 0}, ["`max_latency_ms`", "not 0"]),
    (two, {"max_latency_ms": "fast"}, ["`max_latency_ms`", "'fast'"]),
    (two, {"batch_size": 0}, ["`batch_size`"]),
    (two, {"weights": [1]}, ["`weights` cannot be used", "2 finite numbers"]),
    (two, {"weights": [1, 0], "members": ["b"]}, ["`weights` cannot be used"]),
    (two, {"card": {"licence": "MIT"}}, ["`card`", "Did you mean `license`?"]),
    (two, {"card": {"data": rows}}, ["a `data` that cannot be written", "a function"]),
    (two, {"card": ["MIT"]}, ["`card` must be a dict"]),
    (lambda: [], {}, ["at least one member"]),
    (lambda: two()[0], {}, ["`members` must be a list"]),
    (lambda: [row_network("a", 3), image_network("b", 3)], {}, ["`b` has other input shapes"]),
    (lambda: [keras.Sequential([L.Dense(3)], name="a")], {}, ["`a`", "not built"]),
    (lambda: [two_outputs()], {}, ["several outputs"]),
    (lambda: [combine(two())], {}, ["not known what member `ensemble` gives", "`logits=False`"]),
    (lambda: two(end=None), {}, ["not known what member `a` gives", "`logits=True`"]),
    (lambda: two(end=None), {"class_names": list("xyz")}, ["not known what member `a` gives"]),
    (lambda: two(end="sigmoid"), {}, ["yes or no to each of several units"]),
]


@pytest.mark.parametrize(
    ("models", "settings", "words"),
    CASES,
    ids=[f"{n}-{case[2][0]}" for n, case in enumerate(CASES)],
)
def test_what_is_refused(models: Any, settings: Any, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(MotherNetsError) as raised:
        export(models(), tmp_path / "served", **settings)
    for word in words:
        assert word in str(raised.value), str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_ensembles_that_say_what_they_give_can_be_members(tmp_path: Path) -> None:
    card = export([combine(two())], tmp_path / "served", logits=False, class_names=list("xyz"))
    assert card.task == "classification"


class Argmax(keras.layers.Layer):
    """What LiteRT takes only with operations of TensorFlow, and its interpreter does not run."""

    def call(self, x: Any) -> Any:
        return keras.ops.one_hot(keras.ops.argmax(x, axis=-1), 3)


class Bessel(keras.layers.Layer):
    """What only TensorFlow computes."""

    def call(self, x: Any) -> Any:
        return tf.math.bessel_i0e(x)


def odd(layer: type[keras.layers.Layer]) -> keras.Model:
    layers = [keras.Input((4,)), L.Dense(3), layer(name="odd_one"), L.Softmax()]
    return keras.Sequential(layers, name="b")


@pytest.mark.parametrize("kind", FORMAT_TESTS)
@pytest.mark.parametrize(("layer", "operation"), [(Bessel, "BesselI0e"), (Argmax, "BitwiseAnd")])
def test_a_layer_that_cannot_be_converted_is_named(
    layer: Any, operation: str, kind: str, tmp_path: Path
) -> None:
    models = [row_network("a", 3), odd(layer)]
    if kind == "tf_saved_model":  # takes all that TensorFlow computes
        export(models, tmp_path / "served", kind)
        return
    with pytest.raises(MotherNetsError, match=f"`{operation}` in layer `odd_one`") as raised:
        export(models, tmp_path / "served", kind)
    assert f'"{kind}"' in str(raised.value)
    assert list(tmp_path.iterdir()) == []


class Eager(keras.layers.Layer):
    """What cannot be traced."""

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x: Any) -> Any:
        return x * float(np.asarray(x).mean())


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_a_layer_that_cannot_be_traced_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MotherNetsError, match="cannot be (written in|converted to) format"):
        export([odd(Eager)], tmp_path / "served", kind)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "extra"), [("onnx", "onnx"), ("litert", "litert")])
def test_a_missing_extra_is_named(
    kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert export_format.importlib.util.find_spec("onnx") is None
    with pytest.raises(MotherNetsError) as raised:
        export(two(), tmp_path / "served", kind)
    assert f"pip install 'keras_mothernets[{extra}]'" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", None, 3], ids=str)
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(MotherNetsError, match="`path` must be the path of a folder"):
        export(two(), path)


def test_a_path_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MotherNetsError, match="a folder is made"):
        export(two(), tmp_path / "model.onnx")


def test_only_an_export_is_replaced_and_only_if_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(two(), tmp_path / "empty")  # an empty folder is free
    with pytest.raises(MotherNetsError, match="`overwrite=True`"):
        export(two(), tmp_path / "empty")
    card = export(two(), tmp_path / "empty", overwrite=True, members=["b"])
    assert [member.name for member in card.members] == ["b"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name in ("mine", "file"):
        with pytest.raises(MotherNetsError, match="is there already, and is not an export"):
            export(two(), tmp_path / name, overwrite=True)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "file", "mine"]


class PowerCutError(Exception):
    pass


@pytest.mark.parametrize("has_old", [False, True])
def test_a_failure_leaves_what_was_there(
    has_old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "served"
    if has_old:
        export(two(), place, members=["a"])
    before = sorted((each.name, each.stat().st_mtime_ns) for each in tmp_path.rglob("*"))

    def fail(model: Any, runner: Any) -> float:
        raise PowerCutError

    monkeypatch.setattr(exporter, "checked_deviation", fail)
    with pytest.raises(PowerCutError):
        export(two(), place, overwrite=True)
    after = sorted((each.name, each.stat().st_mtime_ns) for each in tmp_path.rglob("*"))
    assert after == before


def test_if_the_new_folder_cannot_get_its_name_the_old_one_has_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, replace = tmp_path / "served", os.replace
    export(two(), place, members=["a"])
    before = (place / "model_card.json").read_bytes()

    def fails_once(source: Path, target: Path) -> None:
        if target == place and not source.name.endswith("-before"):
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(new_folder.os, "replace", fails_once)
    with pytest.raises(RunError, match="No space left on device"):
        export(two(), place, overwrite=True)
    assert (place / "model_card.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == [place]


def test_files_that_answer_something_else_get_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = FORMATS["tf_saved_model"].load

    def loaded(self: exporter.Exporter, folder: Path) -> Any:
        runner = load(folder)
        return lambda inputs: {name: each + 0.1 for name, each in runner(inputs).items()}

    monkeypatch.setattr(exporter.Exporter, "_load", loaded)
    with pytest.raises(MotherNetsError, match="do not compute what the ensemble computes"):
        export(two(), tmp_path / "served")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        export(two(), tmp_path / "file/served")
