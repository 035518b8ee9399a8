"""What MotherNets can do beyond the paper, each option by what makes it itself."""

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.training.optimizers import OptimizerOfJob

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture
def members(wide_and_tall):
    return wide_and_tall


def fitted(method, data, *, epochs=4, optimizer="adam", **fit):
    method.compile(optimizer, SPARSE, metrics=["accuracy"])
    return method.fit(*data, epochs=epochs, batch_size=20, verbose=0, **fit)


class _Weights(keras.callbacks.Callback):
    """Notes the weights after every step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append([weight.numpy() for weight in self.model.trainable_weights])


def test_members_are_hatched_from_the_average_of_their_mothers_weights(members, data):
    """The average is counted here from her weights after every step."""
    momentum, noted = 0.8, {}

    def note(job):
        noted[job.name] = _Weights()
        return [noted[job.name]]

    method = km.MotherNets(members, mother_average=momentum)
    history = fitted(method, data, epochs=3, optimizer=keras.optimizers.SGD(0.3), callbacks=note)
    first, *others = noted["mothernet"].steps
    average = first
    for step in others:
        pairs = zip(average, step, strict=True)
        average = [momentum * old + (1 - momentum) * new for old, new in pairs]
    mother = method.trained_mother("wide")
    for ours, theirs in zip(mother.trainable_weights, average, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)
    last = [weight.numpy() for weight in mother.trainable_weights]
    assert max(np.abs(a - b).max() for a, b in zip(last, others[-1], strict=True)) > 1e-3
    assert all(row.deviation < 1e-5 for row in history.ledger if row.role == "member")


def test_only_mothers_are_averaged_and_the_plan_tells(members, data):
    def planned(**settings):
        method = km.MotherNets(members, **settings)
        method.compile(OptimizerOfJob("sgd", 0.1, 5e-4), SPARSE)
        return method.plan(*data, epochs=4, batch_size=20)

    mother, *hatched = planned(mother_average=0.9)
    assert mother.average == 0.9 and mother.renews_statistics
    assert all(job.average is None and not job.renews_statistics for job in hatched)
    assert "ema_momentum=0.9" in mother.optimizer.replace("'", "").replace(": ", "=")
    usual = planned()
    assert usual["mothernet"].average is None
    assert usual.fingerprint != planned(mother_average=0.9).fingerprint


def test_the_schedule_of_a_mother_that_stops_early_is_longer_than_her_training(members, data):
    method = km.MotherNets(members, mother_part=0.25)
    method.compile(OptimizerOfJob("sgd", 0.1), SPARSE)
    mother, *hatched = method.plan(*data, epochs=4, batch_size=20)
    assert (mother.epochs, mother.steps, mother.trained_steps) == (4, 32, 8)
    assert all(job.steps == job.trained_steps for job in hatched)
    rates = [_last_rate(method, job) for job in (mother, hatched[0])]
    assert rates[0] > 0.08 and rates[1] < 1e-6  # hers is still high, theirs is at its end
    whole = km.MotherNets(members, mother_part=1).plan(*data, epochs=4, batch_size=20)
    assert whole["mothernet"].schedule_epochs is None
    usual = km.MotherNets(members).plan(*data, epochs=4, batch_size=20)
    assert usual["mothernet"].schedule_epochs == 16


def _last_rate(method, job):
    optimizer = method._settings.make_optimizer(job)
    optimizer.iterations.assign(job.trained_steps)
    return float(optimizer.learning_rate)


def test_members_have_a_rate_of_their_own(members, data):
    method = km.MotherNets(members, member_rate=0.5)
    method.compile(keras.optimizers.SGD(0.1), SPARSE)
    plan = method.plan(*data, epochs=2)
    rates = [float(method._settings.make_optimizer(job).learning_rate) for job in plan]
    assert rates == pytest.approx([0.1, 0.05, 0.05, 0.05, 0.05])


def test_members_stop_when_their_validation_gets_no_better(members, data):
    method = km.MotherNets(members, member_epochs=9, member_patience=2, seed=1)
    history = fitted(method, data, optimizer=keras.optimizers.SGD(1e-12), validation_data=data)
    epochs = {row.job: row.epochs for row in history.ledger}
    assert epochs.pop("mothernet") == 4
    assert set(epochs.values()) == {3}  # nothing moves: the first is best, and two pass in vain


def test_patience_without_validation_is_refused_before_anything_trains(members, data, count_fits):
    method = km.MotherNets(members, member_patience=2)
    with pytest.raises(km.MotherNetsError, match="`member_patience` waits for a better validation"):
        fitted(method, data)
    assert count_fits == []


def test_the_last_layers_begin_anew_and_the_others_are_inherited(members, data):
    method = km.MotherNets(members, member_epochs=0, fresh_layers=2)
    history = fitted(method, data)
    plain = km.MotherNets(members, member_epochs=0)
    fitted(plain, data)
    for own, model, inherited in zip(members, method.members, plain.members, strict=True):
        layers = zip(model.layers, own.layers, inherited.layers, strict=True)
        same_as = [
            (_equal(layer, first), _equal(layer, hatched)) for layer, first, hatched in layers
        ]
        assert same_as[-2:] == [(True, False)] * 2
        assert set(same_as[:-2]) == {(False, True)}
    assert all(row.deviation > 1e-3 for row in history.ledger.rows[1:])


def _equal(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_a_tree_of_mothers_shares_epochs_at_every_level(members, data):
    method = km.MotherNets(members, n_clusters=2, tree=True, member_epochs=1)
    plan = method.plan(*data, epochs=5)
    assert [(job.name, job.epochs, job.waits_for) for job in plan] == [
        ("mothernet_of_all", 2, ()),
        ("mothernet_1", 3, ("mothernet_of_all",)),
        ("wide", 1, ("mothernet_1",)),
        ("wider", 1, ("mothernet_1",)),
        ("mothernet_2", 3, ("mothernet_of_all",)),
        ("tall", 1, ("mothernet_2",)),
        ("taller", 1, ("mothernet_2",)),
    ]
    history = fitted(method, data)
    assert all(row.deviation <= 1e-5 for row in history.ledger.rows[1:])


def test_a_chain_grows_from_narrow_networks_into_the_mother(members, data, tmp_path):
    method = km.MotherNets(members, chain=2, member_epochs=1)
    history = fitted(method, data, epochs=7, run_dir=tmp_path)
    rows = {row.job: row for row in history.ledger}
    line = ["mothernet_step_1", "mothernet_step_2", "mothernet"]
    assert [rows[name].epochs for name in line] == [2, 2, 3]
    assert [rows[name].waits_for for name in line] == ["", *line[:2]]
    sizes = [rows[name].parameters for name in line]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    assert all(row.deviation <= 1e-5 for row in history.ledger.rows[1:])
    again = fitted(
        km.MotherNets(members, chain=2, member_epochs=1), data, epochs=7, run_dir=tmp_path
    )
    assert [row.wall_seconds for row in again.ledger] == [
        row.wall_seconds for row in history.ledger
    ]


def test_a_mother_that_is_a_member_comes_at_the_end_of_a_chain(mlp, data):
    members = [mlp("common", hidden=(8, 8)), mlp("wide", hidden=(9, 8))]
    plan = km.MotherNets(members, chain=1).plan(*data, epochs=4)
    assert [(job.name, job.role, job.epochs, job.schedule_epochs) for job in plan] == [
        ("mothernet_step_1", "mother", 2, 8),
        ("common", "member", 2, None),
        ("wide", "member", 2, None),
    ]


def test_a_mother_that_is_a_member_stops_early_if_that_is_said_and_goes_on_as_a_member(mlp, data):
    members = [mlp("common", hidden=(8, 8)), mlp("wide", hidden=(9, 8))]
    method = km.MotherNets(members, mother_part=0.5, member_epochs=1)
    plan = method.plan(*data, epochs=4)
    assert [(job.name, job.role, job.epochs, job.schedule_epochs) for job in plan] == [
        ("mothernet", "mother", 4, 8),
        ("common", "member", 1, None),
        ("wide", "member", 1, None),
    ]
    assert plan["common"].start.inherited == 1.0
    history = fitted(method, data)
    assert all(row.deviation <= 1e-5 for row in history.ledger.rows[1:])


def test_members_alone_in_a_tree_go_on_from_the_mother_of_all(members, data):
    plan = km.MotherNets(members[:1] + members[2:3], n_clusters=2, tree=True).plan(*data, epochs=4)
    assert [(job.name, job.epochs, job.waits_for) for job in plan] == [
        ("mothernet_of_all", 2, ()),
        ("wide", 2, ("mothernet_of_all",)),
        ("tall", 2, ("mothernet_of_all",)),
    ]


def test_every_level_needs_an_epoch(members, data):
    method = km.MotherNets(members, n_clusters=2, tree=True, chain=1)
    with pytest.raises(km.MotherNetsError, match="Expected: `epochs` of at least 3. Received: 2"):
        method.plan(*data, epochs=2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mother_part": 0}, "`mother_part` must be a finite number from 0 to 1, and not 0"),
        ({"mother_part": 1.5}, "`mother_part` must be a finite number from 0 to 1"),
        ({"mother_average": 1.0}, "`mother_average` must be a finite number"),
        ({"mother_average": 0}, "`mother_average` must be a finite number"),
        ({"member_rate": -1}, "`member_rate` must be a finite number of at least 0, and not 0"),
        ({"member_patience": 0}, "member_patience"),
        ({"fresh_layers": -1}, "fresh_layers"),
        ({"chain": 0.5}, "chain"),
        ({"tree": "no"}, "`tree` must be True or False"),
    ],
)
def test_settings_that_cannot_be_used(members, setting, message):
    with pytest.raises(km.MotherNetsError, match=message):
        km.MotherNets(members, **setting)


def test_a_plan_tells_of_what_differs_from_the_paper(members, data):
    assert "chain" not in km.MotherNets(members).describe()
    told = km.MotherNets(members, chain=1, tree=True).describe()
    assert told.endswith("seed=0, tree=True, chain=1)")
