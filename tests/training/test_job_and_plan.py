"""Jobs and plans: values that can be ordered, stored, compared and printed."""

import dataclasses
import json
import random
import time

import pytest

from keras_mothernets import RunError
from keras_mothernets.training import Hatch, Job, Plan, Scratch
from keras_mothernets.training.job import Continue, Lesson


def job(name, *, parent=None, role="member", **values):
    start = Hatch(parent, seed=3, inherited=0.9) if parent else Scratch()
    return Job(name, role, name, start=start, batch_size=32, **values)


@pytest.fixture
def plan():
    return Plan(
        "example",
        (
            job("late", parent="second"),
            job("first", role="mother", epochs=4, steps_per_epoch=5),
            job("second", parent="first"),
            job("alone"),
        ),
        {"x": "float32 (10, 2) abc"},
        {"loss": "mse"},
    )


def test_steps_of_a_job_span_its_epochs(plan):
    assert plan["first"].steps == 20
    assert plan["alone"].steps is None


def test_order_puts_parents_first_and_keeps_the_rest(plan):
    assert [job.name for job in plan.order()] == ["first", "second", "late", "alone"]


def test_ready_grows_with_what_is_done(plan):
    assert [job.name for job in plan.ready(())] == ["first", "alone"]
    assert [job.name for job in plan.ready({"first", "alone"})] == ["second"]
    assert plan.ready({job.name for job in plan}) == ()


def test_needed_by_names_the_parents_of_unfinished_jobs(plan):
    assert plan.needed_by({"first"}) == {"first", "second"}
    assert plan.needed_by({"first", "second"}) == {"second"}


def test_a_network_is_needed_until_the_last_that_starts_from_it_is_done(plan):
    assert plan.children("first") == ("second",)
    assert plan.is_needed("first", {"first"})
    assert not plan.is_needed("first", {"first", "second"})
    assert not plan.is_needed("late", set())


def random_jobs(seed):
    """Up to 14 jobs in random order, some with a mother, some with a teacher, or both."""
    random_number = random.Random(seed)
    names = [f"job_{number}" for number in range(random_number.randrange(1, 15))]
    jobs = []
    for index, name in enumerate(names):
        values = {}
        if index and random_number.random() < 0.7:
            values["start"] = Continue(random_number.choice(names[:index]))
        if index and random_number.random() < 0.4:
            values["lesson"] = Lesson(random_number.choice(names[:index]), "net")
        jobs.append(Job(name, "member", "net", **values))
    random_number.shuffle(jobs)
    return tuple(jobs)


@pytest.mark.parametrize("seed", range(30))
def test_order_takes_the_first_job_that_is_ready_again_and_again(seed):
    plan = Plan("example", random_jobs(seed))
    done = []
    while len(done) < len(plan):
        done.append(plan.ready(done)[0].name)
    assert [job.name for job in plan.order()] == done
    assert plan.needed_by(()) == {parent for job in plan for parent in job.waits_for}
    for name in done:
        waiting = tuple(job.name for job in plan if name in job.waits_for)
        assert plan.children(name) == waiting


def test_a_plan_of_ten_thousand_jobs_is_made_at_once():
    begin = time.process_time()
    chain = [job("job_0"), *(job(f"job_{n}", parent=f"job_{n - 1}") for n in range(1, 10_000))]
    plan = Plan("example", tuple(reversed(chain)))
    assert plan.order() == tuple(chain)
    assert [plan[each.name] for each in chain] == chain
    assert len({plan.fingerprint_of(each) for each in chain}) == 10_000
    assert time.process_time() - begin < 10  # takes half a second


@pytest.mark.parametrize(
    ("jobs", "culprit"),
    [
        ((job("a"), job("a")), "named `a`"),
        ((job("a", parent="ghost"),), "`ghost`, which is not in the plan"),
        ((job("a", parent="b"), job("b", parent="a")), "circle"),
        ((job("a", parent="a"),), "circle"),
    ],
    ids=["twice", "missing", "circle", "itself"],
)
def test_a_plan_that_cannot_run_is_refused(jobs, culprit):
    with pytest.raises(RunError, match=culprit):
        Plan("example", jobs)


def test_json_and_back_is_the_same_plan(plan):
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again["second"].start.inherited == 0.9


def test_a_plan_from_before_monitors_is_read_and_is_the_same_plan(plan):
    stored = json.loads(json.dumps(plan.to_json()))
    for values in stored["jobs"]:
        del values["monitor"], values["patience"]
    again = Plan.from_json(stored)
    assert again == plan
    assert {(job.monitor, job.patience) for job in again} == {("", None)}
    start = Hatch("first", seed=3)
    first = Job("first", "mother", "m", epochs=4, batch_size=32, steps_per_epoch=5)
    told = ("example", (first, Job("a", "member", "a", start=start)), plan.data, plan.settings)
    assert Plan(*told).fingerprint == "016edd8d9dfe87bb"  # as it was before there were monitors


@pytest.mark.parametrize("change", [{"monitor": "val_loss"}, {"patience": 3}])
def test_monitor_and_patience_make_another_job(plan, change):
    jobs = (*plan.jobs[:-1], dataclasses.replace(plan.jobs[-1], **change))
    other = dataclasses.replace(plan, jobs=jobs)
    (name,) = change
    (found,) = other.differences(plan)
    assert f"job `alone`, {name}: here {change[name]}, there none" in found
    assert other.fingerprint != plan.fingerprint
    assert Plan.from_json(json.loads(json.dumps(other.to_json()))) == other


def test_a_newer_version_is_refused(plan):
    with pytest.raises(RunError, match="newer.*version 99"):
        Plan.from_json({**plan.to_json(), "version": 99})


@pytest.mark.parametrize("values", [[], {}, {"version": 1}, {"version": 1, "jobs": [{}]}])
def test_what_is_no_plan_is_refused(values):
    with pytest.raises(RunError):
        Plan.from_json(values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: dataclasses.replace(p, method="other"), "method: here `example`, there `other`"),
        (lambda p: dataclasses.replace(p, data={"x": "else"}), "data `x`: here float32"),
        (lambda p: dataclasses.replace(p, settings={}), "compile `loss`: here mse, there none"),
        (lambda p: dataclasses.replace(p, jobs=p.jobs[:-1]), "job `alone` is only here"),
        (
            lambda p: dataclasses.replace(
                p, jobs=(*p.jobs[:-1], dataclasses.replace(p.jobs[-1], epochs=7))
            ),
            "job `alone`, epochs: here 1, there 7",
        ),
    ],
    ids=["method", "data", "settings", "jobs", "epochs"],
)
def test_differences_are_said_in_words(plan, change, sentence):
    other = change(plan)
    (found,) = plan.differences(other)
    assert sentence in found
    assert other.fingerprint != plan.fingerprint


def test_equal_plans_have_no_differences(plan):
    same = dataclasses.replace(plan)
    assert plan.differences(same) == []


def test_a_plan_prints_one_line_per_job_in_order(plan):
    lines = str(plan).splitlines()
    assert lines[0] == "example"
    assert [line.split()[0] for line in lines[2:]] == ["first", "second", "late", "alone"]
    assert "hatched from first, 90% inherited" in lines[3]
