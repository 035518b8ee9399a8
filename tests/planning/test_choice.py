"""What a budget allows, against all possibilities one by one."""

import pytest
from made_costs import digits, networks

import keras_mothernets as km
from keras_mothernets.planning.budget import seconds_of
from keras_mothernets.planning.choice import effective_epochs, propose
from keras_mothernets.training import Hatch, Job, Plan
from keras_mothernets.training.forecast import Forecast, JobForecast

SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), (12, 12)],
)
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-3m", "3 weeks", 0, -1, float("nan"), True, None])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(km.MotherNetsError, match="`budget` is no time"):
        seconds_of(text)


def _plan_of(count, epochs):
    """Members of g clusters inherit more of mothers that cost more."""
    share = 0.3 + 0.1 * count
    jobs, told = [], {}
    for number in range(count):
        jobs.append(Job(f"m{number}", "mother", "m", epochs=epochs))
        told[f"m{number}"] = JobForecast(1.0, 1.0 + 0.2 * count, epochs)
        name = f"a{number}"
        start = Hatch(f"m{number}", inherited=min(1.0, share))
        jobs.append(Job(name, "member", "a", start, epochs=max(1, epochs // 10)))
        told[name] = JobForecast(0.5, 2.0, max(1, epochs // 10))
    return Plan("made up", tuple(jobs), forecast=Forecast(told, "x", {2: 1.2}, 3.0))


@pytest.mark.parametrize("budget", [5.0, 33.3, 200.0, 5000.0])
@pytest.mark.parametrize("workers", [(1,), (1, 2)])
def test_the_most_epochs_within_the_budget_are_found(budget, workers):
    found = propose(_plan_of, range(1, 6), budget=budget, workers=workers)
    told = {one.n_clusters: one for one in found.options}
    for count in range(1, 6):

        def seconds(epochs, count=count):
            plan = _plan_of(count, epochs)
            return min(plan.forecast.wall_seconds(plan, number) for number in workers)

        fits = [epochs for epochs in range(1, 4000) if seconds(epochs) <= budget]
        if not fits:
            assert count not in told
            continue
        assert told[count].epochs == fits[-1]
        assert budget >= told[count].seconds == pytest.approx(seconds(fits[-1]))
    best = max(found.options, key=lambda one: one.effective_epochs)
    assert found.best is best
    assert len(found.alike) == len(found.options)


def test_a_budget_for_nothing_says_what_is_needed():
    with pytest.raises(km.MotherNetsError, match="too short.*at least 0:0[56].*1 cluster"):
        propose(_plan_of, range(1, 6), budget=1.0)


def test_where_few_epochs_cannot_be_shared_out_the_fewest_that_can_are_found():
    def plan_of(count, epochs):
        if epochs < 3:  # as with a chain of three networks
            raise km.MotherNetsError("Every network needs an epoch")
        return _plan_of(count, epochs)

    budget = _plan_of(1, 4).forecast.total
    assert propose(plan_of, [1], budget=budget).best.epochs == 4
    with pytest.raises(km.MotherNetsError, match="too short"):
        propose(plan_of, [1], budget=_plan_of(1, 2).forecast.total)


def test_with_many_members_the_search_ends_when_it_gets_worse():
    asked = []

    def plan_of(count, epochs):
        asked.append(count)
        return _plan_of(count, epochs)

    propose(plan_of, range(1, 50), budget=300.0, exhaustive=False)
    assert max(asked) < 10


def test_effective_epochs_go_through_all_ancestors():
    jobs = (
        Job("of all", "mother", "m", epochs=8),
        Job("m", "mother", "m", Hatch("of all", inherited=0.5), epochs=6),
        Job("a", "member", "a", Hatch("m", inherited=0.4), epochs=1),
        Job("b", "member", "b", epochs=3),
    )
    assert effective_epochs(Plan("x", jobs)) == pytest.approx((1 + 0.4 * (6 + 4) + 3) / 2)


@pytest.fixture
def method(costs):
    made = km.MotherNets(networks())
    made.compile("sgd", SPARSE, metrics=["accuracy"])
    return made


def test_a_proposal_is_what_the_plan_of_such_a_method_says(method):
    x, y = digits()
    found = method.propose(x, y, budget="20s", batch_size=50)
    assert [one.n_clusters for one in found.options] == [1, 2, 3]
    for one in found.options:
        same = km.MotherNets(networks(), n_clusters=one.n_clusters)
        same.compile("sgd", SPARSE, metrics=["accuracy"])
        plan = same.plan(x, y, epochs=one.epochs, batch_size=50)
        assert [(job.role, job.epochs, job.parameters) for job in plan] == [
            (job.role, job.epochs, job.parameters) for job in one.plan
        ]
        assert 20 >= one.seconds == pytest.approx(plan.forecast.total, rel=0.02)
        more = same.plan(x, y, epochs=one.epochs + 1, batch_size=50)
        assert more.forecast.total > 20 * 0.99


def test_what_if_questions(method):
    x, y = digits()

    def asked(**what):
        return method.propose(x, y, clusters=[1], **{"epochs": 40, "batch_size": 50, **what})

    usual = asked().best
    assert asked(faster=2).best.seconds == pytest.approx(usual.seconds / 2)
    names = method.member_names
    without = asked(without=names[0]).best
    assert [job.name for job in without.plan.members] == names[1:]
    # Half of 0.9 USD an hour for two hours.
    money = asked(usd=0.9, price=0.45, epochs=1)
    assert money.budget == pytest.approx(7200)
    beside = asked(workers=(1, 2))
    assert beside.best.workers in (1, 2)
    slower = {number: asked(workers=(number,)).best.seconds for number in (1, 2)}
    assert beside.best.seconds == min(slower.values())


def test_asking_again_reads_no_network_again(method, monkeypatch):
    x, y = digits()
    first = method.propose(x, y, budget="20s", batch_size=50)
    from keras_mothernets.clustering import clusters

    def never(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(clusters, "read_member", never)
    assert str(method.propose(x, y, budget="20s", batch_size=50)) == str(first)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"budget": "1m", "usd": 1.0}, "both given"),
        ({"budget": "soon"}, "is no time"),
        ({"usd": -1}, "`usd`"),
        ({"clusters": [0]}, "`clusters`"),
        ({"clusters": [4]}, "numbers from 1 to the number of members, 3"),
        ({"without": "nobody"}, "no member `nobody`"),
        ({"faster": 0}, "`faster`"),
        ({"workers": (0,)}, "`workers`"),
        ({"budget": 0.001}, "too short"),
        ({"budgett": "1m"}, "`propose` has no argument `budgett`"),
    ],
)
def test_questions_that_make_no_sense_are_refused(method, what, words):
    x, y = digits()
    with pytest.raises(km.MotherNetsError, match=words):
        method.propose(x, y, **what)


def test_all_members_cannot_be_left_out(method):
    x, y = digits()
    with pytest.raises(km.MotherNetsError, match="No member is left"):
        method.propose(x, y, without=method.member_names)


def test_it_must_be_compiled_and_the_device_measured(method, monkeypatch, tmp_path):
    x, y = digits()
    with pytest.raises(km.MotherNetsError, match="`compile` comes before"):
        km.MotherNets(networks()).propose(x, y, budget="1m")
    monkeypatch.setenv("KERAS_MOTHERNETS_CACHE", str(tmp_path / "empty"))
    with pytest.raises(km.MotherNetsError, match="km.measure_device()"):
        method.propose(x, y, budget="1m")
