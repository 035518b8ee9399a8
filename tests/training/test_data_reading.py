"""Data: the order of the examples, what stays in memory, and what is fed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mothernets import DataError
from keras_mothernets.training.data import ArraySource, ReorderedBatches, read_data
from keras_mothernets.training.data.arrays import describe_array

X = np.arange(20, dtype="uint8").reshape(10, 2)
Y = np.arange(10)


def fed(batches, epoch=0):
    if hasattr(batches, "begin_epoch"):
        batches.begin_epoch(epoch)
    return np.concatenate([batches[index][1] for index in range(len(batches))])


def test_each_epoch_and_each_seed_has_an_order_of_its_own():
    source = ArraySource(X, Y)
    orders = [tuple(fed(source.batches(4, seed), epoch)) for seed in (1, 2) for epoch in (0, 1, 2)]
    assert len(set(orders)) == 6
    assert all(sorted(order) == list(Y) for order in orders)


def test_an_order_is_the_same_again_with_the_same_seed_and_epoch():
    source = ArraySource(X, Y)
    np.testing.assert_array_equal(fed(source.batches(4, 1), 5), fed(source.batches(3, 1), 5))


def test_without_a_seed_the_order_is_kept():
    np.testing.assert_array_equal(fed(ArraySource(X, Y).batches(4), 3), Y)


def test_rows_stay_together():
    batches = ArraySource(X, Y, np.arange(10) * 2.0).batches(4, 1)
    for x, y, weight in (batches[index] for index in range(len(batches))):
        np.testing.assert_array_equal(x[:, 0], 2 * y)
        np.testing.assert_array_equal(weight, 2 * y)


def test_bytes_stay_bytes_and_nothing_is_copied():
    data = read_data(X, Y)
    assert data.train.x is X
    assert data.train.batches(4)[0][0].dtype == np.uint8


def test_doubles_become_keras_floats_in_the_batch_only():
    data = read_data(X.astype("float64"), Y)
    assert data.train.x.dtype == np.float64
    assert data.train.batches(4)[0][0].dtype == np.float32


def test_nests_are_fed_as_nests_of_tuples():
    data = read_data({"a": X, "b": X}, [Y, Y + 1])
    x, y = data.train.batches(4)[0]
    assert set(x) == {"a", "b"}
    assert isinstance(y, tuple)
    np.testing.assert_array_equal(y[1], y[0] + 1)


def test_one_sample_weight_counts_for_every_output():
    weight = np.arange(10.0)
    data = read_data(X, {"a": Y, "b": Y}, sample_weight=weight)
    assert data.train.sample_weight["a"] is data.train.sample_weight["b"]


@pytest.mark.parametrize("labels", [Y % 3, (Y % 3)[:, None], np.eye(3)[Y % 3]])
def test_class_weights_are_those_of_keras(labels):
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    weights = {0: 0.5, 2: 3.0}
    ours = read_data(X, labels, class_weight=weights).train.sample_weight
    np.testing.assert_array_equal(ours, class_weight_to_sample_weights(labels, weights))


def test_validation_split_takes_the_end():
    data = read_data(X, Y, validation_split=0.3)
    np.testing.assert_array_equal(data.train.y, Y[:7])
    np.testing.assert_array_equal(data.validation.y, Y[7:])


def test_a_sample_is_drawn_from_everywhere_and_is_the_same_again():
    source = ArraySource(np.arange(10_000), None)
    sample = source.sample(100)
    assert len(set(sample)) == 100
    assert sample.max() > 8000
    np.testing.assert_array_equal(sample, source.sample(100))


def test_samples_of_streams_join_batches():
    data = read_data(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4))
    np.testing.assert_array_equal(data.train.sample(6), X[:6])
    assert data.steps(None) == 3


@pytest.mark.parametrize("change", ["value", "dtype", "shape", "order"])
def test_the_fingerprint_tells_arrays_apart(change):
    array = np.arange(12, dtype="int32")
    other = {
        "value": np.where(array == 5, 99, array).astype("int32"),
        "dtype": array.astype("int64"),
        "shape": array.reshape(6, 2),
        "order": array[::-1],
    }[change]
    assert describe_array(array) != describe_array(other)
    assert describe_array(array) == describe_array(array.copy())


def test_a_large_array_is_hashed_by_samples_that_reach_its_end():
    array = np.zeros((50_000, 3), "uint8")
    other = array.copy()
    other[-1] = 1
    assert describe_array(array) != describe_array(other)


class Batches(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]


def test_batches_of_a_py_dataset_are_reordered_by_seed_and_epoch():
    batches = read_data(Batches()).train.batches(None, seed=1)
    assert isinstance(batches, ReorderedBatches)
    orders = [tuple(fed(batches, epoch)) for epoch in range(4)]
    assert len(set(orders)) > 1
    assert all(sorted(order) == list(Y) for order in orders)


def test_a_generator_is_refused_because_it_can_be_read_once():
    with pytest.raises(DataError, match="generator"):
        read_data(batch for batch in [(X, Y)])
