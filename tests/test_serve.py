"""The small server of the tutorials: real questions over HTTP to an exported ensemble."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from networks import randomise

from keras_mothernets import export

SERVE = Path(__file__).parent.parent / "tutorials/serve.py"
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


class Server(NamedTuple):
    """A server in a process of its own, and what it should say to X."""

    address: str
    members: np.ndarray  # (members, examples, classes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two networks, served where this package cannot be imported."""
    place = tmp_path_factory.mktemp("serve")
    models = [
        randomise(
            keras.Sequential(
                [keras.Input((4,), name="flower"), keras.layers.Dense(3, "softmax")], name=name
            ),
            seed,
        )
        for seed, name in enumerate(("one", "two"))
    ]
    export(models, place / "served", class_names=["cat", "dog", "bird"])
    code = "raise ImportError('not for the server')"
    (place / "keras_mothernets.py").write_text(code)  # stands before any other of that name
    process = subprocess.Popen(
        [sys.executable, str(SERVE), "served", "--port", "0"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving on http://"), line
        answers = [keras.ops.convert_to_numpy(model(X)) for model in models]
        yield Server(line.split()[-1], np.stack(answers))
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()


def asked(address: str, question: Any) -> tuple[int, Any]:
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    try:
        with urllib.request.urlopen(address, data=body, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.slow
def test_a_question_is_answered(server: Server) -> None:
    status, answer = asked(f"{server.address}/predict", {"inputs": {"flower": X.tolist()}})
    assert status == 200
    mean = server.members.mean(0)
    np.testing.assert_allclose(answer["outputs"]["probabilities"], mean, atol=1e-6)
    np.testing.assert_allclose(
        answer["outputs"]["member_probabilities"], server.members.transpose(1, 0, 2), atol=1e-6
    )
    entropy = -(mean * np.log(mean)).sum(-1)
    np.testing.assert_allclose(answer["outputs"]["predictive_entropy"], entropy, atol=1e-5)
    names = ["cat", "dog", "bird"]
    assert answer["classes"] == [names[number] for number in mean.argmax(-1)]


@pytest.mark.slow
def test_an_endpoint_is_answered_alone(server: Server) -> None:
    status, answer = asked(f"{server.address}/uncertainty", {"inputs": {"flower": X.tolist()}})
    assert status == 200 and "classes" not in answer
    assert sorted(answer["outputs"]) == ["disagreement", "mutual_information", "predictive_entropy"]


@pytest.mark.slow
def test_the_card_is_told(server: Server) -> None:
    with urllib.request.urlopen(server.address, timeout=60) as answer:
        assert json.load(answer)["class_names"] == ["cat", "dog", "bird"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "question", "words"),
    [
        ("predict", b"{", "not JSON"),
        ("predict", [1], "expected"),
        ("predict", {"inputs": {"image": [[1, 2, 3, 4]]}}, "flower"),
        ("predict", {"inputs": {"flower": [[1, 2, 3]]}}, "must have shape"),
        ("predict", {"inputs": {"flower": "red"}}, "must be numbers"),
        ("loss", {"inputs": {"flower": [[1, 2, 3, 4]]}}, "no endpoint 'loss'"),
    ],
)
def test_a_bad_question_is_told(server: Server, path: str, question: Any, words: str) -> None:
    status, answer = asked(f"{server.address}/{path}", question)
    assert status == 400 and words in answer["error"]
