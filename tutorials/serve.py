"""Serve an exported ensemble over HTTP; needs TensorFlow and nothing of keras_mothernets.

    python serve.py served --port 8000
    curl localhost:8000/predict -d '{"inputs": {"input": [[0.1, 0.2, 0.3, 0.4]]}}'

`served` is a folder that `km.export(models, "served")` has made. GET / gives its model card. POST
/predict gives all outputs, and POST /probabilities or any other endpoint gives that one alone.

This is a small server to learn from and to test with: it has no users, no encryption, no batching.
TensorFlow Serving takes the same folder.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notices of its start

import tensorflow as tf  # noqa: E402

LARGEST = 64 * 1024 * 1024  # bytes of a question


class BadQuestion(Exception):
    """What the one who asks must mend."""


class Ensemble:
    """A loaded ensemble that answers plain values with plain values."""

    def __init__(self, folder: Path) -> None:
        self._loaded = tf.saved_model.load(str(folder))
        self.card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))

    def answer(self, endpoint: str, question: Any) -> dict[str, Any]:
        """The outputs of an endpoint, and the names of the classes where they are known."""
        name = "serving_default" if endpoint == "predict" else endpoint
        if name != "serving_default" and name not in self.card["endpoints"]:
            raise BadQuestion(f"no endpoint {name!r}; there are {list(self.card['endpoints'])}")
        outputs = self._loaded.signatures[name](**self._tensors(question))
        answer: dict[str, Any] = {"outputs": {k: v.numpy().tolist() for k, v in outputs.items()}}
        classes = self.card["class_names"]
        if classes is not None and "probabilities" in outputs:
            best = tf.argmax(outputs["probabilities"], axis=-1).numpy()
            answer["classes"] = [classes[number] for number in best]
        return answer

    def _tensors(self, question: Any) -> dict[str, tf.Tensor]:
        """The inputs that a question gives; all that the card names, and no others."""
        given = question.get("inputs") if isinstance(question, dict) else None
        wanted = {each["name"]: each for each in self.card["inputs"]}
        if not isinstance(given, dict) or set(given) != set(wanted):
            raise BadQuestion(f'expected {{"inputs": {{...}}}} with {sorted(wanted)}')
        return {name: _tensor(name, given[name], wanted[name]) for name in wanted}


def _tensor(name: str, value: Any, wanted: dict[str, Any]) -> tf.Tensor:
    try:
        tensor = tf.constant(value, dtype=wanted["dtype"])
    except (TypeError, ValueError) as error:
        raise BadQuestion(f"input {name!r} must be numbers of type {wanted['dtype']}") from error
    if not tensor.shape.is_compatible_with(wanted["shape"]):
        raise BadQuestion(
            f"input {name!r} must have shape {wanted['shape']}, and has {tensor.shape.as_list()}"
        )
    return tensor


class Handler(http.server.BaseHTTPRequestHandler):
    """Questions and answers as JSON."""

    ensemble: Ensemble

    def do_GET(self) -> None:
        """The model card."""
        self._send(200, self.ensemble.card)

    def do_POST(self) -> None:
        """An answer of an endpoint."""
        try:
            length = int(self.headers.get("Content-Length", 0))
            if length > LARGEST:
                raise BadQuestion(f"more than {LARGEST} bytes")
            question = json.loads(self.rfile.read(length))
            self._send(200, self.ensemble.answer(self.path.strip("/"), question))
        except BadQuestion as error:
            self._send(400, {"error": str(error)})
        except tf.errors.InvalidArgumentError as error:  # a word that no embedding has, for example
            self._send(400, {"error": error.message})
        except ValueError as error:
            self._send(400, {"error": f"not JSON: {error}"})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Load, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve an exported ensemble over HTTP.")
    parser.add_argument("folder", type=Path, help="folder that km.export has made")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1: this machine only")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free (8000)")
    arguments = parser.parse_args()
    Handler.ensemble = Ensemble(arguments.folder)
    server = http.server.ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    print(f"Serving on http://{arguments.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("Stopped.")


if __name__ == "__main__":
    main()
