"""A script as users write it, run by `test_processes.py`, with layers and functions of its own.

    python process_script.py OUT.npz COMMAND

With one thread everywhere, so that results of one process and of several can be equal.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from trained_values import values_of

import keras_mothernets as km
from keras_mothernets.rules import ElementwiseRule


class Halve(keras.layers.Layer):
    """Not registered with Keras, and with a rule of its own."""

    def call(self, x):
        return x / 2


km.register_rule(Halve, ElementwiseRule())


class Steps(keras.optimizers.schedules.LearningRateSchedule):
    """Not registered either."""

    def __init__(self, highest, steps):
        self.highest = highest
        self.steps = steps

    def __call__(self, step):
        return self.highest * (1 - tf.cast(step, "float32") / (self.steps + 1))

    def get_config(self):
        return {"highest": self.highest, "steps": self.steps}


class DiesOnce(keras.callbacks.Callback):
    """Kills its process in the second epoch of a job, as often as there are files to remove."""

    def __init__(self, job, folder):
        super().__init__()
        self.job = job
        self.folder = Path(folder)

    def on_epoch_end(self, epoch, logs=None):
        left = sorted(self.folder.glob(f"{self.job}-*"))
        if epoch == 1 and left:
            left[0].unlink()
            os.kill(os.getpid(), 9)


def optimizer(job):
    return keras.optimizers.SGD(Steps(0.1, job.steps), momentum=0.9)


def network(name, widths):
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.RandomTranslation(0.1, 0.1)(x)
    for width in widths:
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Dropout(0.2)(Halve()(keras.layers.GlobalAveragePooling2D()(x)))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x), name=name)


def members():
    keras.utils.set_random_seed(1)
    widths = {"small": (8, 8), "deep": (8, 12, 8), "wide": (12, 16)}
    return [network(name, each) for name, each in widths.items()]


def train(method, executor=None, run_dir=None, callbacks=None, on_failure="stop", **settings):
    x, y = load_digits(return_X_y=True)
    x = (x[:600] / 16).reshape(-1, 8, 8, 1).astype("float32")
    settings = {"optimizer": optimizer, **settings}
    method.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    history = method.fit(
        x, y[:600], epochs=3, validation_split=0.1, executor=executor, run_dir=run_dir,
        callbacks=callbacks, on_failure=on_failure, verbose=0,
    )  # fmt: skip
    return values_of(method, history)


def methods():
    given = members()
    yield "mothernets", km.MotherNets(given)
    yield "distillation", km.KnowledgeDistillation(given)
    yield "treenets", km.TreeNets(given)


def compare(folder):
    """All methods in one process and in several."""
    for name, method in methods():
        for executor in (km.Local(), km.Processes(2, threads=1)):
            kind = type(executor).__name__
            result = train(method, executor, run_dir=folder / name if kind != "Local" else None)
            yield from ((f"{name}/{kind}/{key}", value) for key, value in result.items())


def lose_workers(folder):
    """Two jobs lose their workers, one of them twice."""
    for name in ("small-1", "deep-1", "deep-2"):
        (folder / name).touch()

    def callbacks(job):
        return [DiesOnce(job.name, folder)]

    executor = km.Processes(2, threads=1)
    for kind, chosen in (("Processes", executor), ("Local", km.Local())):
        result = train(km.MotherNets(members()), chosen, folder / kind, callbacks)
        yield from ((f"{kind}/{key}", value) for key, value in result.items())


def always_die(folder):
    """A job whose worker dies each time."""
    for number in range(9):
        (folder / f"deep-{number}").touch()
    yield from train(
        km.MotherNets(members()), km.Processes(2, threads=1, tries=2), folder / "run",
        lambda job: [DiesOnce(job.name, folder)],
    ).items()  # fmt: skip


def go_on(folder):
    """Whatever is there, until it is finished."""
    yield from train(
        km.FullData(members()), km.Processes(2, threads=1), folder / "run",
        lambda job: [DiesOnce(job.name, folder)],
    ).items()  # fmt: skip


def diverge(folder):
    """The loss becomes NaN."""
    yield from train(
        km.FullData(members()), km.Processes(2, threads=1), folder / "run", optimizer="sgd",
        callbacks=lambda job: [_Spoil(1)] if job.name == "deep" else [],
    ).items()  # fmt: skip


def leave_out(folder):
    """The others go on without one that loses its worker twice, and one that fails."""
    for number in range(2):
        (folder / f"deep-{number}").touch()

    def callbacks(job):
        return [_Spoil(0)] if job.name == "wide" else [DiesOnce(job.name, folder)]

    executor = km.Processes(2, threads=1, tries=2)
    method = km.FullData(members())
    yield from train(method, executor, folder / "run", callbacks, on_failure="skip").items()
    yield "failed", np.array([f"{name}: {why}" for name, why in method._run[1].failed.items()])


class _Spoil(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            first = self.model.trainable_variables[-2]
            first.assign(first * float("nan"))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in the background
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    out = Path(sys.argv[1])
    np.savez(out, **dict(globals()[sys.argv[2]](out.parent)))
