"""Settings in words: equal for what is equal, different for what differs, in any process."""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_mothernets.training.describe import describe, describe_callbacks
from keras_mothernets.training.fingerprint import architecture_fingerprint, weights_fingerprint

FACTOR = 1.0


def scaled(y_true, y_pred):
    """Reads a number of its module."""
    return FACTOR * keras.ops.mean(y_pred - y_true, -1)


def closed_over(factor):
    return lambda y_true, y_pred: factor * keras.ops.mean(y_pred, -1)


def calling(function):
    return lambda y_true, y_pred: function(y_true, y_pred)


class Loss(keras.losses.Loss):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self._factor = factor

    def call(self, y_true, y_pred):
        return self._factor * keras.ops.mean(y_pred, -1)


class Note(keras.callbacks.Callback):
    def __init__(self, level=1):
        super().__init__()
        self.level = level
        self.seen = []


def plain(optimizer, **excluded):
    optimizer.exclude_from_weight_decay(**excluded)
    return optimizer


SGD, AdamW = keras.optimizers.SGD, keras.optimizers.AdamW
CosineDecay = keras.optimizers.schedules.CosineDecay
DIFFERENT = {
    "rate": (SGD(0.1), SGD(0.2)),
    "schedule": (SGD(CosineDecay(0.1, 5)), SGD(CosineDecay(0.1, 6))),
    "weight decay": (AdamW(), plain(AdamW(), var_names=["bias"])),
    "class": (SGD(0.001), keras.optimizers.RMSprop(0.001)),
    "closure": (closed_over(1.0), closed_over(2.0)),
    "closure of lists": (closed_over([1.0, 2.0]), closed_over([1.0, 3.0])),
    "closure of arrays": (closed_over(np.ones(3)), closed_over(np.zeros(3))),
    "function in a closure": (calling(closed_over(1.0)), calling(closed_over(2.0))),
    "default": (lambda y, p, k=1: k, lambda y, p, k=2: k),
    "keyword": (lambda y, *, k=1: k, lambda y, *, k=2: k),
    "constant": (lambda y, p: p + 1, lambda y, p: p + 2),
    "operation": (lambda y, p: p + y, lambda y, p: p - y),
    "name": (lambda y, p: p.sum(), lambda y, p: p.mean()),
    "partial": (functools.partial(scaled, y_pred=1), functools.partial(scaled, y_pred=2)),
    "own loss": (Loss(1.0), Loss(2.0)),
    "reduction": (Loss(1.0), Loss(1.0, reduction="sum")),
    "callback": (Note(1), Note(2)),
    "text and number": ("1", 1),
    "weights": ([0.1, 0.2], [0.1, 0.3]),
}


@pytest.mark.parametrize("row", DIFFERENT)
def test_what_differs_reads_differently(row):
    one, other = DIFFERENT[row]
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)
    assert " at 0x" not in describe(one)


def test_a_number_of_the_module_counts(monkeypatch):
    before = describe(scaled)
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert describe(scaled) != before


@pytest.mark.parametrize("names", [["bias", "gamma"], ["gamma", "bias"]])
def test_the_order_of_names_does_not_count(names):
    assert "['bias', 'gamma']" in describe(plain(AdamW(), var_names=names))


def test_where_a_callback_writes_to_and_whom_it_watched_do_not_count():
    used = Note()
    used.seen.append(1)
    used.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    assert describe(used) == describe(Note())


def noting(log):
    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: log.append(epoch))


def test_where_the_function_of_a_callback_writes_to_does_not_count():
    assert describe([noting([])]) == describe([noting([1])])


def test_callbacks_that_only_watch_are_left_out():
    stopping = keras.callbacks.EarlyStopping(patience=3)
    watching = [keras.callbacks.CSVLogger("x.csv"), keras.callbacks.ModelCheckpoint("x.keras")]
    assert describe_callbacks([*watching, stopping]) == "[EarlyStopping(patience=3)]"
    assert describe_callbacks(watching) == ""


def test_circles_end():
    note = Note()
    note.itself, note.function = note, lambda: note
    assert describe(note).startswith("Note(")


def told_by_a_process(hash_seed):
    """The texts of all rows of the table, in a process of its own."""
    code = (
        "import test_describe as t; from keras_mothernets.training.describe import describe;"
        "print([describe(v) for row in t.DIFFERENT.values() for v in row])"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_another_process_says_the_same():
    assert told_by_a_process("1") == told_by_a_process("2")


def network(dtype="float32", factor=1.0):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones", dtype=dtype)]
    )
    model.layers[0].bias.assign(np.full(3, factor))
    return model


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", keras.DTypePolicy("mixed_bfloat16")])
def test_the_precision_belongs_to_the_architecture(dtype):
    assert architecture_fingerprint(network()) == architecture_fingerprint(network())
    assert architecture_fingerprint(network()) != architecture_fingerprint(network(dtype))


def test_weights_are_told_apart():
    assert weights_fingerprint(network()) == weights_fingerprint(network())
    assert weights_fingerprint(network()) != weights_fingerprint(network(factor=2.0))
