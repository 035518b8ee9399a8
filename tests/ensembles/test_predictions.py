"""Predictions: what networks say, read once, and what is refused."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mothernets import DataError, MotherNetsError, Predictions, combine, super_learner
from keras_mothernets.ensembles.task import Task

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype("float32")
Y = RNG.integers(3, size=300)


def networks(units=3, activation="softmax", count=2, loss=None):
    models = [
        keras.Sequential([keras.Input((4,)), L.Dense(units, activation)], name=f"net{number}")
        for number in range(count)
    ]
    for model in models:
        if loss is not None:
            model.compile(loss=loss)
    return models


def direct(models, x=X):
    return np.stack([keras.ops.convert_to_numpy(model(x)) for model in models])


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_several_networks_are_no_reason_to_warn_of_tracing(caplog, monkeypatch):
    """TensorFlow says it twice in a process, so that only what it would say can be tested."""
    predict = keras.Model.predict

    def talkative(self, *args, **kwargs):
        tf.get_logger().warning("5 out of the last 5 calls triggered tf.function retracing")
        tf.get_logger().warning("something else")
        return predict(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "predict", talkative)
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    caplog.set_level(logging.WARNING, logger="tensorflow")  # the console command asks for less
    Predictions.of(networks(), X, Y)
    assert [record.message for record in caplog.records] == ["something else"] * 2
    networks()[0].predict(X, verbose=0)
    assert "retracing" in caplog.text


def test_each_member_says_what_it_says_alone():
    models = networks()
    predictions = Predictions.of(models, X, Y)
    np.testing.assert_allclose(predictions.values, direct(models), atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, Y)
    np.testing.assert_allclose(predictions.values.sum(-1), 1, atol=1e-14)
    assert predictions.names == ("net0", "net1")
    assert predictions.task is Task.CLASSES


@pytest.mark.parametrize("labels", [Y[:, None], np.eye(3)[Y], Y.astype("float32")])
def test_all_forms_of_labels_are_the_same_classes(labels):
    np.testing.assert_array_equal(Predictions.of(networks(), X, labels).labels, Y)


def test_a_shuffled_data_set_keeps_inputs_and_labels_together():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(300, seed=1).batch(64)
    models = networks()
    streamed, plain = Predictions.of(models, data), Predictions.of(models, X, Y)
    assert not np.array_equal(streamed.labels, Y)
    order = np.lexsort(plain.values[0].T)
    order_streamed = np.lexsort(streamed.values[0].T)
    np.testing.assert_array_equal(streamed.labels[order_streamed], plain.labels[order])
    np.testing.assert_allclose(
        streamed.values[:, order_streamed], plain.values[:, order], atol=1e-6
    )


def test_every_member_is_read_once_in_one_pass():
    passes = []

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            passes.append(index)
            return X[index * 100 : index * 100 + 100], Y[index * 100 : index * 100 + 100]

    Predictions.of(networks(count=3), Batches())
    assert passes[-3:] == [0, 1, 2]
    assert len(passes) < 3 * 3  # one pass, and a look at the first batch


def test_logits_are_probabilities_in_double_precision():
    models = networks(activation=None)
    for model in models:
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = Predictions.of(models, 40 * X, Y).values
    np.testing.assert_allclose(found, softmax(direct(models, 40 * X).astype(float)), rtol=1e-3)
    assert found.min() < 1e-30


@pytest.mark.parametrize(
    ("activation", "logits", "loss"),
    [
        ("sigmoid", None, None),
        ("sigmoid", None, "binary_crossentropy"),
        (None, True, None),
        (None, None, keras.losses.BinaryCrossentropy(from_logits=True)),
    ],
)
def test_one_unit_is_no_and_yes(activation, logits, loss):
    models = networks(1, activation, loss=loss)
    labels = Y % 2
    predictions = Predictions.of(models, X, labels[:, None], logits=logits)
    yes = direct(models)[..., 0]
    yes = yes if activation else 1 / (1 + np.exp(-yes))
    np.testing.assert_allclose(predictions.values, np.stack([1 - yes, yes], -1), atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, labels)


@pytest.mark.parametrize("loss", [None, "mse"])
def test_a_regression_stays_as_it_is(loss):
    models = networks(2, None, loss=loss)
    y = RNG.normal(size=(300, 2))
    predictions = Predictions.of(models, X, y)
    assert predictions.task is Task.NUMBERS
    np.testing.assert_allclose(predictions.values, direct(models), atol=1e-5)
    np.testing.assert_array_equal(predictions.labels, y)


def test_a_sigmoid_trained_on_squared_errors_is_a_regression():
    assert Predictions.of(networks(1, "sigmoid", loss="mse"), X, Y / 2).task is Task.NUMBERS


def test_a_task_can_be_said():
    """An average of sigmoids has neither a loss nor a last activation."""
    ensemble = combine(networks(1, "sigmoid"))
    labels = Y % 2
    assert Predictions.of([ensemble], X, labels).task is Task.NUMBERS
    said = Predictions.of([ensemble], X, labels, task="classification")
    assert said.values.shape == (1, 300, 2)
    with pytest.raises(MotherNetsError, match="'votes'"):
        Predictions.of([ensemble], X, labels, task="votes")


def two_outputs():
    x = keras.Input((4,))
    return [keras.Model(x, [L.Dense(3)(x), L.Dense(1)(x)], name="fork")]


def rows_of_numbers():
    return [keras.Sequential([keras.Input((5, 4)), L.Dense(3, "softmax")], name="rows")]


def nan_network():
    models = networks()
    models[1].set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    return models


def with_nan(array):
    array = array.astype(float)
    array[7] = np.nan
    return array


REFUSED = {
    "no members": (lambda: ([], X, Y), "at least one member"),
    "one model": (lambda: (networks()[0], X, Y), "list of models"),
    "unequal heads": (lambda: ([*networks(3), *networks(2)], X, Y), "other output shapes"),
    "several outputs": (lambda: (two_outputs(), X, Y), "`fork` has several outputs"),
    "rows": (lambda: (rows_of_numbers(), np.ones((3, 5, 4)), Y[:3]), "(None, 5, 3)"),
    "yes or no each": (lambda: (networks(3, "sigmoid"), X, np.eye(3)[Y]), "3 independent units"),
    "one softmax": (lambda: (networks(1), X, Y), "softmax of a single unit"),
    "two tasks": (
        lambda: (
            [
                *networks(1, "sigmoid", loss="binary_crossentropy"),
                *networks(1, None, loss="mse"),
            ],
            X,
            Y % 2,
        ),
        "another task",
    ),
    "no labels": (lambda: (networks(), X, None), "`y` is missing"),
    "no data": (lambda: (networks(), None, None), "`x` is missing"),
    "empty": (lambda: (networks(), X[:0], Y[:0]), "`x` is empty"),
    "lengths": (lambda: (networks(), X, Y[:5]), "300 and 5 rows"),
    "inputs": (lambda: (networks(), X[:, :3], Y), "`net0`: `x` does not match"),
    "label too large": (lambda: (networks(), X, Y + 1), "1 to 3"),
    "label below zero": (lambda: (networks(), X, Y - 1), "-1 to 1"),
    "binary label": (lambda: (networks(1, "sigmoid"), X, Y), "class numbers 0 to 1"),
    "label between": (lambda: (networks(), X, Y / 2), "whole class numbers"),
    "soft labels": (lambda: (networks(), X, np.full((300, 3), 1 / 3)), "not one-hot"),
    "label shape": (lambda: (networks(), X, np.eye(4)[Y]), "(300, 4)"),
    "label NaN": (lambda: (networks(), X, with_nan(Y)), "NaN or infinite values"),
    "words": (lambda: (networks(), X, Y.astype(str)), "must hold numbers"),
    "prediction NaN": (lambda: (nan_network(), X, Y), "`net1` predicts NaN"),
    "hidden logits": (lambda: (networks(3, None), X, Y), "`logits=True`"),
    "target shape": (lambda: (networks(3, None), X, np.ones((300, 2))), "(examples, 3)"),
    "endless": (
        lambda: (networks(), tf.data.Dataset.from_tensors((X, Y)).repeat(), None),
        "no end",
    ),
    "weighted": (
        lambda: (networks(), tf.data.Dataset.from_tensors((X, Y, np.ones(300))), None),
        "sample weights",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence(case):
    make, fragment = REFUSED[case]
    with pytest.raises(MotherNetsError) as caught:
        Predictions.of(*make())
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


ARRAYS = {
    "no members": (([], [0]), "at least one member"),
    "members differ": (([np.ones((2, 1)), np.ones((3, 1))], [0, 0]), "do not match"),
    "rank": ((np.ones((1, 2, 2, 2)), [0, 0]), "shape (examples, units)"),
    "lengths": (([[0.5, 0.5]], [0, 1, 1]), "2 and 3 rows"),
    "no probabilities": (([[[0.9, 0.4]]], [0]), "rows that sum to 1.3"),
    "below zero": (([[[1.5, -0.5]]], [0]), "-0.5 to 1.5"),
    "NaN": (([[0.5, np.nan]], [0, 1]), "for example 1"),
    "names": (([[0.5]], [0], ["a", "b"]), "1 names"),
    "words": (([["a"]], [0]), "does not predict numbers"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_cannot_be_used_are_refused(case):
    arguments, fragment = ARRAYS[case]
    with pytest.raises(MotherNetsError) as caught:
        Predictions.of_classes(*arguments)
    assert fragment in str(caught.value)


def test_labels_are_checked_before_any_member_predicts(monkeypatch):
    def predict(*arguments, **keywords):
        raise AssertionError("predicted first")

    models = networks()
    monkeypatch.setattr(keras.Model, "predict", predict)
    with pytest.raises(DataError, match="out of range"):
        Predictions.of(models, X, Y + 1)


def test_data_next_to_predictions_are_refused():
    predictions = Predictions.of(networks(), X, Y)
    with pytest.raises(MotherNetsError, match="`y` was given next to predictions"):
        super_learner(predictions, y=Y)
