"""Settings: fresh for every job, checked before anything trains."""

import functools

import keras
import numpy as np
import pytest

from keras_mothernets import MotherNetsError
from keras_mothernets.training import CompileSettings, Job
from keras_mothernets.training.callbacks import callbacks_of, check_callbacks
from keras_mothernets.training.fresh import fresh_loss, fresh_optimizer
from keras_mothernets.training.losses import LossKind, loss_specs, of_probabilities
from keras_mothernets.training.seeds import seed_random_layers

JOB = Job("job", "member", "net", epochs=3, batch_size=4, steps_per_epoch=5)


def network(units=3):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


def test_optimizers_are_new_objects_with_the_same_settings():
    adam = keras.optimizers.Adam(0.03, beta_1=0.8)
    adam.build(network().trainable_variables)
    fresh = fresh_optimizer(adam)
    assert fresh is not adam
    assert not fresh.built
    assert fresh.get_config() == adam.get_config()


@pytest.mark.parametrize("wrap", [lambda inner: inner, keras.optimizers.LossScaleOptimizer])
def test_what_is_left_out_of_weight_decay_stays_left_out(wrap):
    adam = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    adam.exclude_from_weight_decay(var_names=["bias", "gamma"])
    (kernel, bias), fresh = network().trainable_variables, fresh_optimizer(wrap(adam))
    bias.assign([1.0, 1.0, 1.0])
    before = kernel.numpy()
    fresh.apply([keras.ops.zeros_like(kernel), keras.ops.zeros_like(bias)], [kernel, bias])
    np.testing.assert_array_equal(bias.numpy(), 1.0)
    assert np.abs(kernel.numpy()).max() < np.abs(before).max()


@pytest.mark.parametrize("as_function", [False, True])
def test_single_variables_left_out_of_weight_decay_are_refused(as_function):
    adam = keras.optimizers.AdamW()
    adam.exclude_from_weight_decay(var_list=network().trainable_variables[1:])
    with pytest.raises(MotherNetsError, match="`optimizer` leaves single variables.*var_names"):
        CompileSettings((lambda job: adam) if as_function else adam, "mse").make_optimizer(JOB)


class Halved(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of a user who did not register it with Keras."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / 2

    def get_config(self):
        return {"rate": self.rate}


class Untold(Halved):
    """A schedule of a user who did not write `get_config`."""

    get_config = keras.optimizers.schedules.LearningRateSchedule.get_config


def test_a_schedule_need_not_be_registered():
    fresh = fresh_optimizer(keras.optimizers.SGD(Halved(0.3)))
    assert float(fresh.learning_rate) == pytest.approx(0.15)


def test_an_optimizer_that_cannot_be_made_anew_may_come_from_a_function():
    with pytest.raises(MotherNetsError, match="`SGD` cannot be made anew.*function of the job"):
        CompileSettings(keras.optimizers.SGD(Untold(0.3)), "mse")
    settings = CompileSettings(lambda job: keras.optimizers.SGD(Untold(0.3)), "mse")
    assert float(settings.make_optimizer(JOB).learning_rate) == pytest.approx(0.15)


def test_a_job_of_no_epochs_needs_no_schedule():
    def cosine(job):
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, job.steps))

    job = Job("job", "member", "net", epochs=0, steps_per_epoch=5)
    assert isinstance(CompileSettings(cosine, "mse").make_optimizer(job), keras.optimizers.SGD)


def test_an_optimizer_function_sees_the_length_of_its_job():
    def cosine(job):
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, job.steps))

    made = CompileSettings(cosine, "mse").make_optimizer(JOB)
    assert made.get_config()["learning_rate"]["config"]["decay_steps"] == 15


def test_a_members_optimizer_goes_before_the_common_one():
    made = CompileSettings("sgd", "mse").make_optimizer(JOB, "adam")
    assert isinstance(made, keras.optimizers.Adam)


def test_metrics_and_losses_are_new_objects_in_every_compile():
    precision = keras.metrics.Precision(thresholds=0.3)
    loss = keras.losses.BinaryCrossentropy(label_smoothing=0.2)
    settings = CompileSettings("sgd", loss, metrics=[precision, "accuracy"])
    (first, name), _ = settings.fresh_metrics()
    assert name == "accuracy"
    assert first is not precision
    assert first.get_config() == precision.get_config()
    assert fresh_loss(loss) is not loss
    assert fresh_loss(loss).get_config() == loss.get_config()


class Scaled(keras.losses.Loss):
    """A loss of a user who did not write `get_config`."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean(keras.ops.square(y_true - y_pred), -1)


class Counted(keras.metrics.Mean):
    """A metric of a user who did not write `get_config`."""

    def __init__(self, factor=1, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


class Plain(keras.metrics.Mean):
    """A metric as Keras' own documents write it."""

    def __init__(self, name="plain", **kwargs):
        super().__init__(name=name, **kwargs)


def highest(y_true, y_pred):
    return keras.ops.max(y_pred, -1)


@pytest.mark.parametrize("metric", [Plain(), Plain("named", dtype="float64")])
def test_metrics_that_keras_can_make_anew_are_taken(metric):
    ((fresh,), _) = CompileSettings("sgd", "mse", metrics=[metric]).fresh_metrics()
    assert fresh is not metric
    assert (type(fresh), fresh.get_config()) == (type(metric), metric.get_config())


def test_a_loss_that_cannot_be_made_anew_is_kept_and_not_changed_silently():
    loss = Scaled(7.0)
    assert fresh_loss(loss) is loss


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"loss": None}, "`loss` is missing"),
        ({"loss": "mean_sqared"}, "`loss` cannot be used.*mean_sqared"),
        ({"optimizer": "sgdd"}, "`optimizer` cannot be used.*sgdd"),
        ({"optimizer": 3}, "`optimizer` cannot be used"),
        ({"metrics": ["acuracy"]}, "`metrics` cannot be used.*acuracy"),
        ({"metrics": [Counted()]}, "`Counted` has arguments of its own and no `get_config`"),
        (
            {"metrics": [keras.metrics.MeanMetricWrapper(highest)]},
            "`MeanMetricWrapper` cannot be made anew.*give a function instead",
        ),
        ({"steps_per_execution": 0}, "`steps_per_execution`.*at least 1"),
        ({"optimizer": None}, "`optimizer` cannot be used.*None"),
        ({"loss": keras.losses.Huber}, "`loss` cannot be used.*the class `Huber`.*`Huber\\(\\)`"),
        ({"loss": {"head": keras.losses.Huber}}, "`loss` cannot be used.*the class `Huber`"),
    ],
)
def test_a_bad_setting_is_named(settings, culprit):
    with pytest.raises(MotherNetsError, match=culprit):
        CompileSettings(**{"optimizer": "sgd", "loss": "mse", **settings})


@pytest.mark.parametrize(
    ("function", "culprit"),
    [
        (lambda job: 1 / 0, "fails for job `job`.*ZeroDivisionError"),
        (lambda job: 17, "`job`.*`optimizer` cannot be used"),
        (lambda job: None, "`job`.*`optimizer` cannot be used.*None"),
        (lambda job: lambda job: "sgd", "`job`.*`optimizer` cannot be used"),
    ],
    ids=["raises", "returns a number", "returns nothing", "returns a function"],
)
def test_a_bad_optimizer_function_is_named_with_its_job(function, culprit):
    with pytest.raises(MotherNetsError, match=culprit):
        CompileSettings(function, "mse").make_optimizer(JOB)


def test_settings_are_tried_on_labels_without_touching_the_network():
    model = network()
    before = model.get_weights()
    settings = CompileSettings("sgd", "mse", loss_weights=[1.0, 2.0])
    with pytest.raises(MotherNetsError, match=r"loss_weights.*1 losses and 2 weights"):
        settings.try_on(model, np.zeros((2, 3)))
    CompileSettings("sgd", "mse", metrics=["mae"]).try_on(model, np.zeros((2, 3)))
    assert not model.compiled
    np.testing.assert_equal(model.get_weights(), before)


@pytest.mark.parametrize(
    ("loss", "kind", "from_logits"),
    [
        ("sparse_categorical_crossentropy", LossKind.SPARSE, False),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), LossKind.SPARSE, True),
        (keras.losses.categorical_crossentropy, LossKind.CATEGORICAL, False),
        (keras.losses.BinaryCrossentropy(from_logits=True), LossKind.BINARY, True),
        (
            functools.partial(keras.losses.binary_crossentropy, from_logits=True),
            LossKind.BINARY,
            True,
        ),
        ("mse", LossKind.ELEMENTWISE, False),
        (Scaled(1.0), LossKind.OTHER, False),
        (lambda y_true, y_pred: 0.0, LossKind.OTHER, False),
    ],
)
def test_what_a_loss_says_about_labels_and_logits(loss, kind, from_logits):
    (spec,) = loss_specs(loss, network())
    assert (spec.kind, spec.from_logits) == (kind, from_logits)
    (spec_of_probabilities,) = loss_specs(of_probabilities(loss, spec), network())
    assert not spec_of_probabilities.from_logits


@pytest.mark.parametrize(
    ("units", "labels", "kind"),
    [(1, (8, 1), LossKind.BINARY), (3, (8,), LossKind.SPARSE), (3, (8, 3), LossKind.CATEGORICAL)],
)
def test_crossentropy_means_what_keras_makes_of_it(units, labels, kind):
    assert loss_specs("crossentropy", network(units), [labels])[0].kind is kind


def test_callbacks_are_copied_for_each_job():
    stopping = keras.callbacks.EarlyStopping(patience=7)
    stopping.wait = 5
    first, second = (callbacks_of(JOB, [stopping])[0] for _ in range(2))
    assert first is not second
    assert first.patience == 7


def test_a_callback_that_was_used_before_does_not_drag_its_model_along():
    model = network()
    stopping = keras.callbacks.EarlyStopping()
    stopping.set_model(model)
    (copied,) = callbacks_of(JOB, stopping)
    assert copied.model is None
    assert stopping.model is model


def test_a_function_of_the_job_makes_callbacks():
    made = callbacks_of(JOB, lambda job: [keras.callbacks.CSVLogger(f"{job.name}.csv")])
    assert made[0].filename == "job.csv"


class Holder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.generator = (number for number in range(3))


@pytest.mark.parametrize(
    ("choice", "culprit"),
    [
        (
            [keras.callbacks.CSVLogger("x.csv")],
            "2 jobs would write over the one file of `CSVLogger`",
        ),
        ([print], "must be Keras callbacks"),
        (Holder(), "`Holder` cannot be copied"),
        (lambda job: 1 / 0, "fails for job `job`"),
    ],
    ids=["one file", "no callback", "uncopyable", "raises"],
)
def test_bad_callbacks_are_named(choice, culprit):
    with pytest.raises(MotherNetsError, match=culprit):
        check_callbacks(choice, [JOB, JOB])


def test_random_layers_are_seeded_without_global_state():
    def dropout():
        return keras.Sequential(
            [keras.Input((50,)), keras.layers.Dropout(0.5), keras.layers.GaussianNoise(0.1)]
        )

    models = [dropout() for _ in range(3)]
    assert [
        seed_random_layers(model, seed) for model, seed in zip(models, (1, 1, 2), strict=True)
    ] == [2, 2, 2]
    one, same, other = (np.asarray(model(np.ones((1, 50)), training=True)) for model in models)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
