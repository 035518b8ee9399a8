"""Exports: what the files answer in a process that has never heard of this package."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exported import (
    FORMAT_TESTS,
    TOLERANCE,
    answers_elsewhere,
    by_numpy,
    check_outputs,
    image_network,
    in_fresh_process,
    row_network,
    rows,
    softmax,
    two_input_network,
)
from networks import randomise

from keras_mothernets import Member, combine, export
from keras_mothernets.ensembles.export import FORMATS

L = keras.layers
IMAGES = np.random.default_rng(1).normal(size=(5, 6, 6, 1)).astype("float32")


def members_answer(models: list[keras.Model], x: Any) -> np.ndarray:
    """(members, examples, units)."""
    return np.stack([keras.ops.convert_to_numpy(model(x)) for model in models])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z.astype("float64")))


def yes_and_no(yes: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - yes, yes], axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_the_files_answer_what_the_ensemble_answers(kind: str, tmp_path: Path) -> None:
    models = [image_network(name, filters) for name, filters in (("a", 3), ("b", 5), ("c", 4))]
    card = export(models, tmp_path / "served", kind, weights=[2, 1, 1])
    found = answers_elsewhere(tmp_path / "served", kind, {"input": IMAGES})
    expected = by_numpy(members_answer(models, IMAGES), [2, 1, 1])
    check_outputs(found, expected, TOLERANCE[kind])
    ensemble = combine(models, "weighted", weights=[2, 1, 1])(IMAGES)
    check_outputs(
        {"e": found["probabilities"]},
        {"e": keras.ops.convert_to_numpy(ensemble)},
        TOLERANCE[kind],
    )
    assert card.deviation is not None and card.deviation < TOLERANCE[kind]
    assert found["disagreement"].any() and found["mutual_information"].max() > 0.01


@pytest.mark.slow
def test_the_folder_of_before_its_name_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    monkeypatch.setattr(tf.get_logger(), "level", logging.INFO)
    model = image_network("a", 3)
    with caplog.at_level(logging.INFO):
        model.export(tmp_path / "by_keras", verbose=False)
        assert "Assets written to" in caplog.text  # else nothing is tested
        caplog.clear()
        export([model], tmp_path / "served")
    assert "Assets written to" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_several_inputs_have_their_names(kind: str, tmp_path: Path) -> None:
    models = [two_input_network("a", 4), two_input_network("b", 6)]
    export(models, tmp_path / "served", kind)
    inputs = {
        "numbers": np.random.default_rng(0).normal(size=(4, 4)).astype("float32"),
        "words": np.random.default_rng(0).integers(0, 9, (4, 5)).astype("int32"),
    }
    found = answers_elsewhere(tmp_path / "served", kind, inputs)
    check_outputs(found, by_numpy(members_answer(models, inputs)), TOLERANCE[kind])


@pytest.mark.slow
def test_each_endpoint_of_a_saved_model_gives_its_own(tmp_path: Path) -> None:
    models = [row_network("a", 3, end=None), row_network("b", 5, end=None)]
    export(models, tmp_path / "served", logits=True, class_names=["cat", "dog", "bird"])
    np.savez(tmp_path / "x.npz", **rows())
    code = f"""
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(".")
assert sorted(loaded.signatures) == [
    "member_probabilities", "names", "probabilities", "serve", "serving_default", "uncertainty"]
inputs = dict(np.load({str(tmp_path / "x.npz")!r}))
for endpoint in ("probabilities", "member_probabilities", "uncertainty"):
    outputs = loaded.signatures[endpoint](**{{k: tf.constant(v) for k, v in inputs.items()}})
    np.savez(endpoint + ".npz", **{{k: v.numpy() for k, v in outputs.items()}})
    names = [each.name for each in loaded.signatures[endpoint].inputs if each.dtype != tf.resource]
    assert names == ["input:0"], names
same = getattr(loaded, "probabilities")({{k: tf.constant(v) for k, v in inputs.items()}})
assert list(same) == ["probabilities"]
names = loaded.signatures["names"]()
print([each.decode() for each in names["classes"].numpy()], names["members"].numpy())
"""
    said = in_fresh_process(tmp_path / "served", code)
    assert "['cat', 'dog', 'bird'] [b'a' b'b']" in said
    expected = by_numpy(softmax(members_answer(models, rows()["input"])))
    found = {}
    for endpoint in ("probabilities", "member_probabilities", "uncertainty"):
        with np.load(tmp_path / f"served/{endpoint}.npz") as outputs:
            found[endpoint] = dict(outputs)
    assert sorted(found["uncertainty"]) == [
        "disagreement", "mutual_information", "predictive_entropy"
    ]  # fmt: skip
    together = {name: each for outputs in found.values() for name, each in outputs.items()}
    check_outputs(together, expected, 1e-6)


def loaded_here(folder: Path, kind: str = "tf_saved_model") -> Any:
    """The files loaded in this process, where starting another one proves nothing more."""
    return FORMATS[kind].load(folder)


@pytest.mark.parametrize("end", ["sigmoid", None])
def test_one_unit_says_no_and_yes(end: str | None, tmp_path: Path) -> None:
    models = [row_network(name, hidden, end=end, units=1) for name, hidden in (("a", 3), ("b", 5))]
    logits = None if end else True
    export(models, tmp_path / "served", logits=logits, class_names=["no", "yes"])
    raw = members_answer(models, rows()["input"])
    expected = by_numpy(yes_and_no(raw if end else sigmoid(raw)))
    check_outputs(loaded_here(tmp_path / "served")(rows()), expected, 1e-6)


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_a_regression_has_a_mean_its_members_and_a_variance(kind: str, tmp_path: Path) -> None:
    models = [row_network(name, hidden, end=None, units=2) for name, hidden in (("a", 3), ("b", 5))]
    for model in models:
        model.compile(loss="mse")
    card = export(models, tmp_path / "served", kind, weights=[3, 1])
    values = members_answer(models, rows()["input"])
    mean = np.average(values, axis=0, weights=[3, 1])
    expected = {
        "mean": mean,
        "member_predictions": values.transpose(1, 0, 2),
        "variance": np.average((values - mean) ** 2, axis=0, weights=[3, 1]),
    }
    check_outputs(loaded_here(tmp_path / "served", kind)(rows()), expected, TOLERANCE[kind])
    assert (card.task, list(card.endpoints)) == (
        "regression",
        ["mean", "member_predictions", "uncertainty"],
    )


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_one_member_has_nobody_to_differ_from(kind: str, tmp_path: Path) -> None:
    export([row_network("only", 4)], tmp_path / "served", kind)
    found = loaded_here(tmp_path / "served", kind)(rows())
    assert not found["disagreement"].any()
    np.testing.assert_allclose(found["mutual_information"], 0.0, atol=1e-6)
    assert found["member_probabilities"].shape == (7, 1, 3)


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_what_votes_can_be_a_member(kind: str, tmp_path: Path) -> None:
    ensemble = combine([row_network("a", 3), row_network("b", 5), row_network("c", 4)], "vote")
    settings = {"logits": False, "class_names": list("xyz"), "endpoints": ["probabilities"]}
    export([ensemble], tmp_path / "served", kind, **settings)
    found = loaded_here(tmp_path / "served", kind)(rows())
    expected = keras.ops.convert_to_numpy(ensemble(rows()["input"]))
    check_outputs(found, {"probabilities": expected}, TOLERANCE[kind])


@pytest.mark.parametrize("kind", FORMAT_TESTS)
@pytest.mark.parametrize("activation", ["gelu", "silu", "mish", "leaky_relu", "selu", "softplus"])
def test_activations_of_all_kinds(activation: str, kind: str, tmp_path: Path) -> None:
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(9, activation), L.Dense(3, "softmax")], name="a"
    )
    export([randomise(network)], tmp_path / "served", kind, endpoints=["probabilities"])
    found = loaded_here(tmp_path / "served", kind)(rows())
    expected = keras.ops.convert_to_numpy(network(rows()["input"]))
    check_outputs(found, {"probabilities": expected}, TOLERANCE[kind])


def test_endpoints_that_are_not_wanted_are_not_there(tmp_path: Path) -> None:
    models = [row_network("a", 3), row_network("b", 4)]
    export(models, tmp_path / "served", endpoints=["probabilities"])
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    assert list(loaded.signatures["serving_default"](**rows())) == ["probabilities"]
    assert "uncertainty" not in loaded.signatures


def uint8_images() -> dict[str, np.ndarray]:
    pixels = np.random.default_rng(2).integers(0, 256, (4, 12, 12, 1))
    return {"pixels": pixels.astype("uint8")}


@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_preprocessing_is_inside(kind: str, tmp_path: Path) -> None:
    models = [image_network("a", 3), image_network("preprocessing", 5)]
    before = keras.Sequential(
        [
            keras.Input((12, 12, 1), dtype="uint8", name="pixels"),
            L.Rescaling(1 / 255),
            L.AveragePooling2D(2),
        ],
        name="a",
    )
    export(models, tmp_path / "served", kind, preprocessing=before)
    x = uint8_images()["pixels"].astype("float32") / 255
    pooled = x.reshape(4, 6, 2, 6, 2, 1).mean((2, 4))
    found = loaded_here(tmp_path / "served", kind)(uint8_images())
    check_outputs(found, by_numpy(members_answer(models, pooled)), TOLERANCE[kind])


def normalization() -> keras.layers.Layer:
    layer = L.Normalization()
    layer.adapt(np.arange(40, dtype="float32").reshape(10, 4))
    return layer


@pytest.mark.parametrize(
    ("preprocessing", "by_hand"),
    [
        (normalization, lambda x: (x - [18, 19, 20, 21]) / np.sqrt(132)),
        (lambda: lambda x: L.Rescaling(2.0)(x) + 1.0, lambda x: 2 * x + 1),
    ],
    ids=["layer", "function"],
)
def test_a_layer_or_a_function_comes_before(
    preprocessing: Any, by_hand: Any, tmp_path: Path
) -> None:
    models = [row_network("a", 3), row_network("b", 5)]
    export(models, tmp_path / "served", preprocessing=preprocessing())
    expected = by_numpy(members_answer(models, by_hand(rows()["input"]).astype("float32")))
    check_outputs(loaded_here(tmp_path / "served")(rows()), expected, 1e-6)


def test_weights_are_written_once(tmp_path: Path) -> None:
    """Keras' own export writes them twice."""
    models = [row_network("a", 100), row_network("b", 100)]
    export(models, tmp_path / "served")
    (data,) = tmp_path.glob("served/variables/variables.data*")
    weights = sum(model.count_params() for model in models) * 4
    assert weights < data.stat().st_size < 1.5 * weights + 4000


def test_text_comes_before(tmp_path: Path) -> None:
    words = keras.Input((2,), dtype="string", name="words")
    lookup = L.StringLookup(vocabulary=["red", "green"], output_mode="multi_hot")
    before = keras.Model(words, lookup(words))
    network = keras.Sequential([keras.Input((3,)), L.Dense(3, "softmax")], name="a")
    randomise(network)
    export([network], tmp_path / "served", preprocessing=before)
    found = loaded_here(tmp_path / "served")({"words": np.array([["red", "what"], ["green", ""]])})
    expected = network(np.array([[1, 1, 0], [1, 0, 1]], "float32"))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)


def test_half_precision_is_for_inside_the_members(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [row_network("a", 3), row_network("b", 5)]
    finally:
        keras.config.set_dtype_policy("float32")
    export(models, tmp_path / "served")
    found = loaded_here(tmp_path / "served")(rows())
    assert {each.dtype.name for each in found.values()} == {"float32"}
    np.testing.assert_allclose(found["probabilities"].sum(-1), 1, atol=1e-3)


def test_yours_are_untouched(tmp_path: Path) -> None:
    models = [image_network("a", 3), image_network("b", 5)]
    before = [model.get_weights() for model in models]
    export(models, tmp_path / "served")
    for model, weights in zip(models, before, strict=True):
        for mine, its in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(mine, its)


CARD = {
    "title": "Three toys",
    "data": "Made up; 20 examples",
    "measures": {"accuracy": np.float32(0.5), "examples": 20},
    "license": "CC-BY-4.0",
    "limitations": ["toy", "not | for use"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMAT_TESTS)
def test_the_card_tells_it_all_and_its_example_runs(kind: str, tmp_path: Path) -> None:
    models = [Member(row_network("a", 3), name="small"), row_network("b", 5)]
    names = ["cat", "dog", "bird"]
    card = export(models, tmp_path / "served", kind, class_names=names, card=CARD, weights=[3, 1])
    told = json.loads((tmp_path / "served/model_card.json").read_text())
    assert told["class_names"] == names and told["given"]["license"] == "CC-BY-4.0"
    assert told["members"][0] == {"name": "small", "parameters": 27, "weight": 0.75}
    assert told["inputs"][0] == {
        "name": "input", "shape": [None, 4], "dtype": "float32", "meaning": ""
    }  # fmt: skip
    text = (tmp_path / "served/MODEL_CARD.md").read_text()
    assert text == str(card)
    for part in ("# Three toys", "| accuracy | 0.5 |", "CC-BY-4.0", "| 2 | bird |", "not | for"):
        assert part in text, part
    assert "## Authors\n\nNot stated." in text
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    said = in_fresh_process(tmp_path / "served", example)
    assert "probabilities" in said and "disagreement" in said


@pytest.mark.parametrize(
    "kind", [each for each in FORMAT_TESTS if each.values != ("tf_saved_model",)]
)
def test_class_names_are_in_the_file_too(kind: str, tmp_path: Path) -> None:
    names = ["cat", "dog", "bird"]
    export([row_network("a", 3)], tmp_path / "served", kind, class_names=names)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(tmp_path / "served/model.onnx"))
        text = session.get_modelmeta().custom_metadata_map["model_card"]
    else:
        with zipfile.ZipFile(tmp_path / "served/model.tflite") as archive:
            assert archive.read("labels.txt") == b"cat\ndog\nbird\n"
            text = archive.read("model_card.json").decode()
    assert json.loads(text)["class_names"] == names


def test_a_plain_export_has_the_names_that_keras_gives(tmp_path: Path) -> None:
    """`ensemble.export` is Keras' own: named inputs, and `output_0`."""
    combine([row_network("a", 3), row_network("b", 5)]).export(tmp_path / "one", verbose=False)
    two = combine([two_input_network("a", 3), two_input_network("b", 5)])
    two.export(tmp_path / "two", verbose=False)
    for name, inputs in (("one", ["input"]), ("two", ["numbers", "words"])):
        default = tf.saved_model.load(str(tmp_path / name)).signatures["serving_default"]
        assert sorted(default.structured_input_signature[1]) == inputs
        assert list(default.structured_outputs) == ["output_0"]
