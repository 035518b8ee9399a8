"""The data of a run: read once, checked at the door, fed to every job in an order of its own."""

from keras_mothernets.training.data.arrays import ArrayBatches, ArraySource
from keras_mothernets.training.data.checks import check_arrays, check_network
from keras_mothernets.training.data.read import TrainingData, read_data
from keras_mothernets.training.data.streams import ReorderedBatches, StreamSource

__all__ = [
    "ArrayBatches",
    "ArraySource",
    "ReorderedBatches",
    "StreamSource",
    "TrainingData",
    "check_arrays",
    "check_network",
    "read_data",
]
