"""The first training batch after hatching: V5 with BatchNormalization in training mode."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from keras_mothernets import zoo
from keras_mothernets.mothernet import mothernet
from keras_mothernets.surgery import explain, hatch, max_deviation

SIDE, CLASSES, BATCH, STEPS = 32, 5, 64, 40
NAMES = ("V13", "V16", "V16A", "V16B", "V19")


class Trained:
    """V5 at an eighth of its width, and its mother after a few dozen steps."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        generator = np.random.default_rng(0)
        self.templates = generator.normal(size=(CLASSES, SIDE, SIDE, 3))
        for axis in (1, 2):  # smooth patterns, as in photographs
            self.templates = sum(np.roll(self.templates, n, axis) for n in range(6)) / 6
        self.members = zoo.v5((SIDE, SIDE, 3), CLASSES, width=1 / 8)
        self.mother = mothernet(self.members)
        self.mother.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy"
        )
        for step in range(STEPS):
            self.mother.train_on_batch(*self.batch(step))
        self.calibration = np.concatenate([self.batch(1000 + n)[0] for n in range(4)])

    def batch(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Images of 0 to 255: a pattern of their class under noise, at random strengths."""
        generator = np.random.default_rng([seed, 3])
        y = generator.integers(0, CLASSES, BATCH)
        strength = generator.uniform(0.3, 1.2, (BATCH, 1, 1, 1))
        x = 128 + 60 * (strength * self.templates[y] + generator.normal(size=(BATCH, SIDE, SIDE, 3)))
        return np.clip(x, 0, 255).astype("float32"), y

    def training_loss(self, model: keras.Model, seed: int) -> float:
        """Loss with BatchNormalization in training mode; statistics are put back afterwards."""
        x, y = self.batch(seed)
        before = model.get_weights()
        probabilities = model(x, training=True)
        model.set_weights(before)
        losses = keras.losses.sparse_categorical_crossentropy(y, probabilities)
        return float(keras.ops.convert_to_numpy(keras.ops.mean(losses)))


@pytest.fixture(scope="module")
def trained() -> Iterator[Trained]:
    yield Trained()


def test_the_mother_has_learned_something(trained: Trained) -> None:
    untrained = mothernet(trained.members)
    loss = trained.training_loss(trained.mother, 500)
    assert loss < 0.7 * trained.training_loss(untrained, 500)


@pytest.mark.slow
@pytest.mark.parametrize("calibrated", [False, True], ids=["derived", "calibrated"])
@pytest.mark.parametrize("number", range(5), ids=NAMES)
def test_first_training_batch(trained: Trained, number: int, calibrated: bool) -> None:
    member = trained.members[number].model
    calibration = trained.calibration if calibrated else None
    hatched = hatch(trained.mother, member, calibration=calibration)
    assert max_deviation(trained.mother, hatched) <= 1e-10
    for seed in (500, 501, 502):
        mothers = trained.training_loss(trained.mother, seed)
        members = trained.training_loss(hatched, seed)
        print(f"{NAMES[number]} {seed} {calibrated}: {mothers:.4f} {members:.4f}")
        assert abs(members - mothers) <= 0.05 * mothers


@pytest.mark.slow
def test_without_statistics_the_first_batch_is_far_off(trained: Trained) -> None:
    """What the test above would see if inserted normalisations had mean 0 and variance 1."""
    member = trained.members[4].model
    hatched = hatch(trained.mother, member)
    inserted = explain(trained.mother, member).inserted
    norms = [
        layer for layer in hatched.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name in inserted
    ]  # fmt: skip
    assert norms
    for layer in norms:
        size = layer.gamma.shape
        layer.moving_mean.assign(np.zeros(size))
        layer.moving_variance.assign(np.ones(size))
        layer.beta.assign(np.zeros(size))
        layer.gamma.assign(np.sqrt(np.full(size, 1 + layer.epsilon)))
    assert max_deviation(trained.mother, hatched) <= 1e-6
    mothers = trained.training_loss(trained.mother, 500)
    assert abs(trained.training_loss(hatched, 500) - mothers) > 0.2 * mothers
