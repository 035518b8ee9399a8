"""What a plan will take: against sums by hand, and against simulations of its own."""

import itertools

import pytest

from keras_mothernets.training import Hatch, Job, Plan
from keras_mothernets.training.clock import Clock
from keras_mothernets.training.forecast import Forecast, JobForecast


def _plan(seconds, mother=4.0):
    jobs = [Job("m", "mother", "m", epochs=4)]
    jobs += [Job(name, "member", name, Hatch("m"), epochs=2) for name in seconds]
    told = {name: JobForecast(1.0, (value - 1.0) / 2, 2, flops=10) for name, value in
            seconds.items()}  # fmt: skip
    told["m"] = JobForecast(0.0, mother / 4, 4, flops=7)
    forecast = Forecast(told, "a device", slower={2: 1.5}, worker_start=2.0)
    return Plan("example", tuple(jobs), forecast=forecast), forecast


def test_sums_and_the_longest_way():
    plan, forecast = _plan({"a": 5.0, "b": 2.0, "c": 3.0})
    assert forecast.total == pytest.approx(14.0) == forecast.wall_seconds(plan)
    assert forecast.critical_path(plan) == ("m", "a")
    assert forecast.path_seconds(("m", "a")) == pytest.approx(9.0)
    assert forecast.flops == 37
    assert forecast.usd(plan, 3600.0) == pytest.approx(14.0)


def test_two_workers_against_the_best_of_all_orders():
    """The longest first is within a third of the best order (Graham); here it is the best."""
    seconds = {"a": 5.0, "b": 2.0, "c": 3.0, "d": 2.5}
    plan, forecast = _plan(seconds)
    best = min(
        max(sum(seconds[n] for n in left), sum(v for n, v in seconds.items() if n not in left))
        for size in range(5)
        for left in itertools.combinations(seconds, size)
    )
    wanted = 2.0 + 1.5 * (4.0 + best)
    assert forecast.wall_seconds(plan, 2) == pytest.approx(wanted, rel=0.1)
    assert forecast.wall_seconds(plan, 2) >= wanted - 1e-9


def test_a_faster_device_takes_its_part_and_says_so():
    plan, forecast = _plan({"a": 5.0})
    half = forecast.times(0.5)
    assert half.total == pytest.approx(forecast.total / 2)
    assert "2 times as fast" in half.device
    assert forecast.times(1).device == forecast.device


def test_what_is_not_known_of_one_job_is_not_known_of_all():
    jobs = {"a": JobForecast(1, 1, 1, flops=3, memory=8), "b": JobForecast(1, 1, 1)}
    assert Forecast(jobs, "x").flops is None and Forecast(jobs, "x").memory is None
    del jobs["b"]
    assert Forecast(jobs, "x").memory == 8


def test_a_plan_prints_it_and_stays_the_same_plan():
    plan, _ = _plan({"a": 5.0, "b": 2.0})
    text = str(plan)
    assert "seconds" in text and "tera_flops" in text
    assert "All jobs one after the other: 0:11 on a device" in text
    assert "Longest way: 0:09, m > a" in text
    assert "USD at the price of p2.xlarge" in text
    bare = Plan(plan.method, plan.jobs)
    assert plan == bare and plan.fingerprint == bare.fingerprint
    assert plan.to_json() == bare.to_json()
    assert "seconds" not in str(bare)


def test_the_time_left_is_the_forecast_first_and_then_corrected(monkeypatch):
    plan, forecast = _plan({"a": 5.0, "b": 2.0})
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(plan)
    assert clock.seconds_left() == pytest.approx(11.0)
    clock.begin(plan["m"])
    now[0] += 2.0  # an epoch takes twice as long as was said
    clock.advance(plan["m"])
    assert clock.seconds_left() == pytest.approx(20.0)
    for _ in range(3):
        now[0] += 2.0
        clock.advance(plan["m"])
    clock.finish(plan["m"], False)
    assert clock.seconds_left() == pytest.approx(14.0)
