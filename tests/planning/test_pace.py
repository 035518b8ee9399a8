"""A device that is slower now than when it was measured."""

from __future__ import annotations

import pytest
from made_costs import digits, networks, seconds_of

import keras_mothernets as km
from keras_mothernets.graph import read
from keras_mothernets.planning import device_costs, pace
from keras_mothernets.planning.primitive import primitives_of
from keras_mothernets.training.forecast import JobForecast


@pytest.fixture
def slow(costs, monkeypatch):
    """The device takes twice as long from now on."""
    asked = []

    def measure(primitive):
        asked.append(primitive)
        whole = 2 * seconds_of(primitive.sizes)
        return whole / 4, whole

    monkeypatch.setattr(device_costs, "measure", measure)
    pace.forget_pace(costs.device)
    yield asked
    pace.forget_pace(costs.device)


def method_of():
    method = km.FullData(networks())
    method.compile("sgd", "sparse_categorical_crossentropy")
    return method


def test_all_seconds_of_a_plan_are_of_now(costs, monkeypatch, request):
    x, y = digits()
    before = method_of().plan(x, y, epochs=3, batch_size=32).forecast
    request.getfixturevalue("slow")
    now = method_of().plan(x, y, epochs=3, batch_size=32).forecast
    assert now.pace == pytest.approx(2.0)
    for name, job in before.jobs.items():
        assert now.jobs[name].seconds == pytest.approx(2 * job.seconds)
        assert (now.jobs[name].flops, now.jobs[name].memory) == (job.flops, job.memory)
    assert "2.00 times as long now" in now.device and "now" not in before.device


def test_what_is_measured_meanwhile_is_kept_as_of_the_usual_pace(costs, slow):
    network = primitives_of(read(networks()[2]), 64)
    costs.meet([network])
    usual = sum(count * seconds_of(one.sizes) for one, count in network.items())
    assert costs.step(network).training == pytest.approx(usual)


def test_the_pace_is_asked_once_in_a_while(costs, slow, monkeypatch):
    assert costs.known_pace == 1.0, "nothing is known, and nothing measured for it"
    assert not slow
    assert costs.pace() == pytest.approx(2.0)
    count = len(slow)
    assert count == len(pace.reference_primitives())
    assert costs.pace() == costs.known_pace == pytest.approx(2.0)
    assert len(slow) == count
    later = pace.time.monotonic() + pace.FRESH + 1
    monkeypatch.setattr(pace.time, "monotonic", lambda: later)
    assert costs.known_pace == 1.0


def test_costs_of_before_have_no_references_and_the_usual_pace(costs, slow):
    for one in pace.reference_primitives():
        del costs._measured[one.kind][one.sizes]
    assert costs.pace() == 1.0


def test_jobs_that_finish_do_not_teach_the_pace_once_more(costs, slow, monkeypatch):
    """What a job took is compared with what was predicted for the pace of that time."""
    x, y = digits(64)
    method = method_of()
    method.plan(x, y, epochs=1, batch_size=32)
    seen = []
    monkeypatch.setattr(
        device_costs.Corrections, "with_jobs", lambda self, jobs: seen.extend(jobs) or self
    )
    method.fit(x, y, epochs=1, batch_size=32, verbose=0)
    plan, _ = method.last_run()
    assert plan.forecast.pace == pytest.approx(2.0)
    assert [job for job, _ in seen] == list(plan.forecast.jobs.values())


def test_a_job_at_another_pace():
    job = JobForecast(1.0, 2.0, 3, more=4.0, flops=5, memory=6)
    assert job.times(2).seconds == 2 * job.seconds
    assert (job.times(2).flops, job.times(2).memory, job.times(2).epochs) == (5, 6, 3)
