"""A device whose costs are made up, so that what is predicted can be computed by hand."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mothernets.planning import device_costs
from keras_mothernets.planning.device_costs import DeviceCosts
from keras_mothernets.planning.optimizer_costs import OptimizerCosts
from keras_mothernets.planning.overheads import Overheads
from keras_mothernets.planning.primitive import Primitive, Sizes

LAUNCH, WORK, NUMBER = 1e-4, 2e-9, 1e-9
OVERHEADS = Overheads(
    job=0.5,
    job_per_weight=0.01,
    hatch=0.25,
    hatch_per_weight=0.001,
    step=1e-3,
    whole=1.5,
    update=2.0,
    epoch=0.02,
    validation_step=5e-4,
    validation_whole=1.25,
)
OPTIMIZER = OptimizerCosts(variable=1e-5, parameter=1e-9, traced=0.0, kept=1)


def seconds_of(sizes: Sizes) -> float:
    """Seconds of a layer forward and backward on this device; forward it takes a quarter."""
    return LAUNCH + WORK * sizes.work + NUMBER * (sizes.inputs + sizes.outputs)


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DeviceCosts:
    """The costs of that device, in a file where this device's are looked for."""
    measured: list[Primitive] = []

    def measure(primitive: Primitive) -> tuple[float, float]:
        measured.append(primitive)
        whole = seconds_of(primitive.sizes)
        return whole / 4, whole

    monkeypatch.setenv("KERAS_MOTHERNETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(device_costs, "measure", measure)
    monkeypatch.setattr(device_costs, "measure_optimizer", lambda optimizer: OPTIMIZER)
    monkeypatch.setattr(device_costs, "measure_overheads", lambda step_seconds: OVERHEADS)
    monkeypatch.setattr(device_costs, "measure_workers", lambda count: (1.5, 4.0))
    made = DeviceCosts.here().measure()
    assert made.pace() == 1.0  # known for the next two minutes
    measured.clear()
    made.seen = measured  # type: ignore[attr-defined]
    return made


def digits(rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Made-up images of 8 x 8, whose classes can be learned, and their classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, rows)
    patterns = rng.uniform(0, 1, (4, 8, 8, 1))
    return (patterns[y] + rng.normal(0, 0.3, (rows, 8, 8, 1))).astype("float32"), y


def networks() -> list[keras.Model]:
    """Three small networks of different depth and width."""

    def net(name: str, *units: int) -> keras.Model:
        layers = keras.layers
        hidden = [layers.Dense(size, "relu") for size in units]
        return keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Flatten(), *hidden, layers.Dense(4, "softmax")],
            name=name,
        )

    return [net("flat", 12), net("deep", 16, 8), net("wide", 24, 12)]
