"""Jobs and plans put together from made-up costs, against formulas written out here."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_costs import OPTIMIZER, OVERHEADS, digits, networks, seconds_of

import keras_mothernets as km
from keras_mothernets.graph import read
from keras_mothernets.planning import DeviceCosts, Predictor
from keras_mothernets.planning.corrections import Corrections, Lesson
from keras_mothernets.planning.primitive import primitives_of
from keras_mothernets.training import read_data
from keras_mothernets.training.forecast import JobForecast

SPARSE = "sparse_categorical_crossentropy"


def _planned(method, *, epochs=3, batch_size=32, **data):
    x, y = digits()
    method.compile("sgd", SPARSE, metrics=["accuracy"])
    plan, context = method._prepare(read_data(x, y, **data), epochs, batch_size, "val_loss")
    return plan, context


def _step(model, batch):
    network = primitives_of(read(model), batch)
    return sum(count * seconds_of(one.sizes) for one, count in network.items())


def _epoch(model, batch, rows, held=0):
    steps, validations = math.ceil(rows / batch), math.ceil(held / batch)
    update = OPTIMIZER.variable * len(model.trainable_variables)
    update += OPTIMIZER.parameter * model.count_params()
    seconds = steps * (OVERHEADS.step + OVERHEADS.update * update)
    seconds += rows / batch * OVERHEADS.whole * _step(model, batch) + OVERHEADS.epoch
    seconds += validations * OVERHEADS.validation_step
    return seconds + held / batch * OVERHEADS.validation_whole * _step(model, batch) / 4


def test_a_job_is_its_start_and_its_epochs(costs):
    models = networks()
    x, y = digits(100)
    plan, context = _planned(km.FullData(models), validation_data=(x, y))
    forecast = Predictor(costs, seconds=math.inf)(plan, context)
    for job, model in zip(plan, models, strict=True):
        told = forecast.jobs[job.name]
        assert told.epochs == 3 and told.more == 0
        start = OVERHEADS.job + OVERHEADS.job_per_weight * len(model.weights)
        assert told.start == pytest.approx(start, rel=1e-9)
        assert told.epoch == pytest.approx(_epoch(model, 32, 600, 100), rel=1e-9)
        multiplications = sum(
            math.prod(weight.shape) for weight in model.weights if len(weight.shape) == 2
        )
        assert told.flops == 3 * 2 * multiplications * 600 * 3


def test_a_hatched_member_is_hatched_too_and_trains_for_its_own_epochs(costs):
    method = km.MotherNets(networks(), member_epochs=2)
    plan, context = _planned(method, epochs=6)
    forecast = Predictor(costs, seconds=math.inf)(plan, context)
    hatched = [job for job in plan if job.start.waits_for]
    assert hatched
    for job in hatched:
        weights = len(context.networks[job.network].weights)
        start = OVERHEADS.job + OVERHEADS.hatch
        start += (OVERHEADS.job_per_weight + OVERHEADS.hatch_per_weight) * weights
        assert forecast.jobs[job.name].start == pytest.approx(start, rel=1e-9)
        assert forecast.jobs[job.name].epochs == 2


def test_a_teacher_speaks_once(costs):
    plan, context = _planned(km.KnowledgeDistillation(networks()))
    forecast = Predictor(costs, seconds=math.inf)(plan, context)
    more = [forecast.jobs[job.name].more for job in plan.order()]
    assert sum(value > 0 for value in more) == 1
    teacher = next(job for job in plan if job.lesson is None)
    said = 600 / 32 * OVERHEADS.whole * _step(context.networks[teacher.network], 32) / 4
    assert max(more) == pytest.approx(said, rel=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: km.Bagging(networks()),
        lambda: km.TreeNets([networks()[1], keras.models.clone_model(networks()[1])]),
        lambda: km.SnapshotEnsemble(networks()[0], 3),
        lambda: km.FastGeometricEnsemble(networks()[0], 3),
        lambda: km.MotherNets(networks(), n_clusters=2, tree=True),
    ],
)
def test_every_method_is_predicted_and_prints(costs, make):
    x, y = digits()
    method = make()
    method.compile("sgd", SPARSE)
    plan = method.plan(x, y, epochs=6, batch_size=32)
    assert plan.forecast is not None
    assert set(plan.forecast.jobs) == {job.name for job in plan}
    assert all(one.seconds > 0 and one.memory > 0 for one in plan.forecast.jobs.values())
    assert "Longest way" in str(plan)


def test_without_costs_or_steps_a_plan_has_no_forecast(costs, monkeypatch, tmp_path):
    x, y = digits()
    method = km.FullData(networks())
    method.compile("sgd", SPARSE)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    assert method.plan(batches, epochs=2).forecast is None
    monkeypatch.setenv("KERAS_MOTHERNETS_CACHE", str(tmp_path / "empty"))
    assert method.plan(x, y, epochs=2).forecast is None
    assert km.FullData(networks()).plan(x, y, epochs=2).forecast is None  # no `compile`


def test_what_cannot_be_measured_alone_is_named_and_stops_no_training(costs, monkeypatch):
    def fails(primitive):
        raise ValueError("it needs a mask")

    odd = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(name="flat"),
         keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(4, "softmax")]
    )  # fmt: skip
    plan, context = _planned(km.FullData([odd]))
    monkeypatch.setattr("keras_mothernets.planning.device_costs.measure", fails)
    with pytest.raises(km.MotherNetsError, match="Layer `norm` cannot be measured alone.*a mask"):
        Predictor(costs, seconds=0.0)(plan, context)
    x, y = digits()
    method = km.FullData([odd])
    method.compile("sgd", SPARSE)
    assert method.plan(x, y, epochs=1).forecast is None


def test_fit_measures_nothing_and_trains_the_same(costs, monkeypatch, tmp_path):
    x, y = digits()
    odd = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.LayerNormalization(),
         keras.layers.Dense(4, "softmax")]
    )  # fmt: skip

    def trained():
        method = km.FullData([odd])
        method.compile(keras.optimizers.SGD(0.1), SPARSE)
        method.fit(x, y, epochs=1, batch_size=50, verbose=0)
        return method

    with_costs = trained()
    assert costs.seen == [] and with_costs._run[0].forecast is None
    monkeypatch.setenv("KERAS_MOTHERNETS_CACHE", str(tmp_path / "empty"))
    for one, other in zip(
        with_costs.members[0].get_weights(), trained().members[0].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_finished_jobs_correct_the_next_predictions(costs):
    x, y = digits()

    def plan():
        method = km.FullData(networks())
        method.compile("sgd", SPARSE)
        return method, method.plan(x, y, epochs=2, batch_size=50)

    method, before = plan()
    history = method.fit(x, y, epochs=2, batch_size=50, verbose=0)
    here = DeviceCosts.here()
    assert len(here.corrections.lessons) == 3
    told = [lesson.seconds for lesson in here.corrections.lessons]
    assert told == pytest.approx([row.wall_seconds for row in history.ledger])
    _, after = plan()
    measured = history.ledger.total()
    assert abs(after.forecast.total - measured) < abs(before.forecast.total - measured)


def test_what_was_finished_before_teaches_nothing(costs, tmp_path):
    x, y = digits()
    models = networks()
    for wanted in (3, 3):
        method = km.FullData(models)
        method.compile("sgd", SPARSE)
        method.fit(x, y, epochs=2, batch_size=50, verbose=0, run_dir=tmp_path / "run")
        assert len(DeviceCosts.here().corrections.lessons) == wanted


def test_corrections_find_the_factors_of_many_jobs():
    rng = np.random.default_rng(0)
    pairs = rng.uniform(1, 10, (100, 2))
    lessons = tuple(Lesson(a, b, 1.5 * a + 0.8 * b) for a, b in pairs)
    start, epochs = Corrections(lessons).factors
    assert start == pytest.approx(1.5, abs=0.15) and epochs == pytest.approx(0.8, abs=0.1)
    applied = Corrections(lessons).applied(JobForecast(2.0, 3.0, 4))
    assert applied.seconds == pytest.approx(1.5 * 2 + 0.8 * 12, rel=0.05)


def test_one_odd_job_changes_little_and_old_ones_are_forgotten():
    start, epochs = Corrections((Lesson(1.0, 9.0, 20.0),)).factors
    assert start < 1.3 and epochs < 1.5
    many = Corrections().with_jobs([(JobForecast(1.0, 1.0, 1), 2.0)] * 500)
    assert len(many.lessons) == 200
    assert Corrections.from_json(many.to_json()) == many


def test_an_unmeasured_device_is_an_error_that_says_what_to_do():
    with pytest.raises(km.MotherNetsError, match="km.measure_device()"):
        Predictor(DeviceCosts("nowhere"))


def test_validation_that_is_seldom_costs_less(costs):
    x, y = digits(200)
    often, seldom = (
        _planned(km.FullData(networks()[:1]), validation_data=(x, y), validation_freq=every)
        for every in (1, 2)
    )
    predictor = Predictor(costs, seconds=math.inf)
    a, b = (predictor(*both).total for both in (often, seldom))
    none = predictor(*_planned(km.FullData(networks()[:1]))).total
    assert b - none == pytest.approx((a - none) / 2, rel=1e-6)


def test_overheads_and_forecasts_are_plain_values():
    assert dataclasses.replace(OVERHEADS, job=1.0).job_seconds(100) == pytest.approx(2.0)
