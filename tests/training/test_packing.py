"""What is packed comes out as it was: models, optimizers, losses, arrays."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.training import CompileSettings, Job, Plan, RunContext, read_data
from keras_mothernets.training.packing import Package, pack, unpack

x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
y = np.arange(40) % 3


class Twice(keras.layers.Layer):
    """A layer that is not registered, and has no `get_config` of its own."""

    def call(self, inputs):
        return 2 * inputs


class OwnLoss(keras.losses.Loss):
    """A loss without a config."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean(keras.ops.square(y_pred), axis=-1)


def network(seed=0):
    keras.utils.set_random_seed(seed)
    shared = keras.layers.Dense(6, name="shared")
    block = keras.Sequential([keras.Input((6,)), shared, keras.layers.Dropout(0.5)], name="block")
    inputs = keras.Input((6,), name="features")
    hidden = keras.layers.BatchNormalization()(keras.layers.Add()([block(inputs), shared(inputs)]))
    hidden = keras.ops.relu(Twice()(hidden))
    outputs = keras.layers.Dense(3, name="out")(hidden)
    model = keras.Model({"features": inputs}, {"out": outputs}, name="net")
    for variable in model.variables:
        if "moving" in variable.path:
            variable.assign(np.random.default_rng(1).uniform(0.5, 2, variable.shape))
    return model


def sent(tmp_path=None, model=None, **settings):
    settings = {"loss": "sparse_categorical_crossentropy", **settings}
    model = network() if model is None else model
    plan = Plan("example", (Job("a", "member", "net", epochs=2, steps_per_epoch=3),))
    data = settings.pop("data", None) or read_data(x, y)
    package = pack(plan, RunContext({"net": model}, data, CompileSettings(**settings)))
    if tmp_path is not None:
        package.write(tmp_path)
        package = Package.read(tmp_path)
    return unpack(package)


def test_a_model_with_layers_of_its_own_that_are_shared_and_nested():
    model = network()
    made = sent(model=model)[1].networks["net"]
    given = {"features": x}
    np.testing.assert_array_equal(made(given)["out"], model(given)["out"])
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    assert len(made.weights) == len(model.weights)  # what was shared still is
    assert type(made.layers[-3]) is type(model.layers[-3])


def test_a_model_of_another_precision_that_may_not_be_trained():
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(3, dtype="mixed_bfloat16")], name="net"
    )
    model.dtype_policy = "mixed_bfloat16"
    model.trainable = False
    made = sent(model=model)[1].networks["net"]
    assert made.dtype_policy.name == "mixed_bfloat16"
    assert not made.trainable
    assert made.layers[0].compute_dtype == "bfloat16"


def test_an_optimizer_keeps_its_schedule_and_what_has_no_decay():
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 7)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    _, context = sent(optimizer=keras.optimizers.LossScaleOptimizer(optimizer))
    made = context.optimizer(Job("a", "member", "net"))
    assert made.inner_optimizer.get_config() == optimizer.get_config()
    made.build(context.networks["net"].trainable_variables)
    kernel, bias = context.networks["net"].get_layer("out").weights
    assert made.inner_optimizer._use_weight_decay(kernel)
    assert not made.inner_optimizer._use_weight_decay(bias)


def test_losses_metrics_and_functions_of_ones_own():
    factor = 3.0
    _, context = sent(
        optimizer=lambda job: keras.optimizers.SGD(factor * job.steps),
        loss=OwnLoss(2.0),
        metrics=[keras.metrics.SparseTopKCategoricalAccuracy(k=2, name="top")],
    )
    assert (
        float(context.optimizer(Job("a", "member", "net", 1, steps_per_epoch=2)).learning_rate) == 6
    )
    assert float(context.settings.loss(np.ones((2, 1)), np.ones((2, 3)))) == 2.0
    assert context.settings.metrics[0].get_config()["k"] == 2
    assert context.settings.metrics[0].name == "top"


def test_arrays_are_read_from_one_file_and_not_copied(tmp_path):
    data = sent(tmp_path)[1].data
    np.testing.assert_array_equal(data.train.x, x)
    np.testing.assert_array_equal(data.train.y, y)
    assert not data.train.x.flags.owndata
    assert not data.train.x.flags.writeable
    assert (tmp_path / "package").stat().st_size < 40_000


def test_plans_are_equal_and_have_equal_fingerprints():
    plan, context = sent()
    assert plan == Plan("example", plan.jobs)
    assert plan.fingerprint == sent()[0].fingerprint
    assert context.data.fingerprint() == read_data(x, y).fingerprint()


def test_settings_of_keras_go_along():
    before = keras.config.floatx(), keras.config.epsilon()
    keras.config.set_epsilon(1e-5)
    data = read_data(x, y)
    plan = Plan("example", (Job("a", "member", "net"),))
    package = pack(plan, RunContext({"net": network()}, data, CompileSettings(loss="mse")))
    keras.config.set_epsilon(before[1])
    try:
        unpack(package)
        assert keras.config.epsilon() == 1e-5
    finally:
        keras.config.set_epsilon(before[1])


def test_a_data_set_of_tensorflow_is_refused_by_name():
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    with pytest.raises(km.MotherNetsError, match="`tf.data.Dataset` cannot be sent to another"):
        sent(data=read_data(dataset))


def test_what_cannot_be_sent_is_told(tmp_path):
    with (tmp_path / "open").open("w") as file:
        with pytest.raises(km.MotherNetsError, match="cannot be sent.*pickle files.*open files"):
            sent(optimizer=lambda job: file and "sgd")
