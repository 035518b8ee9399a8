"""A script as users write it, run by `test_ray.py`, with a layer of its own.

    python ray_script.py OUT.npz COMMAND ADDRESS

With one thread everywhere, so that results of one process and of a cluster can be equal.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
import ray
import tensorflow as tf
from sklearn.datasets import load_digits
from trained_values import values_of

import keras_mothernets as km
from keras_mothernets.rules import ElementwiseRule

WIDTHS = ((8, 12), (9, 11), (10, 10), (11, 9), (12, 8), (9, 10))
MOTHERNETS = functools.partial(km.MotherNets, member_epochs=2)
FACTOR = float(os.environ.get("FACTOR", "0.5"))


@keras.saving.register_keras_serializable("Own")
class Scale(keras.layers.Layer):
    """Scripts that run side by side know another layer by this name."""

    def call(self, x):
        return x * FACTOR


km.register_rule(Scale, ElementwiseRule())


class Elsewhere(km.Ray):
    """Workers look for another mark than the one that is there, as if they saw no folder."""

    def run(self, plan, context):
        from keras_mothernets.training import ray_crew

        true, ray_crew.Shared = ray_crew.Shared, _other_mark
        try:
            return super().run(plan, context)
        finally:
            ray_crew.Shared = true


def _other_mark(package, letters, folder, mark, directory):
    from keras_mothernets.training.ray_job import Shared

    return Shared(package, letters, folder, "no such mark", directory)


class Notes(keras.callbacks.Callback):
    """Writes down each epoch that begins."""

    def __init__(self, job, folder):
        super().__init__()
        self.file = Path(folder, f"{job}.txt")

    def on_epoch_begin(self, epoch, logs=None):
        with self.file.open("a") as file:
            file.write(f"{epoch}\n")


class Dies(keras.callbacks.Callback):
    """Kills its process amid the second epoch, as long as there are files to remove."""

    def __init__(self, job, folder):
        super().__init__()
        self.job = job
        self.folder = Path(folder)
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        left = sorted(self.folder.glob(f"{self.job}-*"))
        if self.epoch == 1 and batch == 1 and left:
            left[0].unlink()
            os.kill(os.getpid(), 9)


class Spoil(keras.callbacks.Callback):
    """Makes the loss NaN."""

    def on_epoch_begin(self, epoch, logs=None):
        first = self.model.trainable_variables[0]
        first.assign(first * float("nan"))


class Sleeps(keras.callbacks.Callback):
    """Says in a file which process it is in, and sleeps."""

    def __init__(self, file):
        super().__init__()
        self.file = Path(file)

    def on_epoch_begin(self, epoch, logs=None):
        self.file.write_text(str(os.getpid()))
        time.sleep(60)


def network(name, widths):
    x = inputs = keras.Input((8, 8, 1))
    for width in widths:
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.2)(Scale()(keras.layers.GlobalAveragePooling2D()(x)))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x), name=name)


def train(executor, members=WIDTHS, method=MOTHERNETS, **settings):
    """Weights of the members and curves of the jobs, by name."""
    keras.utils.set_random_seed(1)
    method = method([network(f"net{number}", widths) for number, widths in enumerate(members)])
    x, y = load_digits(return_X_y=True)
    x = (x[:500] / 16).reshape(-1, 8, 8, 1).astype("float32")
    method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = method.fit(
        x, y[:500], executor=executor,
        **{"epochs": 2, "validation_split": 0.1, "verbose": 0, **settings},
    )  # fmt: skip
    return values_of(method, history)


def compare(folder, address):
    """In this process; in the cluster, in a run directory and sent back; in its own cluster."""
    small = {"members": WIDTHS[:1], "method": km.FullData}
    for kind, executor, settings in (
        ("here", None, {}),
        ("kept", km.Ray(address), {"run_dir": folder / "kept"}),
        ("sent", Elsewhere(address), {"run_dir": folder / "sent"}),
        ("small here", None, small),
        ("small own", km.Ray(), small),
        ("small sent", Elsewhere(), small),
    ):
        result = train(executor, **settings)
        yield from ((f"{kind}/{key}", value) for key, value in result.items())
    assert not ray.is_initialized()


def one(folder, address):
    """A small run, beside another one."""
    for kind, executor in (("here", None), ("there", km.Ray(address))):
        result = train(executor, WIDTHS[:1], km.FullData)
        yield from ((f"{kind}/{key}", value) for key, value in result.items())


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    out = Path(sys.argv[1])
    np.savez(out, **dict(globals()[sys.argv[2]](out.parent, sys.argv[3])))
