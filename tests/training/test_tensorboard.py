"""Logs for TensorBoard: a folder of every job, with the values of its history."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.training import Job

needs = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed"
)


@needs
def test_every_job_has_a_folder_with_the_values_of_its_history(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    models = [
        keras.Sequential([keras.Input((5,)), keras.layers.Dense(2, "softmax")], name=name)
        for name in ("a", "b")
    ]
    method = km.FullData(models)
    method.compile("sgd", "sparse_categorical_crossentropy")
    logs = km.TensorBoard(tmp_path / "logs", write_graph=False)
    history = method.fit(x, y, epochs=3, verbose=0, callbacks=logs, run_dir=tmp_path / "run")
    for name in ("a", "b"):
        events = EventAccumulator(str(tmp_path / "logs" / name / "train"))
        events.Reload()
        written = [
            float(np.frombuffer(event.tensor_proto.tensor_content, "float32")[0])
            if event.tensor_proto.tensor_content
            else event.tensor_proto.float_val[0]
            for event in events.Tensors("epoch_loss")
        ]
        np.testing.assert_allclose(written, history.jobs[name]["loss"], rtol=1e-6)
    method.fit(x, y, epochs=3, verbose=0, run_dir=tmp_path / "run")  # the same run without


def test_without_tensorboard_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(km.MotherNetsError, match=r"pip install 'keras-mothernets\[tensorboard\]'"):
        km.TensorBoard("logs")


@needs
def test_it_is_a_function_of_the_job():
    callback = km.TensorBoard("logs", update_freq=7)(Job("a", "member", "a"))
    assert callback.log_dir.endswith("a")
    assert callback.update_freq == 7


@needs
def test_a_path_that_is_none_is_named():
    with pytest.raises(km.MotherNetsError, match="`path` must be that of a folder.*None"):
        km.TensorBoard(None)
