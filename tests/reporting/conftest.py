"""Results as two methods would leave them, without training."""

from __future__ import annotations

import pytest

from keras_mothernets.reporting import Quality, Result
from keras_mothernets.training import History, Job, JobRecord, LedgerRow


def record(name: str, role: str, seconds: float, *curve: float, **row: float) -> JobRecord:
    ledger_row = LedgerRow(
        name, role, name, epochs=len(curve), parameters=1234, wall_seconds=seconds, **row
    )
    history = {"loss": [0.1] * len(curve), "val_accuracy": list(curve)}
    return JobRecord(Job(name, role, name, epochs=len(curve)), history, ledger_row)


@pytest.fixture
def full_data() -> Result:
    history = History([record(name, "member", 30.0, 0.5, 0.8, 0.9) for name in ("deep", "wide")])
    return Result("FullData", history, Quality((0.9, 0.8), 0.92, 0.3, 0.1), ("deep", "wide"))


@pytest.fixture
def mother_nets() -> Result:
    history = History(
        [
            record("mothernet", "mother", 12.0, 0.4, 0.7, 0.85),
            record("wide", "member", 4.0, 0.86, inherited=0.25, deviation=2e-7),
            record("deep", "member", 4.0, 0.88, inherited=0.5, deviation=3e-7),
        ]
    )
    return Result("MotherNets", history, Quality((0.91, 0.87), 0.93, 0.3, 0.1), ("deep", "wide"))
