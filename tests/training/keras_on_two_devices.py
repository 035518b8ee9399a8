"""What `training/distribute.py` and its refusals rely on in Keras 3.15 and TensorFlow 2.21.

A new version that changes it turns a test red: then a refusal or a remedy may be dropped.
Run by `test_distribute.py`, in a process of its own.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from two_devices import (
    SPARSE,
    Slices,
    apart,
    begin_with_two_devices,  # noqa: F401 (a fixture)
    largest_difference,
    on_each,
    strategy,
)

layers, SGD = keras.layers, keras.optimizers.SGD
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 6)).astype("float32"), RNG.integers(0, 3, 48)
BATCHES = [0, 16, 32, 48]


def network(*hidden, shape=(6,)):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *hidden, layers.Dense(3, "softmax")])


def trained(optimizer, *hidden, x=X, cuts=BATCHES, **settings):
    with strategy().scope():
        model = network(*(make() for make in hidden), shape=x.shape[1:])
        optimizer = optimizer() if callable(optimizer) else optimizer
        model.compile(optimizer, SPARSE, **settings)
    model.fit(Slices(x, Y, cuts), epochs=2, shuffle=False, verbose=0)
    return model


def trained_on_one(optimizer):
    model = network()
    model.compile(optimizer(), SPARSE)
    model.fit(Slices(X, Y, BATCHES), epochs=2, shuffle=False, verbose=0)
    return model


def test_two_devices_give_what_one_gives():
    def optimizer():
        return SGD(0.1, momentum=0.9)

    assert largest_difference(trained(optimizer), trained_on_one(optimizer)) < 1e-6


def test_an_optimizer_made_outside_of_the_scope_fails():
    with pytest.raises(RuntimeError, match="Mixing different tf.distribute.Strategy"):
        trained(SGD(0.1, momentum=0.9))


def test_one_without_slots_made_outside_counts_each_step_twice():
    optimizer = SGD(0.1)
    trained(optimizer)
    assert int(optimizer.iterations) == 2 * 6


def test_iterations_of_one_in_the_scope_are_no_number_until_asked_for_as_an_array():
    optimizer = trained(lambda: SGD(0.1)).optimizer
    with pytest.raises(TypeError):
        int(optimizer.iterations)
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 6


def test_jit_compile_fails():
    with pytest.raises(tf.errors.InvalidArgumentError, match="different_device"):
        trained(lambda: SGD(0.1), jit_compile=True)


def test_several_steps_per_execution_fail():
    with pytest.raises(tf.errors.InvalidArgumentError, match="must feed a value"):
        trained(lambda: SGD(0.1), steps_per_execution=2)


@pytest.mark.parametrize(
    "settings",
    [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_overwrite_frequency": 3}],
    ids=str,
)
def test_what_an_optimizer_does_in_a_branch_fails(settings):
    with pytest.raises(RuntimeError):
        trained(lambda: SGD(0.1, **settings))


@pytest.mark.parametrize(
    "settings", [{"clipnorm": 0.05}, {"global_clipnorm": 0.05}, {"clipvalue": 0.01}], ids=str
)
def test_gradients_are_clipped_before_they_are_summed(settings):
    def optimizer():
        return SGD(0.1, **settings)

    assert largest_difference(trained(optimizer), trained_on_one(optimizer)) > 1e-3


@pytest.mark.parametrize("synchronized", [False, True])
def test_statistics_differ_between_replicas_unless_synchronized(synchronized):
    model = trained(lambda: SGD(0.1), lambda: layers.BatchNormalization(synchronized=synchronized))
    assert apart(model) != synchronized
    means = on_each(model.layers[0].moving_mean)
    assert np.array_equal(*means) == synchronized
    assert np.array_equal(*on_each(model.layers[0].gamma))


def test_the_first_batch_must_divide():
    with pytest.raises(tf.errors.InvalidArgumentError, match="same size and shape"):
        trained(lambda: SGD(0.1), cuts=[0, 15, 30])


def test_a_replica_without_rows_fails_in_training():
    images = RNG.normal(size=(48, 5, 5, 1)).astype("float32")
    hidden = [lambda: layers.Conv2D(2, 3), layers.BatchNormalization, layers.Flatten]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Incompatible shapes"):
        trained(lambda: SGD(0.1), *hidden, x=images, cuts=[0, 16, 17])


def test_an_uneven_last_batch_is_evaluated_as_it_should_be():
    model = trained(lambda: SGD(0.1), metrics=["accuracy"])
    alone = network()
    alone.set_weights(model.get_weights())
    alone.compile("sgd", SPARSE, metrics=["accuracy"])
    expected = alone.evaluate(X[:45], Y[:45], verbose=0)
    received = model.evaluate(Slices(X, Y, [0, 16, 32, 42, 45]), verbose=0)
    np.testing.assert_allclose(received, expected, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 16])
def test_each_replica_gets_half_of_the_rows_rounded_up_while_there_are_some(rows):
    spec = tf.TensorSpec((None, 2))
    batches = tf.data.Dataset.from_generator(
        lambda: iter([np.zeros((rows, 2), "float32")]), output_signature=spec
    )
    (batch,) = strategy().experimental_distribute_dataset(batches)
    sizes = [len(part) for part in strategy().experimental_local_results(batch)]
    assert sizes == [-(-rows // 2), rows - -(-rows // 2)]


def test_random_layers_draw_the_same_on_every_replica():
    with strategy().scope():
        model = keras.Sequential([keras.Input((64,)), layers.Dropout(0.5, seed=3)])
    step = tf.function(lambda x: strategy().run(lambda each: model(each, training=True), (x,)))
    first, second = strategy().experimental_local_results(step(tf.ones((1, 64))))
    assert np.array_equal(first, second)
