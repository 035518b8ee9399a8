"""One job over several devices: what needs no second one here, and the rest in another process."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training import Local, read_data
from keras_mothernets.training.data import ArraySource
from keras_mothernets.training.data.replicas import evaluation_cuts, uneven_rows

HERE = Path(__file__).parent
SPARSE = "sparse_categorical_crossentropy"
RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), RNG.integers(0, 3, 40)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["keras_on_two_devices.py", "on_two_devices.py"])
def test_on_two_devices(file):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, HERE / file],
        env={**os.environ, "PYTHONPATH": str(Path(km.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def fit(distribute, **arguments):
    keras.utils.set_random_seed(1)
    stack = [keras.layers.Dense(5, "relu"), keras.layers.BatchNormalization()]
    member = keras.Sequential(
        [keras.Input((4,)), *stack, keras.layers.Dropout(0.2), keras.layers.Dense(3, "softmax")],
        name="a",
    )
    method = km.FullData([member])
    method.compile("adam", SPARSE, **arguments.pop("settings", {}))
    given = {"epochs": 2, "batch_size": 7, "verbose": 0, "validation_split": 0.2, **arguments}
    history = method.fit(X, Y, **given, distribute=distribute)
    return method, history


@pytest.mark.parametrize("kind", ["OneDeviceStrategy", "MirroredStrategy"])
def test_a_strategy_of_one_device_changes_nothing(kind):
    strategy = getattr(tf.distribute, kind)("CPU:0" if kind == "OneDeviceStrategy" else ["CPU:0"])
    (method, history), (plain, expected) = (fit(each) for each in (strategy, None))
    for name, values in history.history.items():
        np.testing.assert_allclose(values, expected.history[name], rtol=1e-5)
    for mine, theirs in zip(
        method.members[0].get_weights(), plain.members[0].get_weights(), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert history.ledger["a"].device == expected.ledger["a"].device
    told = f"{kind} over 1 device"
    assert method._run[0].differences(plain._run[0]) == [
        f"compile `distribute`: here {told}, there none"
    ]
    assert "distribute" not in plain._run[0].settings


def bare(kind):
    """An object of a class, without what making one needs."""
    return object.__new__(kind)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (bare(tf.distribute.MultiWorkerMirroredStrategy), "fails with several machines"),
        (bare(tf.distribute.experimental.ParameterServerStrategy), "no parameter servers"),
        (tf.distribute.get_strategy(), "a _DefaultDistributionStrategy"),
        (bare(keras.distribution.DataParallel), "Received: a DataParallel"),
        ("mirrored", "Expected: a `tf.distribute.MirroredStrategy` or `OneDeviceStrategy`"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else type(value).__name__,
)
def test_other_strategies_are_refused(strategy, message):
    with pytest.raises(MotherNetsError, match=message):
        fit(strategy)


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(MotherNetsError, match=r"needs the TensorFlow backend.* backend jax"):
        fit(bare(keras.distribution.DataParallel))


def test_what_no_strategy_can_do_is_refused():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope(), pytest.raises(MotherNetsError, match="within the scope"):
        fit(None)
    for settings, message in (
        ({"jit_compile": True}, "XLA cannot reach"),
        ({"steps_per_execution": 3}, "Expected: 1. Received: 3"),
    ):
        with pytest.raises(MotherNetsError, match=message):
            fit(strategy, settings=settings)

    class Elsewhere:
        run = Local().run

    with pytest.raises(MotherNetsError, match=r"`distribute` needs the executor `Local\(\)`"):
        fit(strategy, executor=Elsewhere())


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 8])
def test_every_row_is_evaluated_once_and_every_replica_has_rows(replicas):
    for rows in range(1, 200):
        if rows <= uneven_rows(rows, replicas):
            continue
        cuts = evaluation_cuts(rows, 2 * replicas, replicas)
        assert cuts[0] == 0 and cuts[-1] == rows
        *even, last = np.diff(cuts)
        assert all(0 < size <= 2 * replicas and size % replicas == 0 for size in even)
        each = -(-last // replicas)  # as TensorFlow deals them out
        assert last > each * (replicas - 1)
        assert even or last % replicas == 0


def test_rows_that_do_not_divide_come_once_more_in_training_alone():
    source = ArraySource(np.arange(11), np.arange(11))
    batches = source.batches(4, seed=3, replicas=4)
    seen = []
    for epoch in range(3):
        batches.begin_epoch(epoch)
        rows = np.concatenate([batches[index][0] for index in range(len(batches))])
        assert [len(batches[index][0]) for index in range(len(batches))] == [4, 4, 4]
        assert set(rows) == set(range(11)) and rows[-1] == rows[0]
        seen.append(rows[0])
    assert len(set(seen)) > 1
    once = source.evaluation_batches(4, replicas=2)
    parts = [once[index] for index in range(len(once))]
    assert [len(x) for x, _ in parts] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), np.arange(11))


def test_few_rows_are_repeated_until_they_divide():
    batches = ArraySource(np.arange(2)).batches(8, replicas=8)
    np.testing.assert_array_equal(batches[0][0], [0, 1] * 4)


def test_the_default_batch_size_of_a_validation_divides_too():
    data = read_data(tf.data.Dataset.range(3), validation_data=(X, Y))
    assert data.validation.evaluation_batches(None, 5).cuts == [0, 35, 40]
