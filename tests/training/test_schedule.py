"""The scheduler: who begins next, what failures do, and how good the order is."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from keras_mothernets import MotherNetsError, RunError
from keras_mothernets.training import Hatch, Job, Plan, Scheduler
from keras_mothernets.training.job import Continue, Lesson

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from simulated_workers import Deaths, lower_bound, simulate  # noqa: E402


def plan_of(**parents):
    """A plan of jobs by name, each with the name of its parent or `None`."""
    return Plan(
        "example",
        tuple(
            Job(name, "member", "net", **({"start": Hatch(parent)} if parent else {}))
            for name, parent in parents.items()
        ),
    )


def known(seconds):
    return lambda job: seconds[job.name]


def names_of(scheduler):
    """The jobs that can begin now, by name, in the order in which they are given."""
    return [job.name for job in iter(scheduler.begin, None)]


FAMILY = plan_of(alone_1=None, alone_2=None, mother=None, child="mother")
SECONDS = {"alone_1": 3.0, "alone_2": 3.0, "mother": 1.0, "child": 4.0}


def test_the_job_with_the_longest_way_to_the_end_comes_first():
    """Worked out by hand, for two workers.

    Critical path: mother 0-1, child 1-5; alone_1 0-3, alone_2 3-6.
    Plan order: alone_1 and alone_2 0-3; mother 3-4, child 4-8.
    """
    by_path = simulate(FAMILY, SECONDS, 2, known(SECONDS))
    assert by_path.began == ("mother", "alone_1", "child", "alone_2")
    assert by_path.makespan == 6
    in_plan_order = simulate(FAMILY, SECONDS, 2, lambda job: 0)
    assert in_plan_order.began == ("alone_1", "alone_2", "mother", "child")
    assert in_plan_order.makespan == 8
    assert lower_bound(FAMILY, SECONDS, 2) == 5.5
    assert lower_bound(FAMILY, SECONDS, 3) == 5


def test_of_equal_ways_the_longer_job_comes_first_then_the_first_of_the_plan():
    plan = plan_of(first=None, mother=None, child="mother", last=None, long=None)
    seconds = {"first": 1, "mother": 1, "child": 2, "last": 1, "long": 3}
    assert names_of(Scheduler(plan, known(seconds))) == ["long", "mother", "first", "last"]


def test_a_job_waits_for_all_that_it_waits_for():
    jobs = (
        Job("pupil", "member", "net", Continue("before"), lesson=Lesson("teacher", "net")),
        Job("before", "member", "net"),
        Job("teacher", "mother", "net"),
        Job("of one", "member", "net", Continue("before"), lesson=Lesson("before", "net")),
    )
    scheduler = Scheduler(Plan("example", jobs))
    assert names_of(scheduler) == ["before", "teacher"]
    scheduler.finish("before")
    assert names_of(scheduler) == ["of one"]
    scheduler.finish("teacher")
    assert names_of(scheduler) == ["pupil"]
    scheduler.finish("of one")
    assert not scheduler.has_ended
    scheduler.finish("pupil")
    assert scheduler.has_ended


def test_what_was_finished_earlier_does_not_begin_again():
    scheduler = Scheduler(FAMILY, known(SECONDS), done=["mother", "alone_1"])
    assert names_of(scheduler) == ["child", "alone_2"]
    assert Scheduler(FAMILY, done=SECONDS).has_ended


def test_a_mother_that_is_done_again_gives_no_finished_child_again():
    scheduler = Scheduler(FAMILY, known(SECONDS), done=["child"])
    assert names_of(scheduler) == ["alone_1", "alone_2", "mother"]  # no way leads on from her
    for name in ("mother", "alone_1", "alone_2"):
        scheduler.finish(name)
    assert scheduler.begin() is None
    assert scheduler.has_ended


def test_a_job_that_fails_is_ready_again_until_it_is_given_up_with_all_behind_it():
    plan = plan_of(grandchild="child", mother=None, child="mother", alone=None)
    scheduler = Scheduler(plan, tries=2)
    assert names_of(scheduler) == ["mother", "alone"]
    assert scheduler.fail("mother") == ()
    assert names_of(scheduler) == ["mother"]
    assert scheduler.fail("mother") == ("grandchild", "mother", "child")
    assert scheduler.given_up == {name: "mother" for name in ("grandchild", "mother", "child")}
    assert not scheduler.has_ended
    scheduler.finish("alone")
    assert scheduler.has_ended
    assert scheduler.begin() is None


def test_a_job_behind_two_that_fail_is_given_up_once():
    pupil = Job("pupil", "member", "net", Continue("before"), lesson=Lesson("teacher", "net"))
    others = (Job("before", "member", "net"), Job("teacher", "mother", "net"))
    for last in ("fail", "finish"):
        scheduler = Scheduler(Plan("example", (*others, pupil)), tries=1)
        assert names_of(scheduler) == ["before", "teacher"]
        assert scheduler.fail("before") == ("before", "pupil")
        assert getattr(scheduler, last)("teacher") == (("teacher",) if last == "fail" else None)
        assert scheduler.given_up["pupil"] == "before"
        assert scheduler.begin() is None
        assert scheduler.has_ended


@pytest.mark.parametrize(
    ("values", "culprit"),
    [
        ({"predicted_seconds": lambda job: -1.0}, "`child` cannot be used.*Received: -1.0"),
        ({"predicted_seconds": lambda job: float("nan")}, "0 or more. Received: nan"),
        ({"predicted_seconds": lambda job: None}, "Received: None"),
        ({"done": ["ghost"]}, "`ghost` is said to be finished"),
        ({"tries": 0}, "`tries` must be a whole number"),
    ],
    ids=["negative", "nan", "none", "ghost", "tries"],
)
def test_what_cannot_be_used_is_refused_at_the_door(values, culprit):
    with pytest.raises(MotherNetsError, match=culprit):
        Scheduler(FAMILY, **values)


@pytest.mark.parametrize("verb", ["finish", "fail"])
def test_a_job_that_has_not_begun_cannot_end(verb):
    scheduler = Scheduler(FAMILY)
    with pytest.raises(RunError, match="`mother` cannot end: it has not begun"):
        getattr(scheduler, verb)("mother")
    names_of(scheduler)
    scheduler.finish("mother")
    with pytest.raises(RunError, match="`mother` cannot end"):
        scheduler.finish("mother")


def random_run(seed):
    """A plan of up to 40 jobs, their seconds, and predictions that are wrong."""
    chance = random.Random(seed)
    names = [f"job_{number}" for number in range(chance.randrange(1, 40))]
    share = chance.random()
    jobs = []
    for index, name in enumerate(names):
        values = {}
        if index and chance.random() < share:
            values["start"] = Continue(chance.choice(names[:index]))
        if index and chance.random() < share:
            values["lesson"] = Lesson(chance.choice(names[:index]), "net")
        jobs.append(Job(name, "member", "net", **values))
    chance.shuffle(jobs)
    seconds = {name: chance.expovariate(1.0) for name in names}
    wrong = {name: chance.random() for name in names}
    return Plan("example", tuple(jobs)), seconds, wrong


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("seed", range(40))
def test_the_makespan_is_between_the_lower_bound_and_grahams(seed, workers):
    """Graham's bound is (1 - 1/m) of the longest path and 1/m of all work, for m workers."""
    plan, seconds, wrong = random_run(seed)
    least = lower_bound(plan, seconds, workers)
    path, work = lower_bound(plan, seconds, len(plan)), sum(seconds.values())
    most = (1 - 1 / workers) * path + work / workers
    for predicted in (seconds, wrong):
        run = simulate(plan, seconds, workers, known(predicted))
        assert sorted(run.began) == sorted(seconds)
        assert least * (1 - 1e-9) <= run.makespan <= most * (1 + 1e-9)
        assert most <= 2 * least * (1 + 1e-9)
        assert simulate(plan, seconds, workers, known(predicted)) == run


def test_the_longest_way_first_is_mostly_better_than_plan_order():
    ratios = []
    for seed in range(40):
        plan, seconds, _ = random_run(seed)
        by_path, in_plan_order = (
            simulate(plan, seconds, 3, predicted).makespan
            for predicted in (known(seconds), lambda job: 0)
        )
        ratios.append(by_path / in_plan_order)
    assert sum(ratios) / len(ratios) < 0.97
    assert sum(ratio > 1.001 for ratio in ratios) < 4


def test_with_workers_that_die_every_job_is_finished_or_given_up():
    plan, seconds, _ = random_run(1)
    quiet = simulate(plan, seconds, 3, known(seconds))
    assert (quiet.deaths, quiet.given_up) == (0, ())
    deaths = Deaths(per_hour=1200, replaced_after=0.5)  # one in three seconds of work
    run = simulate(plan, seconds, 3, known(seconds), deaths)
    tried = {name: run.began.count(name) for name in seconds}
    assert run.deaths > 0
    assert sum(tried.values()) - sum(bool(count) for count in tried.values()) <= run.deaths
    assert set(run.given_up) >= {name for name, count in tried.items() if not count}
    assert max(tried.values()) <= 3
    assert simulate(plan, seconds, 3, known(seconds), deaths) == run


@pytest.mark.parametrize("shape", ["one mother", "chain", "alone"])
def test_ten_thousand_jobs_are_scheduled_at_once(shape):
    parent = {"one mother": lambda n: "0", "chain": lambda n: str(n - 1), "alone": lambda n: None}
    names = {str(n): parent[shape](n) if n else None for n in range(10_000)}
    begin = time.process_time()
    scheduler = Scheduler(plan_of(**names), lambda job: int(job.name) % 7)
    began = 0
    while job := scheduler.begin():
        scheduler.finish(job.name)
        began += 1
    assert began == 10_000
    assert time.process_time() - begin < 10  # takes a tenth of a second
