"""Processes that are killed (SIGKILL) while they train, and others that go on in their place."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mothernets as km

SETTLE = 60.0  # seconds that a process may take to reach what is waited for


def train(folder):
    """What each process does: the same run, in the same folder."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(7)
    y = rng.integers(0, 3, 60)
    x = (rng.normal(size=(60, 4)) + np.eye(3, 4)[y] * 2).astype("float32")
    members = [
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(width, "relu"),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(3, "softmax"),
            ],
            name=name,
        )
        for name, width in (("a", 8), ("b", 11), ("c", 13))
    ]
    method = km.MotherNets(members, member_epochs=12)
    method.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    slowly = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.05))
    method.fit(x, y, epochs=20, run_dir=folder, callbacks=[slowly], verbose=2)
    digest = hashlib.sha256()
    for member in method.members:
        for weight in member.get_weights():
            digest.update(weight.tobytes())
    print("weights", digest.hexdigest())


def start(folder):
    return subprocess.Popen(
        [sys.executable, __file__, folder],
        env={**os.environ, "PYTHONPATH": str(Path(km.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def when_written(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def kill_after_a_checkpoint(path, folder, delay):
    """Start a process, and kill it after it has written the checkpoint; what it printed."""
    before, end = when_written(path), time.monotonic() + SETTLE
    with start(folder) as process:
        while when_written(path) <= before and time.monotonic() < end and process.poll() is None:
            time.sleep(0.005)
        assert when_written(path) > before
        time.sleep(delay)
        process.kill()
        return process.communicate()[0]


def output_of(process):
    output, errors = process.communicate(timeout=2 * SETTLE)
    assert process.returncode == 0, errors
    return output


@pytest.mark.slow
def test_a_run_that_is_killed_several_times_ends_with_the_same_weights(tmp_path):
    folder, rng, outputs = tmp_path / "killed", random.Random(int(time.time())), []
    with start(tmp_path / "undisturbed") as undisturbed:
        for job in ("a", "a", "c"):
            delay = rng.uniform(0, 0.3)
            print(f"job {job}, {delay:.3f} s after a checkpoint")  # shown if it fails
            checkpoint = folder / "jobs" / job / "checkpoint" / "state.npz"
            outputs.append(kill_after_a_checkpoint(checkpoint, folder, delay))
        with start(folder) as last:
            outputs.append(output_of(last))
        expected = output_of(undisturbed)
    assert "goes on after epoch" not in outputs[0]
    assert all("goes on after epoch" in output for output in outputs[1:])
    assert outputs[-1].splitlines()[-1] == expected.splitlines()[-1]
    assert not list(folder.glob("jobs/*/checkpoint"))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
