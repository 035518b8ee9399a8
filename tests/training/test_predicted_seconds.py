"""Seconds of a job, predicted from what others took."""

from __future__ import annotations

import random

import pytest

from keras_mothernets import RunError
from keras_mothernets.training import Job, LedgerRow, SecondsModel, work_of


def row(parameters, seconds, steps=10):
    return LedgerRow(
        "a", "member", "a", steps=steps, parameters=parameters, wall_seconds=seconds * steps
    )


def test_work_is_steps_times_parameters_of_all_epochs():
    assert work_of(Job("a", "member", "a", epochs=2, steps_per_epoch=5, parameters=3)) == 30
    assert work_of(Job("a", "member", "a", epochs=2)) == 2
    assert work_of(Job("a", "member", "a", epochs=0, parameters=3)) == 0


def test_a_model_that_made_the_rows_is_found_again():
    chance = random.Random(0)
    rows = [row(p, 0.5 + 0.001 * p, chance.randrange(1, 9)) for p in range(100, 2000, 150)]
    model = SecondsModel.fit(rows)
    assert model.seconds_per_step == pytest.approx(0.5)
    assert model.seconds_per_parameter == pytest.approx(0.001)
    job = Job("new", "member", "new", epochs=4, steps_per_epoch=25, parameters=3000)
    assert model(job) == pytest.approx(100 * 3.5)


def test_the_line_goes_through_the_median_whatever_one_slow_job_does():
    rows = [row(100, 1.0), row(200, 2.0), row(300, 3.0)]
    slow = [*rows[:1], row(200, 50.0), *rows[2:]]
    assert SecondsModel.fit(rows) == SecondsModel(0.0, 0.01)
    # Medians 200 and 3, slope (-100 * -2 + 0 * 47 + 100 * 0) / 20,000 by hand.
    assert SecondsModel.fit(slow).seconds_per_parameter == pytest.approx(0.01)
    assert SecondsModel.fit(slow).seconds_per_step == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(100, 2.0)], (2.0, 0.0)),
        ([row(100, 3.0), row(200, 1.0)], (2.0, 0.0)),
        ([row(100, 1.0), row(200, 5.0)], (0.0, 0.02)),
        ([row(100, 2.0), LedgerRow("b", "member", "b")], (2.0, 0.0)),
    ],
    ids=["one row", "falling", "below 0", "not trained"],
)
def test_seconds_are_never_below_0(rows, expected):
    model = SecondsModel.fit(rows)
    assert (model.seconds_per_step, model.seconds_per_parameter) == pytest.approx(expected)
    assert model(Job("a", "member", "a", parameters=1)) >= 0


def test_a_ledger_without_measured_jobs_is_refused():
    with pytest.raises(RunError, match="without measured jobs.*`work_of`"):
        SecondsModel.fit([LedgerRow("a", "member", "a")])
