"""Whole runs over two devices; run by `test_distribute.py`, in a process of its own."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from two_devices import (
    SPARSE,
    Slices,
    apart,
    begin_with_two_devices,  # noqa: F401 (a fixture)
    largest_difference,
    on_each,
    strategy,
)

import keras_mothernets as km
from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.training import save_epochs
from keras_mothernets.training.distribute import average_statistics, part_seeds, put_in

layers, SGD = keras.layers, keras.optimizers.SGD
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).reshape(-1, 8, 8, 1).astype("float32")
VALIDATION = (IMAGES[-101:], LABELS[-101:])
TWICE = {"batch_size": 50, "epochs": 2, "verbose": 0}
IN_A_GRAPH = {"settings": {"run_eagerly": False}, "batch_size": 64}  # slower where steps are few


class Look(keras.callbacks.Callback):
    """Looks at the replicas, behind what the package does itself. What is seen is the class's,
    so that the plan stays the same."""

    begun: dict[str, list[np.ndarray]] = {}  # noqa: RUF012 - weights that a job began with
    apart: list[str] = []  # noqa: RUF012 - where replicas had other weights

    def on_train_begin(self, logs=None):
        self.begun[self.model.name] = self.model.get_weights()
        self._look("at the beginning of")

    def on_epoch_end(self, epoch, logs=None):
        self._look(f"after epoch {epoch} of")

    def on_train_end(self, logs=None):
        self._look("at the end of")

    def _look(self, when):
        if isinstance(self.model.weights[0].value, tf.distribute.DistributedValues) and apart(
            self.model
        ):
            self.apart.append(f"{when} {self.model.name}")


def plain_cnn(name, filters):
    stack = []
    for width in filters:
        stack += [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack], name=name)


def residual(name, width, units):
    def conv(x, relu=True):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU()(x) if relu else x

    x = inputs = keras.Input((8, 8, 1))
    x = layers.MaxPooling2D()(conv(x))
    for _ in range(units):
        x = layers.ReLU()(layers.Add()([x, conv(conv(x), relu=False)]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x), name=name)


def cnns():
    return [plain_cnn("a", (6, 8)), plain_cnn("b", (4, 10))]


def with_a_trunk():
    return [plain_cnn("a", (4, 6)), plain_cnn("b", (4, 8))]


def perceptrons(normalized=False, dropout=0.0):
    def one(name, width):
        stack = [layers.Flatten(), layers.Dense(width, "relu", kernel_regularizer="l2")]
        stack += [layers.BatchNormalization()] if normalized else []
        stack += [layers.Dropout(dropout)] if dropout else []
        stack += [layers.Dense(10, "softmax")]
        return keras.Sequential([keras.Input((8, 8, 1)), *stack], name=name)

    return [one("a", 6), one("b", 9)]


def one_perceptron():
    return perceptrons()[:1]


def residuals():
    return [residual("a", 8, 1), residual("b", 8, 2)]


def sgd():
    return SGD(0.05, momentum=0.9)


def run(make, method, distribute, x=IMAGES[:200], y=LABELS[:200], *, settings=(), **arguments):
    """A method after `fit`, and the history; names and seeds are those of a fresh process."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    Look.begun, Look.apart = {}, []
    made = method(make())
    made.compile(sgd(), SPARSE, ["accuracy"], **{"run_eagerly": True, **dict(settings)})
    arguments = {**TWICE, "callbacks": [Look()], **arguments}
    history = made.fit(x, y, **arguments, distribute=distribute)
    return made, history


def mothernets(members):
    return km.MotherNets(members, member_epochs=2)


def test_digits_as_on_one_device(tmp_path):
    given = {"x": IMAGES[:1024], "y": LABELS[:1024], **IN_A_GRAPH}
    one, _ = run(cnns, mothernets, None, **given)
    begun_on_one = Look.begun
    two, history = run(cnns, mothernets, strategy(), **given)
    assert Look.apart == []
    assert set(Look.begun) == {"mothernet", "a", "b"}
    for name, weights in Look.begun.items():
        for here, there in zip(weights, begun_on_one[name], strict=True):
            np.testing.assert_allclose(here, there, atol=1e-5)
    for mine, theirs in zip(two.members, one.members, strict=True):
        assert largest_difference(mine, theirs) < 1e-5
    rows = {row.job: row for row in history.ledger}
    assert all(rows[name].deviation < 1e-5 for name in "ab")
    assert {(row.device, row.steps) for row in rows.values()} == {("2 x CPU", 32)}
    two.ensemble().save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras", compile=False)
    np.testing.assert_array_equal(
        loaded.predict(VALIDATION[0], verbose=0), two.ensemble().predict(VALIDATION[0], verbose=0)
    )


def test_residual_networks_of_odd_data_sizes(tmp_path):
    given = {"validation_data": VALIDATION, "epochs": 4, **IN_A_GRAPH}
    x, y = IMAGES[:1001], LABELS[:1001]
    one, _ = run(residuals, mothernets, None, x, y, **given)
    two, history = run(residuals, mothernets, strategy(), x, y, **given)
    assert Look.apart == []
    for row in history.ledger:
        assert row.examples == 1002 * row.epochs and row.steps == 16 * row.epochs
    for member, row in zip(two.members, list(history.ledger)[-2:], strict=True):
        assert member.name == row.job
        assert not any(isinstance(w.value, tf.distribute.DistributedValues) for w in member.weights)
        exact = member.evaluate(*VALIDATION, verbose=0, return_dict=True)
        for name, value in exact.items():
            assert row.metrics[f"val_{name}"] == pytest.approx(value, rel=1e-5)
    scores = [
        method.ensemble().evaluate(IMAGES[1001:1696], LABELS[1001:1696], verbose=0)
        for method in (one, two)
    ]
    print("loss and accuracy on one device and on two", scores)
    np.testing.assert_allclose(scores[1], scores[0], atol=0.1)
    assert scores[1][1] > 0.7
    two.ensemble().save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras", compile=False)
    np.testing.assert_array_equal(
        loaded.predict(VALIDATION[0], verbose=0), two.ensemble().predict(VALIDATION[0], verbose=0)
    )


class Kill(keras.callbacks.Callback):
    """Stands for a kill. The place is the class's, so that the plan stays the same."""

    at = None

    def on_epoch_begin(self, epoch, logs=None):
        if (self.model.name, epoch) == self.at:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(save_epochs, "SHARE", math.inf)  # checkpoints after every epoch
    given = {"validation_data": VALIDATION, "callbacks": [Kill()]}
    x, y = IMAGES[:201], LABELS[:201]

    def make():
        return perceptrons(normalized=True, dropout=0.3)

    Kill.at = None
    expected, undisturbed = run(make, mothernets, strategy(), x, y, **given)
    Kill.at = ("b", 1)
    with pytest.raises(KeyboardInterrupt):
        run(make, mothernets, strategy(), x, y, **given, run_dir=tmp_path)
    Kill.at = None
    with pytest.raises(MotherNetsError, match="`distribute`: here none, there MirroredStrategy ov"):
        run(make, mothernets, None, x, y, **given, run_dir=tmp_path)
    method, history = run(make, mothernets, strategy(), x, y, **given, run_dir=tmp_path)
    assert history.history == undisturbed.history
    for mine, theirs in zip(method.members, expected.members, strict=True):
        np.testing.assert_equal(mine.get_weights(), theirs.get_weights())


WEIGHTS = np.random.default_rng(3).uniform(0.5, 2, 200)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        (km.TreeNets, {"sample_weight": WEIGHTS}),
        (km.KnowledgeDistillation, {"sample_weight": WEIGHTS}),
        (km.Bagging, {"class_weight": {0: 3.0, 4: 0.5}}),
        (km.FullData, {"validation_split": 0.2, "validation_batch_size": 16}),
    ],
)
def test_methods_give_what_they_give_on_one_device(method, given):
    makes = {km.TreeNets: with_a_trunk, km.KnowledgeDistillation: perceptrons}
    make = makes.get(method, one_perceptron)
    (one, there), (two, here) = (run(make, method, each, **given) for each in (None, strategy()))
    assert Look.apart == []
    for mine, theirs in zip(two.members, one.members, strict=True):
        assert largest_difference(mine, theirs) < 1e-5
    for name, values in here.history.items():
        np.testing.assert_allclose(values, there.history[name], rtol=1e-4)


def test_statistics_measured_anew_are_those_of_one_device():
    def method(members):
        return km.FastGeometricEnsemble(members[0], 2)

    def make():
        return perceptrons(normalized=True)

    one, two = (run(make, method, each, epochs=4)[0] for each in (None, strategy()))
    assert Look.apart == []
    scores = [m.ensemble().evaluate(*VALIDATION, verbose=0)[1] for m in (one, two)]
    print("accuracy with statistics measured anew, on one device and on two", scores)
    assert abs(scores[0] - scores[1]) < 0.15


def test_data_sets_whose_batches_divide():
    rows = tf.data.Dataset.from_tensor_slices((IMAGES[:201], LABELS[:201]))
    even = rows.batch(50, drop_remainder=True)
    one, two = (
        run(one_perceptron, km.FullData, each, even, None, validation_data=even)[0]
        for each in (None, strategy())
    )
    for mine, theirs in zip(two.members, one.members, strict=True):
        assert largest_difference(mine, theirs) < 1e-5
    uneven = rows.batch(50)
    odd = rows.batch(25, drop_remainder=True)
    slices = Slices(IMAGES, LABELS, [0, 50, 100])
    for refused in (uneven, odd, slices):
        with pytest.raises(DataError, match="it is not known that they divide by the 2"):
            run(perceptrons, km.FullData, strategy(), refused, None)
        with pytest.raises(DataError, match="`validation_data` gives batches"):
            run(perceptrons, km.FullData, strategy(), validation_data=refused)


@pytest.mark.parametrize(
    ("message", "given"),
    [
        (r"`batch_size` does not divide .* Expected: 62 or 64. Received: 63", {"batch_size": 63}),
        (r"Expected: 2. Received: 1", {"batch_size": 1}),
        (
            r"`validation_batch_size` does not divide",
            {"validation_data": VALIDATION, "validation_batch_size": 33},
        ),
        (
            r"too few .* Expected: a multiple of 2, or more than 4 examples. Received: 3",
            {"validation_data": (IMAGES[:3], LABELS[:3])},
        ),
        (r"`jit_compile=True` fails", {"settings": {"jit_compile": True}}),
        (r"`steps_per_execution` above 1 fails", {"settings": {"steps_per_execution": 2}}),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_keras_breaks_is_refused_before_anything_trains(message, given):
    with pytest.raises(MotherNetsError, match=message):
        run(perceptrons, km.FullData, strategy(), **given)
    assert not Look.begun


def outside():
    optimizer = SGD(0.1)
    return lambda job: optimizer


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("`optimizer` was made before the job", outside),
        ("`clipnorm` .* clips the gradients of each replica", lambda: SGD(0.1, clipnorm=1.0)),
        ("`global_clipnorm` of", lambda: SGD(0.1, global_clipnorm=1.0)),
        ("`clipvalue` of", lambda: lambda job: SGD(0.1, clipvalue=1.0)),
        ("fails over several", lambda: SGD(0.1, gradient_accumulation_steps=2)),
        ("`ema_overwrite_f", lambda: SGD(0.1, use_ema=True, ema_overwrite_frequency=2)),
        ("`clipnorm`", lambda: keras.optimizers.LossScaleOptimizer(SGD(0.1, clipnorm=1.0))),
    ],
)
def test_optimizers_that_keras_cannot_distribute_are_refused(message, make):
    method = km.FullData(perceptrons())
    method.compile(make(), SPARSE, run_eagerly=True)
    with pytest.raises(MotherNetsError, match=message):
        method.fit(IMAGES, LABELS, **TWICE, callbacks=[Look()], distribute=strategy())


def test_members_and_functions_of_the_job_may_choose_optimizers():
    first, second = perceptrons()
    own = km.Member(first, optimizer=keras.optimizers.Adam(0.01))
    method = km.FullData([own, second])
    method.compile(
        lambda job: SGD(keras.optimizers.schedules.CosineDecay(0.1, job.steps)),
        SPARSE,
        run_eagerly=True,
    )
    method.fit(IMAGES[:101], LABELS[:101], **TWICE, distribute=strategy())
    assert [type(model.optimizer).__name__ for model in method.members] == ["Adam", "SGD"]


def test_few_rows_are_enough_to_train_on_and_to_validate_on():
    validation = (IMAGES[:5], LABELS[:5])
    x, y = IMAGES[:3], LABELS[:3]
    given = {"validation_data": validation, "on_failure": "skip"}
    run(one_perceptron, km.FullData, strategy(), x, y, **given)
    assert Look.apart == []


def test_the_mean_takes_the_place_of_what_differs():
    model = put_in(residual("a", 3, 1), strategy())
    norm = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    first, second = strategy().experimental_local_results(norm.moving_mean.value)
    first.assign([1.0, 2.0, 3.0])
    second.assign([2.0, 4.0, 3.0])
    average_statistics(model, strategy())
    for values in on_each(norm.moving_mean):
        np.testing.assert_array_equal(values, [1.5, 3.0, 3.0])


def test_each_replica_draws_numbers_of_its_own():
    plain = keras.Sequential([keras.Input((64,)), layers.Dense(64), layers.Dropout(0.5, seed=3)])
    model = put_in(plain, strategy())
    part_seeds(model, strategy())
    step = tf.function(lambda x: strategy().run(lambda each: model(each, training=True), (x,)))
    first, second = strategy().experimental_local_results(step(tf.ones((1, 64))))
    assert ((first == 0) != (second == 0)).numpy().any()
    state = model.layers[-1].seed_generator.state
    kept = on_each(state)
    assert kept[0][0] == 3 and kept[0][0] != kept[1][0] and kept[0][1] == kept[1][1] > 0
    state.assign(kept[0])  # as a checkpoint gives it back
    part_seeds(model, strategy())
    np.testing.assert_array_equal(on_each(state), kept)


def test_a_fit_within_a_scope_is_refused():
    method = km.FullData(perceptrons())
    method.compile("sgd", SPARSE)
    with strategy().scope(), pytest.raises(MotherNetsError, match="within the scope"):
        method.fit(IMAGES, LABELS, **TWICE)
