"""Which epoch of a job is kept: the best one by validation, in memory and on disk."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.methods.design import Design
from keras_mothernets.training import Job
from keras_mothernets.training.keep_best import keep_best

SPARSE = "sparse_categorical_crossentropy"
EarlyStopping = keras.callbacks.EarlyStopping
EPOCHS, STEPS = 5, 2
RNG = np.random.default_rng(3)
Y = RNG.integers(0, 3, 40)
HELD_OUT = ((RNG.normal(size=(40, 4)) + np.eye(3, 4)[Y] * 2).astype("float32"), Y)


def worse_after(epoch, **settings):
    """A rate with which nets learn for so many epochs and lose what they know after that."""
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([epoch * STEPS], [0.3, 30.0])
    return keras.optimizers.SGD(rates, **settings)


def fit(method, data, *, optimizer=None, metrics=("accuracy",), **arguments):
    method.compile(optimizer or worse_after(2), SPARSE, list(metrics), run_eagerly=True)
    given = {"epochs": EPOCHS, "batch_size": 20, "verbose": 0, "validation_data": HELD_OUT}
    return method.fit(*data, **{**given, **arguments})


def evaluated(model):
    return model.evaluate(*HELD_OUT, verbose=0, return_dict=True)


def assert_kept(history, name, epoch, model=None):
    """The ledger, and the network, are those of an epoch, counted from 0."""
    metrics = {metric: values[epoch] for metric, values in history.jobs[name].items()}
    assert history.ledger[name].metrics == metrics
    if model is not None:
        found = evaluated(model)
        assert found["loss"] == pytest.approx(metrics["val_loss"], rel=1e-4)
        assert found["accuracy"] == pytest.approx(metrics["val_accuracy"])


class Weights(keras.callbacks.Callback):
    """Notes the weights at the beginning of each job, and after each of its epochs."""

    seen: dict[str, list[list[np.ndarray]]] = {}  # noqa: RUF012 - by job

    def note(self):
        copied = [np.array(weight) for weight in self.model.get_weights()]
        self.seen.setdefault(self.model.name, []).append(copied)

    def on_train_begin(self, logs=None):
        self.note()

    def on_epoch_end(self, epoch, logs=None):
        self.note()


@pytest.fixture(autouse=True)
def _nothing_seen():
    Weights.seen = {}


CHOICES = {"val_loss": np.argmin, "val_accuracy": np.argmax, "accuracy": np.argmax}


@pytest.mark.parametrize("monitor", CHOICES)
def test_the_best_epoch_is_what_members_the_run_directory_and_the_ledger_show(
    monitor, mlp, data, tmp_path
):
    members = [mlp("a"), mlp("b")]
    method = km.FullData(members)
    history = fit(method, data, monitor=monitor, run_dir=tmp_path)
    for name, member in zip("ab", method.members, strict=True):
        values = history.jobs[name][monitor]
        best = int(CHOICES[monitor](values))
        assert len(values) == EPOCHS
        assert best < EPOCHS - 1
        assert_kept(history, name, best, member)
        assert (history.ledger[name].epochs, history.ledger[name].steps) == (5, 10)
        stored = keras.saving.load_model(tmp_path / "jobs" / name / "model.keras")
        np.testing.assert_equal(stored.get_weights(), member.get_weights())
    rows = csv.DictReader((tmp_path / "ledger.csv").read_text().splitlines())
    told = [float(row["val_loss"]) for row in rows]
    assert told == [row.metrics["val_loss"] for row in history.ledger]
    again = fit(km.FullData(members), data, monitor=monitor, run_dir=tmp_path)
    assert again.ledger.rows == history.ledger.rows


def test_by_default_it_is_the_least_loss(mlp, data):
    model = mlp()
    method = km.FullData([model])
    plan = method.plan(*data, epochs=2, validation_data=HELD_OUT)
    assert [job.monitor for job in plan] == ["val_loss"]
    history = fit(method, data)
    assert_kept(history, "mlp", np.argmin(history.jobs["mlp"]["val_loss"]), method.members[0])


def test_the_last_epoch_is_kept_where_that_is_asked_for(mlp, data):
    method = km.FullData([mlp()])
    plan = method.plan(*data, epochs=2, validation_data=HELD_OUT, monitor=None)
    assert [job.monitor for job in plan] == [""]
    history = fit(method, data, monitor=None)
    assert_kept(history, "mlp", EPOCHS - 1, method.members[0])


def test_without_a_validation_nothing_changes(mlp, data):
    model, kept = mlp(), []
    for monitor in ("val_loss", None, "val_nothing"):
        method = km.FullData([model])
        assert [job.monitor for job in method.plan(*data, epochs=2, monitor=monitor)] == [""]
        fit(method, data, validation_data=None, monitor=monitor, callbacks=[Weights()])
        kept.append(method.members[0].get_weights())
    np.testing.assert_equal(kept[0], Weights.seen["mlp"][EPOCHS])
    np.testing.assert_equal(kept[1:], kept[:-1])


def test_epochs_without_validation_are_no_candidates(mlp, data):
    method = km.FullData([mlp()])
    history = fit(method, data, optimizer=worse_after(3), validation_freq=2, callbacks=[Weights()])
    assert len(history.jobs["mlp"]["val_loss"]) == 2  # of epochs 2 and 4
    losses = history.jobs["mlp"]["loss"]
    assert np.argmin(losses) != 1
    np.testing.assert_equal(method.members[0].get_weights(), Weights.seen["mlp"][2])
    metrics = history.ledger["mlp"].metrics
    assert (metrics["loss"], metrics["val_loss"]) == (losses[1], history.jobs["mlp"]["val_loss"][0])


def test_without_any_candidate_the_last_epoch_is_kept(mlp, data):
    method = km.FullData([mlp()])
    history = fit(method, data, validation_freq=9, callbacks=[Weights()])
    np.testing.assert_equal(method.members[0].get_weights(), Weights.seen["mlp"][EPOCHS])
    assert history.ledger["mlp"].metrics["loss"] == history.jobs["mlp"]["loss"][-1]


def test_a_validation_that_is_no_number_is_no_candidate(mlp):
    job = Job("a", "member", "a", epochs=3, monitor="val_loss")
    (keeper,) = keep_best(job, [], keras.optimizers.SGD())
    model = mlp()
    keeper.set_model(model)
    keeper.on_train_begin()
    for epoch, loss in enumerate([float("nan"), 2.0, float("inf")]):
        model.set_weights([np.full(weight.shape, epoch) for weight in model.get_weights()])
        keeper.on_epoch_end(epoch, {"val_loss": loss})
    keeper.on_train_end()
    assert all((weight == 1).all() for weight in model.get_weights())


def test_an_early_stopping_that_restores_decides(mlp, data):
    own = EarlyStopping("val_accuracy", mode="min", patience=9, restore_best_weights=True)
    method = km.FullData([mlp()])
    history = fit(method, data, callbacks=[own])
    worst = int(np.argmin(history.jobs["mlp"]["val_accuracy"]))
    assert worst != np.argmin(history.jobs["mlp"]["val_loss"])
    assert_kept(history, "mlp", worst, method.members[0])


def test_it_decides_for_the_last_epoch_too(mlp, data):
    own = EarlyStopping(start_from_epoch=99, restore_best_weights=True)
    method = km.FullData([mlp()])
    history = fit(method, data, callbacks=[own])
    assert_kept(history, "mlp", EPOCHS - 1, method.members[0])


def test_an_early_stopping_that_only_stops_leaves_the_best_epoch(mlp, data):
    method = km.FullData([mlp()])
    history = fit(method, data, callbacks=[EarlyStopping(patience=1)])
    values = history.jobs["mlp"]["val_loss"]
    assert np.argmin(values) == len(values) - 2 < EPOCHS - 2
    assert_kept(history, "mlp", len(values) - 2, method.members[0])


def test_the_users_callbacks_have_the_last_word(mlp, data):
    class Doubled(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.set_weights([2 * weight for weight in self.model.get_weights()])

    method = km.FullData([mlp()])
    history = fit(method, data, callbacks=[Weights(), Doubled()])
    best = Weights.seen["mlp"][1 + np.argmin(history.jobs["mlp"]["val_loss"])]
    np.testing.assert_equal(method.members[0].get_weights(), [2 * weight for weight in best])


def test_averaged_weights_stay_since_they_are_made_at_the_end(mlp, data):
    kept = []
    model = mlp()
    for monitor in ("val_loss", None):
        method = km.FullData([model])
        optimizer = worse_after(2, use_ema=True, ema_momentum=0.5)
        history = fit(method, data, optimizer=optimizer, monitor=monitor)
        kept.append(method.members[0].get_weights())
        values = history.jobs["mlp"]["val_loss"]
        assert history.ledger["mlp"].metrics["val_loss"] == values[-1] > min(values)
    np.testing.assert_equal(*kept)


def test_members_hatch_from_the_best_epoch_of_their_mother(mlp, data):
    method = km.MotherNets([mlp("a", (6,)), mlp("b", (4, 5))], member_epochs=1)
    history = fit(method, data, callbacks=[Weights()])
    values = history.jobs["mothernet"]["val_loss"]
    assert np.argmin(values) < EPOCHS - 1
    assert_kept(history, "mothernet", np.argmin(values))
    for row in history.ledger.rows[1:]:
        assert row.deviation <= 1e-5
        member = next(model for model in method.members if model.name == row.job)
        member.set_weights(Weights.seen[row.job][0])  # as it was hatched
        assert evaluated(member)["loss"] == pytest.approx(min(values), rel=1e-4)


def test_a_tree_is_kept_by_its_whole_loss(mlp, data):
    method = km.TreeNets([mlp("a", (6, 5)), mlp("b", (6, 4))])
    history = fit(method, data)
    curves = history.jobs["tree"]
    best = int(np.argmin(curves["val_loss"]))
    assert best < EPOCHS - 1
    assert_kept(history, "tree", best)
    for name, member in zip("ab", method.members, strict=True):
        assert evaluated(member)["loss"] == pytest.approx(
            curves[f"val_{name}_loss"][best], rel=1e-4
        )
    plan = method.plan(*data, epochs=2, validation_data=HELD_OUT)
    assert [(job.name, job.monitor) for job in plan] == [("tree", "val_loss"), ("a", ""), ("b", "")]


def test_metrics_that_a_tree_does_not_have_are_refused(mlp, data, count_fits):
    members = [mlp("odd", (9, 4)), mlp("a", (6, 5)), mlp("b", (6, 4))]
    for monitor, said in (("val_accuracy", "names.*`a_loss`.*`val_b_accuracy`"),
                          ("val_a_accuracy", "Keras does not know")):  # fmt: skip
        with pytest.raises(km.MotherNetsError, match=f"Tree `tree`: `monitor`.*{said}"):
            fit(km.TreeNets(members[1:]), data, monitor=monitor)
    with pytest.raises(km.MotherNetsError, match="Member `odd`: `monitor` names.*`val_a_accuracy`"):
        fit(km.TreeNets(members), data, monitor="val_a_accuracy")
    assert count_fits == []


def test_a_metric_is_looked_for_behind_a_member_that_is_not_trained_too(count_fits, data):
    def build(name):
        head = keras.layers.Dense(3, activation="softmax", name="head")
        return keras.Sequential([keras.Input((4,)), head], name=name)

    members = [km.Member(build("still"), epochs=0), build("moved")]
    with pytest.raises(km.MotherNetsError, match="Member `moved`: `monitor` names.*`val_acc`"):
        fit(km.FullData(members), data, monitor="val_acc")
    assert count_fits == []


def test_students_are_kept_by_their_loss_on_the_labels(mlp, data):
    method = km.KnowledgeDistillation([mlp("small", (3,)), mlp("large", (9,))], alpha=0.5)
    history = fit(method, data)
    for name, member in zip(("small", "large"), method.members, strict=True):
        best = int(np.argmin(history.jobs[name]["val_loss"]))
        assert best < EPOCHS - 1
        assert_kept(history, name, best, member)


METHODS = {
    "snapshots": lambda model: km.SnapshotEnsemble(model, 2),
    "geometric": lambda model: km.FastGeometricEnsemble(model, 2, rates=(20.0, 10.0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_members_from_one_network_are_what_the_lowest_rate_leads_to(name, mlp, data):
    method = METHODS[name](mlp("net"))
    history = fit(
        method, data, epochs=10, optimizer=keras.optimizers.SGD(20.0), callbacks=[Weights()]
    )
    for row in history.ledger:
        values = history.jobs[row.job]["val_loss"]
        assert row.metrics["val_loss"] == values[-1]
    for number, member in enumerate(method.members, 1):
        np.testing.assert_equal(member.get_weights(), Weights.seen[f"net_{number}"][-1])
    curves = [each["val_loss"] for each in history.jobs.values()]
    assert any(np.argmin(values) < len(values) - 1 for values in curves)
    plan = method.plan(*data, epochs=10, validation_data=HELD_OUT)
    assert {job.monitor for job in plan} == {""}


class Changed(km.FullData):
    """Full data with other jobs, as a method of the user's own may make them."""

    def __init__(self, members, **values):
        super().__init__(members)
        self.values = values

    def design(self, schedule):
        design = super().design(schedule)
        jobs = tuple(replace(job, **self.values) for job in design.jobs)
        return Design(jobs, design.networks)


@pytest.mark.parametrize("averages", [False, True])
def test_a_job_ends_after_so_many_epochs_without_improvement(averages, mlp, data):
    method = Changed([mlp()], patience=2)
    optimizer = worse_after(2, use_ema=averages)
    history = fit(method, data, epochs=9, optimizer=optimizer)
    values = history.jobs["mlp"]["val_loss"]
    best = int(np.argmin(values))
    assert len(values) == best + 3 < 9
    assert_kept(history, "mlp", len(values) - 1 if averages else best)
    fitted = fit(Changed([mlp()], patience=2), data, epochs=9, monitor=None)
    assert len(fitted.jobs["mlp"]["loss"]) == 9


def test_statistics_are_renewed_for_the_weights_that_are_kept(data):
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(5, use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    method = Changed([keras.Sequential(layers, name="net")], renews_statistics=True)
    history = fit(method, data, callbacks=[Weights()])
    best = int(np.argmin(history.jobs["net"]["val_loss"]))
    assert best < EPOCHS - 1
    assert_kept(history, "net", best)
    (member,) = method.members
    trained = [np.asarray(weight) for weight in member.trainable_weights]
    kernel, gamma, beta, _, _, *head = Weights.seen["net"][best + 1]
    np.testing.assert_equal(trained, [kernel, gamma, beta, *head])
    hidden = data[0] @ kernel
    np.testing.assert_allclose(member.layers[1].moving_mean, hidden.mean(0), rtol=1e-3, atol=1e-5)
