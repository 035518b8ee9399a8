"""A hundred members in one process: each leaves nothing behind but its record."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_mothernets as km

MEMBERS, EARLY, LATE = 100, 10, 100
GROWTH = 1.2
STATM = Path("/proc/self/statm")


class Memory(keras.callbacks.Callback):
    """Notes the resident memory at the beginning of each job."""

    pages: list[int] = []  # noqa: RUF012 - of the class, since each job has a copy

    def on_train_begin(self, logs=None):
        self.pages.append(pages())


def pages():
    return int(STATM.read_text().split()[1])


def network(number):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4 + number % 7, "relu"), layers.Dense(3, "softmax")],
        name=f"member_{number}",
    )


def train(members):
    """Pages after so many jobs, and seconds that a job takes beside its training."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(0, 3, 60)
    method = km.FullData([network(number) for number in range(members)])
    method.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [Memory()]
        history = method.fit(x, y, epochs=1, verbose=0, run_dir=folder, callbacks=callbacks)
    beside = time.perf_counter() - begin - history.ledger.total()
    return [*Memory.pages[1:], pages()], beside / members


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read where Linux tells it")
def test_memory_does_not_grow_with_the_number_of_members():
    script = [sys.executable, __file__, str(MEMBERS)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)  # shown if it fails
    after = [int(number) for number in done.stdout.splitlines()[-1].split()]
    assert len(after) == MEMBERS
    assert after[LATE - 1] < GROWTH * after[EARLY - 1]


if __name__ == "__main__":
    found, seconds = train(int(sys.argv[1]))
    print(f"{seconds:.3f} s for each job beside its training; pages after each job:")
    print(*found)
