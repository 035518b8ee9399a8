"""Snapshots and fast geometric ensembles: rates at every step, and where members come from."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.methods.fast_geometric_ensemble import TriangularCycles
from keras_mothernets.training.renew_statistics import renew_statistics

SPARSE = "sparse_categorical_crossentropy"
SGD = keras.optimizers.SGD


class Rates(keras.callbacks.Callback):
    """Notes the learning rate before every step."""

    seen: dict[str, list[float]] = {}  # noqa: RUF012 - by job

    def on_train_batch_begin(self, batch, logs=None):
        rates = self.seen.setdefault(self.model.name, [])
        rates.append(float(self.model.optimizer.learning_rate))


@pytest.fixture(autouse=True)
def _nothing_seen():
    Rates.seen = {}


def fit(method, data, *, epochs, optimizer=None, batch_size=20, callbacks=(), **arguments):
    method.compile(optimizer or SGD(0.2, momentum=0.9), SPARSE, ["accuracy"], run_eagerly=True)
    return method.fit(
        *data, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=[Rates(), *callbacks],
        **arguments,
    )  # fmt: skip


def weights_of(model):
    return [weight.copy() for weight in model.get_weights()]


def test_each_snapshot_goes_on_from_the_one_before(mlp, data):
    class Begins(keras.callbacks.Callback):
        weights: dict[str, list[np.ndarray]] = {}  # noqa: RUF012

        def on_train_begin(self, logs=None):
            self.weights[self.model.name] = weights_of(self.model)

    model = mlp("net")
    method = km.SnapshotEnsemble(model, 3)
    history = fit(method, data, epochs=7, callbacks=[Begins()])
    assert [(row.job, row.epochs, row.waits_for) for row in history.ledger] == [
        ("net_1", 3, ""), ("net_2", 2, "net_1"), ("net_3", 2, "net_2"),
    ]  # fmt: skip
    np.testing.assert_equal(Begins.weights["net_1"], model.get_weights())
    for before, after in (("net_1", "net_2"), ("net_2", "net_3")):
        trained = method.members[int(before[-1]) - 1]
        np.testing.assert_equal(Begins.weights[after], trained.get_weights())
    assert method.ensemble().evaluate(*data, verbose=0)[1] > 0.5


def test_rates_of_snapshots_follow_the_published_formula_at_every_step(mlp, data):
    """Huang et al., equation 2, with t counted over the whole training."""
    fit(km.SnapshotEnsemble(mlp("net"), 3), data, epochs=6)
    rates = [rate for name in ("net_1", "net_2", "net_3") for rate in Rates.seen[name]]
    total, cycles = len(rates), 3
    assert total == 12
    length = math.ceil(total / cycles)
    expected = [
        0.2 / 2 * (math.cos(math.pi * ((t - 1) % length) / length) + 1) for t in range(1, total + 1)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_a_snapshot_is_taken_where_the_rate_is_lowest(mlp, data):
    fit(km.SnapshotEnsemble(mlp("net"), 2), data, epochs=6)
    for rates in Rates.seen.values():
        assert np.argmin(rates) == len(rates) - 1
        assert rates[0] == pytest.approx(0.2)


def test_snapshots_need_a_fixed_rate_an_epoch_each_and_a_length(mlp, data):
    decaying = SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(km.MotherNetsError, match="net_1.*sets the learning rate.*CosineDecay"):
        fit(km.SnapshotEnsemble(mlp("net"), 2), data, epochs=4, optimizer=decaying)
    with pytest.raises(km.MotherNetsError, match="at least 3.*Received: 2"):
        fit(km.SnapshotEnsemble(mlp("net"), 3), data, epochs=2)
    endless = tf.data.Dataset.from_generator(
        lambda: iter(()), output_signature=tf.TensorSpec((None, 4))
    )
    method = km.SnapshotEnsemble(mlp("net"), 2)
    method.compile("sgd", "mse")
    with pytest.raises(km.MotherNetsError, match="Give `steps_per_epoch`"):
        method.plan(endless, epochs=4)
    assert Rates.seen == {}


@pytest.mark.parametrize("method", [km.SnapshotEnsemble, km.FastGeometricEnsemble])
def test_what_is_no_network_or_no_number_is_refused(method, mlp):
    with pytest.raises(km.MotherNetsError, match="trains one network.*a list of 2"):
        method([mlp("a"), mlp("b")], 2)
    with pytest.raises(km.MotherNetsError, match="`n_members`"):
        method(mlp("a"), 0)
    with pytest.raises(km.MotherNetsError, match="`optimizer` cannot be used"):
        method(mlp("a"), 2).compile("no such optimizer", "mse")


def test_a_members_own_optimizer_goes_before(mlp, data):
    member = km.Member(mlp("net"), optimizer=SGD(0.03), epochs=2)
    fit(km.SnapshotEnsemble(member, 2), data, epochs=9)
    assert [len(rates) for rates in Rates.seen.values()] == [4, 4]
    assert Rates.seen["net_2"][0] == pytest.approx(0.03)


def test_rates_of_cycles_follow_the_published_formula():
    """Garipov et al., section 5, as the paper writes it."""
    high, low, steps = 0.05, 0.0005, 10
    rates = TriangularCycles(high, low, steps)
    for i in range(1, 41):
        t = ((i - 1) % steps + 1) / steps
        if t <= 0.5:
            expected = (1 - 2 * t) * high + 2 * t * low
        else:
            expected = (2 - 2 * t) * low + (2 * t - 1) * high
        assert float(rates(i - 1)) == pytest.approx(expected, rel=1e-4, abs=1e-7)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(rates))
    assert float(again(3)) == float(rates(3))


def test_geometric_members_come_from_the_lowest_rate_after_most_of_a_usual_training(mlp, data):
    def falling(job):
        assert job.epochs == (25 if job.role == "base" else job.epochs)
        return SGD(keras.optimizers.schedules.PolynomialDecay(1.0, job.steps))

    method = km.FastGeometricEnsemble(mlp("net"), 3, rates=(0.1, 0.001))
    history = fit(method, data, epochs=25, optimizer=falling)
    assert [(row.job, row.role, row.epochs) for row in history.ledger] == [
        ("net_base", "base", 20), ("net_1", "member", 1), ("net_2", "member", 2),
        ("net_3", "member", 2),
    ]  # fmt: skip
    base = Rates.seen["net_base"]
    assert len(base) == 40
    assert base[-1] == pytest.approx(1 - 39 / 50 * (1 - 0.0001), rel=1e-3)  # of 50, not of 40
    cycles = [rate for name in ("net_1", "net_2", "net_3") for rate in Rates.seen[name]]
    np.testing.assert_allclose(
        cycles, [float(TriangularCycles(0.1, 0.001, 4)(i)) for i in range(10)]
    )
    for name in ("net_1", "net_2", "net_3"):
        assert Rates.seen[name][-1] == pytest.approx(0.001, rel=1e-3)
    assert len(method.members) == 3


def test_cycles_grow_with_the_epochs_that_are_left(mlp, data):
    method = km.FastGeometricEnsemble(mlp("net"), 2)
    method.compile("sgd", SPARSE)
    epochs = [job.epochs for job in method.plan(*data, epochs=100)]
    assert epochs == [80, 6, 12]
    epochs = [
        job.epochs
        for job in km.FastGeometricEnsemble(mlp("net"), 2, cycle_epochs=4).plan(*data, epochs=10)
    ]
    assert epochs == [8, 2, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cycle_epochs": 3}, "must have a middle"),
        ({"cycle_epochs": 0}, "`cycle_epochs`"),
        ({"rates": (0.1, 0.2)}, "the higher one first"),
        ({"rates": 0.1}, "highest and the lowest"),
        ({"rates": (0.1, 0.0)}, "above 0"),
    ],
)
def test_bad_cycles_are_refused(settings, message, mlp):
    with pytest.raises(km.MotherNetsError, match=message):
        km.FastGeometricEnsemble(mlp("net"), 2, **settings)


def normalized():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ],
        name="net",
    )


def test_statistics_are_the_plain_means_of_all_batches(data):
    model = normalized()
    x = data[0]
    norm = model.layers[1]
    momentum = norm.momentum
    renew_statistics(model, {"x": tf.data.Dataset.from_tensor_slices(x).batch(10)})
    hidden = (x @ model.get_weights()[0]).reshape(4, 10, 5)
    np.testing.assert_allclose(norm.moving_mean, hidden.mean(1).mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, hidden.var(1).mean(0), rtol=1e-4)
    assert norm.momentum == momentum
    norm.trainable = False
    norm.moving_mean.assign(np.ones(5))
    renew_statistics(model, {"x": tf.data.Dataset.from_tensor_slices(x).batch(10)})
    assert (np.asarray(norm.moving_mean) == 1).all()


def test_geometric_members_have_statistics_of_their_own_weights(data):
    method = km.FastGeometricEnsemble(normalized(), 2)
    fit(method, data, epochs=5)
    for member in method.members:
        hidden = data[0] @ member.get_weights()[0]
        np.testing.assert_allclose(
            member.layers[1].moving_mean, hidden.mean(0), rtol=1e-3, atol=1e-5
        )


def test_a_killed_chain_goes_on_with_the_same_numbers(mlp, data, undisturbed_and_killed):
    def run(callback, run_dir):
        keras.utils.set_random_seed(3)
        Rates.seen = {}
        method = km.FastGeometricEnsemble(normalized(), 2, cycle_epochs=2)
        fit(method, data, epochs=5, callbacks=[callback], run_dir=run_dir)
        return [weights_of(member) for member in method.members]

    expected, found = undisturbed_and_killed(run, "net_2", 1)
    np.testing.assert_equal(found, expected)
    assert set(Rates.seen) == {"net_2"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["snapshots", "geometric"])
def test_digits_are_learned(kind):
    data = km.datasets.load("digits")
    model = km.zoo.mlp(data.x_train.shape[1:], 10, (32,), scale=1 / 255, name="net")
    method = (km.SnapshotEnsemble if kind == "snapshots" else km.FastGeometricEnsemble)(model, 3)
    method.compile(SGD(0.1, momentum=0.9), SPARSE, ["accuracy"])
    method.fit(data.x_train, data.y_train, epochs=10, verbose=0)
    found = method.ensemble().evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.85
