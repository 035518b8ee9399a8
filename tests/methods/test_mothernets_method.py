"""MotherNets as a method: its plan, and what comes of it."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets import surgery

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture
def members(mlp):
    """Three that share a narrower network equal to none of them."""
    return [mlp("wide", hidden=(9, 5)), mlp("tall", hidden=(6, 6, 6)), mlp("slim", hidden=(5, 7))]


@pytest.fixture
def with_mother(mlp):
    """The second is what the others have in common."""
    return [mlp("wide", hidden=(9, 6)), mlp("common", hidden=(6, 6)), mlp("tall", hidden=(6, 6, 6))]


def fitted(members, data, *, method=None, epochs=2, optimizer="sgd", metrics=("accuracy",), **fit):
    method = method or km.MotherNets(members)
    method.compile(optimizer, SPARSE, metrics=list(metrics), run_eagerly=True)
    history = method.fit(*data, epochs=epochs, batch_size=20, verbose=0, **fit)
    return method, history


def predicted(model, x):
    return keras.ops.convert_to_numpy(model(x))


@pytest.mark.parametrize(("part", "epochs"), [(None, 1), (0.5, 1), (1, 3)])
def test_members_wait_for_one_mother_and_train_for_a_part_of_her_epochs(
    members, data, count_fits, part, epochs
):
    plan = km.MotherNets(members, mother_part=part).plan(*data, epochs=5, batch_size=20)
    mother, *rest = plan.order()
    assert (mother.name, mother.role, mother.epochs) == ("mothernet", "mother", 5)
    assert {job.name for job in rest} == {"wide", "tall", "slim"}
    for job in rest:
        assert (job.role, job.epochs, job.waits_for) == ("member", epochs, ("mothernet",))
        assert 0 < job.start.inherited <= 1
    assert len({job.start.seed for job in rest}) == len({job.seed for job in plan}) - 1 == 3
    assert count_fits == []


def test_epochs_of_members_can_be_set_for_all_and_for_one(members, data):
    members[1] = km.Member(members[1], epochs=7)
    plan = km.MotherNets(members, member_epochs=1).plan(*data, epochs=5)
    assert {job.name: job.epochs for job in plan} == {
        "mothernet": 5,
        "wide": 1,
        "tall": 7,
        "slim": 1,
    }


def test_hatched_members_compute_what_their_mother_computes(members, data):
    method, history = fitted(members, data, method=km.MotherNets(members, member_epochs=0))
    outputs = [predicted(model, data[0]) for model in method.members]
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], atol=1e-5)
    assert not np.allclose(outputs[0], predicted(members[0], data[0]), atol=1e-2)
    for row in history.ledger.rows[1:]:
        assert row.deviation <= 1e-5
        assert (row.epochs, row.steps) == (0, 0)
        assert row.hatch_seconds > 0


def test_members_go_on_from_their_mother_and_grow_apart(members, data):
    method, history = fitted(members, data, optimizer=keras.optimizers.Adam(0.01))
    assert [row.role for row in history.ledger] == ["mother", "member", "member", "member"]
    assert [row.waits_for for row in history.ledger] == ["", *["mothernet"] * 3]
    assert [model.name for model in method.members] == ["wide", "tall", "slim"]
    for model, member in zip(method.members, members, strict=True):
        assert [w.shape for w in model.weights] == [w.shape for w in member.weights]
    one, other = (predicted(model, data[0]) for model in method.members[:2])
    assert not np.allclose(one, other, atol=1e-4)
    last, first = history.jobs["mothernet"]["loss"][-1], history.jobs["wide"]["loss"][0]
    assert first < history.jobs["mothernet"]["loss"][0]
    assert math.isclose(first, last, rel_tol=0.3)
    ensemble = method.ensemble()
    mean = np.mean([predicted(model, data[0]) for model in method.members], 0)
    np.testing.assert_allclose(predicted(ensemble, data[0]), mean, atol=1e-6)


def test_what_each_member_inherited_is_told(members, data):
    method, history = fitted(members, data)
    assert set(method.explanations) == {"wide", "tall", "slim"}
    for name, explanation in method.explanations.items():
        assert history.ledger[name].inherited == explanation.inherited
    assert history.ledger["mothernet"].inherited is None
    assert method.explanations["tall"].inserted


def test_a_mother_that_is_a_member_is_trained_once_and_is_that_member(
    with_mother, data, count_fits
):
    method, history = fitted(with_mother, data, epochs=4)
    assert sorted(count_fits) == ["common", "tall", "wide"]
    assert count_fits[0] == "common"
    assert {row.role for row in history.ledger} == {"member"}
    assert history.ledger["common"].epochs == 4
    assert history.ledger["tall"].epochs == 2
    assert history.ledger["tall"].waits_for == "common"
    assert [model.name for model in method.members] == ["wide", "common", "tall"]


def test_as_many_clusters_as_members_is_full_data(members, data):
    apart, history = fitted(members, data, method=km.MotherNets(members, n_clusters=3))
    full, expected = fitted(members, data, method=km.FullData(members))
    assert history.history == {key: expected.history[key] for key in history.history}
    assert len(history.history) == len(expected.history)
    for mine, theirs in zip(apart.members, full.members, strict=True):
        np.testing.assert_equal(mine.get_weights(), theirs.get_weights())


def test_each_cluster_has_a_mother(mlp, data):
    members = [
        mlp("a", hidden=(9, 5)),
        mlp("b", hidden=(5, 9)),
        mlp("c", hidden=(40, 50, 60)),
        mlp("d", hidden=(60, 50, 40)),
    ]
    plan = km.MotherNets(members, n_clusters=2).plan(*data, epochs=2)
    mothers = [job for job in plan if job.role == "mother"]
    assert {job.name for job in mothers} == {"mothernet_1", "mothernet_2"}
    assert {job.start.parent for job in plan if job.role == "member"} == {
        "mothernet_1",
        "mothernet_2",
    }
    assert plan["a"].start.parent == plan["b"].start.parent != plan["c"].start.parent


def test_a_member_may_be_called_mothernet(mlp, data):
    members = [mlp("mothernet", hidden=(9, 5)), mlp("b", hidden=(5, 9))]
    plan = km.MotherNets(members).plan(*data, epochs=2)
    assert sorted(job.name for job in plan) == ["b", "mothernet", "mothernet_"]
    assert plan["mothernet"].role == "member"


def test_one_member_alone_is_trained_from_its_own_weights(mlp, data):
    plan = km.MotherNets([mlp("only")]).plan(*data, epochs=3)
    assert [(job.name, job.role, job.epochs, job.waits_for) for job in plan] == [
        ("only", "member", 3, ())
    ]


def test_the_same_seed_gives_the_same_members(members, data):
    first, again, other = (
        fitted(members[:2], data, method=km.MotherNets(members[:2], seed=seed))[0]
        for seed in (1, 1, 2)
    )
    for one, same in zip(first.members, again.members, strict=True):
        np.testing.assert_equal(one.get_weights(), same.get_weights())
    assert not np.array_equal(first.members[0].get_weights()[0], other.members[0].get_weights()[0])


def test_how_far_noise_and_shrink_move_a_network_is_told_and_not_judged(members, data):
    method = km.MotherNets(members[:2], noise=0.3, shrink=0.5)
    mother, *rest = fitted(members[:2], data, method=method)[1].ledger
    assert mother.deviation is None
    assert all(1e-2 < row.deviation < 1e2 for row in rest)


def wide_numbers():
    """Features near 100,000 and targets near 0.01: their sums cancel, and float32 shows it."""
    rng = np.random.default_rng(0)
    x = (1e5 + 120 * rng.random((400, 8))).astype("float32")
    return x, (np.sin(x[:, :1]) * 0.01).astype("float32")


def regression(name, hidden):
    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    return keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)], name=name)


def hatched_on_wide_numbers(count_fits):
    keras.utils.set_random_seed(0)
    members = [regression("a", (32, 32)), regression("b", (64, 48))]
    method = km.MotherNets(members, member_epochs=0)
    method.compile(keras.optimizers.Adam(0.01), "mse")
    x, y = wide_numbers()
    return method.fit(x, y, epochs=60, batch_size=40, verbose=0).ledger["b"]


@pytest.mark.slow
def test_rounding_of_float32_does_not_stop_a_correct_hatch(count_fits):
    row = hatched_on_wide_numbers(count_fits)
    assert count_fits == ["a"]
    assert row.deviation > 1e-5  # else this tests nothing


def test_a_mistake_is_found_under_the_rounding_of_float32(count_fits, monkeypatch):
    original = surgery.hatch

    def broken(mother, member, **options):
        model = original(mother, member, **options)
        kernel = model.layers[-1].kernel
        kernel.assign(kernel * 1.001)
        return model

    monkeypatch.setattr(surgery, "hatch", broken)
    with pytest.raises(km.RunError, match="Member `b` does not compute.*in float64 0.00"):
        hatched_on_wide_numbers(count_fits)


def test_a_mother_that_gives_no_numbers_is_blamed_and_not_the_hatching(members, data, monkeypatch):
    original = surgery.hatch

    def spoiled(mother, member, **options):
        mother.layers[-1].bias.assign([0.0, np.nan, 0.0])
        return original(mother, member, **options)

    monkeypatch.setattr(surgery, "hatch", spoiled)
    with pytest.raises(km.RunError, match="`wide` cannot be hatched: its mother `mothernet` gives"):
        fitted(members, data)


def test_data_that_are_no_numbers_are_blamed_and_not_the_hatching(members, data):
    x, y = data
    x = np.concatenate([x, np.full((1, 4), np.nan, "float32")])
    batches = tf.data.Dataset.from_tensor_slices((x, np.append(y, 0))).batch(20)
    method = km.MotherNets(members)
    method.compile("sgd", SPARSE, run_eagerly=True)
    with pytest.raises(km.RunError, match="Member `wide` cannot be hatched: `x` holds NaN"):
        method.fit(batches, epochs=1, steps_per_epoch=1, verbose=0)


def test_jobs_of_no_epochs_need_no_schedule(members, data):
    def optimizer(job):
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, job.steps))

    method = km.MotherNets(members, member_epochs=0)
    method, history = fitted(members, data, method=method, optimizer=optimizer)
    assert [row.steps for row in history.ledger] == [4, 0, 0, 0]
    assert history.history["wide/loss"] == []
    assert len(history.history["mothernet/loss"]) == 2


@pytest.mark.parametrize(("own", "epochs"), [(1, 4), (0, 4), (None, 4), (7, 7)])
def test_a_member_that_is_the_mother_trains_as_long_as_a_mother(with_mother, data, own, epochs):
    with_mother[1] = km.Member(with_mother[1], epochs=own)
    plan = km.MotherNets(with_mother).plan(*data, epochs=4)
    assert {job.name: job.epochs for job in plan} == {"common": epochs, "wide": 2, "tall": 2}


def test_a_member_alone_in_its_cluster_trains_as_it_says(mlp, data):
    plan = km.MotherNets([km.Member(mlp("only"), epochs=1)]).plan(*data, epochs=3)
    assert plan["only"].epochs == 1


def test_calibration_is_real_data(members, data, monkeypatch):
    seen = {}
    original = surgery.hatch

    def hatch(mother, member, **options):
        seen[options["name"]] = options
        return original(mother, member, **options)

    monkeypatch.setattr(surgery, "hatch", hatch)
    fitted(members, data)
    assert set(seen) == {"wide", "tall", "slim"}
    rows = {tuple(row) for row in data[0]}
    assert {tuple(row) for row in seen["wide"]["calibration"]} == rows
    assert len({options["seed"] for options in seen.values()}) == 3


def test_a_hatched_member_that_deviates_stops_the_run_with_member_and_layer(
    mlp, data, monkeypatch, tmp_path
):
    members = [mlp("wide", hidden=(9, 5)), mlp("tall", hidden=(5, 5, 5))]
    original = surgery.hatch

    def broken(mother, member, **options):
        model = original(mother, member, **options)
        if model.name == "tall":
            bias = model.layers[-1].bias
            bias.assign(bias + [0.0, 0.3, 0.0])
        return model

    monkeypatch.setattr(surgery, "hatch", broken)
    layer = members[1].layers[-1].name
    culprit = f"Member `tall` does not compute what its mother computes.*layer `{layer}`"
    with pytest.raises(km.RunError, match=culprit):
        fitted(members, data, run_dir=tmp_path)
    assert (tmp_path / "jobs" / "wide" / "state.json").exists()
    assert not (tmp_path / "jobs" / "tall").exists()


def test_half_precision_is_checked_in_single_precision(mlp, data):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        members = [mlp("a", hidden=(9, 5)), mlp("b", hidden=(5, 9))]
        method, history = fitted(members, data)
    finally:
        keras.config.set_dtype_policy("float32")
    assert history.ledger["a"].deviation <= 1e-5
    assert method.members[0].layers[0].compute_dtype == "bfloat16"


class Crash(keras.callbacks.Callback):
    at = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.name == self.at:
            raise KeyboardInterrupt


def test_a_run_goes_on_from_the_stored_mother(members, data, tmp_path, count_fits, monkeypatch):
    whole, expected = fitted(members, data, run_dir=tmp_path / "whole")
    monkeypatch.setattr(Crash, "at", "tall")
    with pytest.raises(KeyboardInterrupt):
        fitted(members, data, run_dir=tmp_path / "run", callbacks=[Crash()])
    monkeypatch.setattr(Crash, "at", None)
    count_fits.clear()
    method, history = fitted(members, data, run_dir=tmp_path / "run", callbacks=[Crash()])
    assert count_fits == ["tall", "slim"]
    assert history.history == expected.history
    for mine, theirs in zip(method.members, whole.members, strict=True):
        np.testing.assert_equal(mine.get_weights(), theirs.get_weights())


def test_another_number_of_clusters_is_another_plan(members, data, tmp_path):
    fitted(members, data, run_dir=tmp_path)
    with pytest.raises(km.RunError, match="n_clusters=3"):
        fitted(members, data, method=km.MotherNets(members, n_clusters=3), run_dir=tmp_path)


def test_a_run_directory_keeps_networks_on_disk_and_not_in_memory(members, data, tmp_path):
    alive = {}

    class Note(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            alive[self.model.name] = weakref.ref(self.model)
            if self.model.name == "slim":
                gc.collect()
                still = {name for name, model in alive.items() if model() is not None}
                assert still == {"mothernet", "slim"}

    fitted(members, data, run_dir=tmp_path, callbacks=lambda job: [Note()])
    gc.collect()
    assert set(alive) == {"mothernet", "wide", "tall", "slim"}
    assert all(model() is None for model in alive.values())


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"n_clusters": 0}, "`n_clusters` must be a whole number of at least 1"),
        ({"n_clusters": 4}, "`n_clusters` is larger than the number of members.*1 to 3"),
        ({"member_epochs": -1}, "`member_epochs` must be a whole number of at least 0"),
        ({"member_epochs": 1.5}, "`member_epochs` must be"),
        ({"noise": -0.1}, "`noise` must be a finite number of at least 0"),
        ({"shrink": math.nan}, "`shrink` must be a finite number"),
        ({"shrink": 1.5}, "`shrink` must be a finite number from 0 to 1"),
        ({"seed": "a"}, "`seed` must be a whole number"),
    ],
    ids=str,
)
def test_bad_settings_are_named(members, settings, culprit):
    with pytest.raises(km.MotherNetsError, match=culprit):
        km.MotherNets(members, **settings)


def test_members_without_a_common_network_are_named_before_anything_trains(mlp, data, count_fits):
    odd = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(3)], name="odd"
    )
    with pytest.raises(km.MotherNetsError, match="`odd`"):
        fitted([mlp("a"), odd], data)
    assert count_fits == []


def frozen(mlp, name, hidden, base):
    x = keras.Input((4,))
    h = keras.layers.Dense(hidden, activation="relu")(base(x))
    return keras.Model(x, keras.layers.Dense(3, activation="softmax")(h), name=name)


def test_a_frozen_base_that_all_share_stays_as_it_was(mlp, data):
    base = mlp("base", (5,), activation="tanh")
    base.trainable = False
    before = base.get_weights()
    method = km.MotherNets([frozen(mlp, "a", 4, base), frozen(mlp, "b", 6, base)])
    method.compile("adam", "sparse_categorical_crossentropy")
    method.fit(*data, epochs=2, verbose=0)
    for member in method.members:
        kept = member.get_layer("base").get_weights()
        assert all(np.array_equal(ours, its) for ours, its in zip(kept, before, strict=True))


def test_frozen_weights_that_would_be_lost_are_refused(mlp, data, count_fits):
    bases = [mlp(f"base{n}", (5,), activation="tanh") for n in range(2)]
    for base in bases:
        base.trainable = False
    members = [
        frozen(mlp, name, n, base)
        for n, (name, base) in enumerate(zip("ab", bases, strict=True), 4)
    ]
    method = km.MotherNets(members)
    method.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(km.MotherNetsError, match="Member `.`: Layer `base./.*would be lost"):
        method.fit(*data, epochs=1, verbose=0)
    assert not count_fits
