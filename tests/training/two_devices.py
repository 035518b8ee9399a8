"""Two logical CPU devices: only in a process of its own, before TensorFlow has begun."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

SPARSE = "sparse_categorical_crossentropy"


@functools.cache
def strategy():
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="module", autouse=True)
def begin_with_two_devices():
    """Import it, and both devices are there before a test begins."""
    strategy()


def on_each(variable):
    """The values of a variable on each device."""
    return [copy.numpy() for copy in strategy().experimental_local_results(variable.value)]


def apart(model):
    """Whether a replica has other weights than the first."""
    pairs = [on_each(weight) for weight in model.weights]
    assert all(len(pair) == 2 for pair in pairs)
    return any((first != second).any() for first, second in pairs)


class Slices(keras.utils.PyDataset):
    """Rows between places."""

    def __init__(self, x, y, cuts):
        super().__init__()
        self.arrays, self.cuts = (x, y), cuts

    def __len__(self):
        return len(self.cuts) - 1

    def __getitem__(self, index):
        return tuple(array[self.cuts[index] : self.cuts[index + 1]] for array in self.arrays)


def largest_difference(model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return max(float(np.abs(one - two).max()) for one, two in pairs)
