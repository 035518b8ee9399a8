"""Ctrl-C stops at the next step, and what is kept goes on; the log tells of it all."""

from __future__ import annotations

import os
import re
import signal
import threading

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.training import save_epochs
from keras_mothernets.training.interrupt import Interrupt

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 5)).astype("float32")
y = (x[:, 0] > 0).astype(int)
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def members():
    keras.utils.set_random_seed(0)
    return [
        keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(width, "relu"),
                keras.layers.Dense(2, "softmax"),
            ],
            name=name,
        )
        for name, width in {"a": 4, "b": 6}.items()
    ]


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C within a step of the second epoch of job b, while it may."""

    may, steps = True, []

    def __init__(self, name, times):
        super().__init__()
        self.name, self.times = name, times

    def on_train_begin(self, logs=None):
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.steps.append((self.name, self.epoch, batch))
        if self.may and (self.name, self.epoch, batch) == ("b", 1, 2):
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
            self.steps.append("the step goes on")


def fit(run_dir=None, times=1, **settings):
    method = km.FullData(members())
    method.compile("sgd", "sparse_categorical_crossentropy")
    Press.steps.clear()
    settings.setdefault("callbacks", lambda job: [Press(job.name, times)])
    method.fit(x, y, epochs=3, batch_size=16, run_dir=run_dir, verbose=0, **settings)
    return [weight for model in method.members for weight in model.get_weights()]


def test_the_step_is_finished_and_the_run_goes_on_later_as_if_nothing_had_been(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(save_epochs, "SHARE", 1e9)  # every epoch is kept
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="Call `fit` again with `run_dir=.*run.*it goes on"):
        fit(tmp_path / "run")
    assert Press.steps[-2:] == [("b", 1, 2), "the step goes on"]
    assert "Stopping after this step" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Press, "may", False)
    resumed = fit(tmp_path / "run")
    assert Press.steps[0] == ("b", 1, 0)  # a is finished, and the first epoch of b was kept
    for mine, theirs in zip(resumed, fit(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_pressed_twice_it_stops_at_once():
    with pytest.raises(KeyboardInterrupt, match="Nothing is kept without a `run_dir`"):
        fit(times=2)
    assert Press.steps[-1] == ("b", 1, 2)


def test_a_handler_of_the_users_stays(monkeypatch):
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        fit()
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]


def test_in_another_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter():
        with Interrupt() as interrupt:
            seen.append(signal.getsignal(signal.SIGINT))
            interrupt.check()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_log_tells_of_all_that_happened(tmp_path, monkeypatch):
    monkeypatch.setattr(save_epochs, "SHARE", 1e9)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path)
    monkeypatch.setattr(Press, "may", False)
    fit(tmp_path)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    expected = [
        "the run begins, or goes on",
        "a: begins, member, own weights",
        *(rf"a: epoch {epoch}/3 loss 0\.\d+" for epoch in (1, 2, 3)),
        r"a: finished in \d+\.\d s loss .*",
        "b: begins, member, own weights",
        r"b: epoch 1/3 loss .*",
        r"the run has stopped: KeyboardInterrupt.*",
        "the run begins, or goes on",
        "a: was finished loss .*",
        "b: begins, member, own weights",
        "b: goes on after epoch 1/3",
        *(rf"b: epoch {epoch}/3 loss .*" for epoch in (2, 3)),
        r"b: finished in .*",
        "the run has ended",
    ]
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(TIME + pattern, line), line


def test_a_log_that_cannot_be_written_hinders_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(Press, "may", False)
    os.mkdir(tmp_path / "log.txt")
    kept = fit(tmp_path)
    assert (tmp_path / "log.txt").is_dir()
    assert {path.parent.name for path in tmp_path.glob("jobs/*/state.json")} == {"a", "b"}
    for mine, theirs in zip(kept, fit(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
