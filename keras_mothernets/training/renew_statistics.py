"""Statistics of BatchNormalizations, measured anew for weights that they lag behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_mothernets.graph import live_layers


def renew_statistics(model: keras.Model, fit_arguments: Mapping[str, Any]) -> None:
    """Replace moving means and variances by plain means over one pass of the training data.

    Each batch counts as much as any other. Dropout and augmentation are at work, as in
    training. Frozen layers keep what they have.

    Args:
        model: A trained network; its statistics are overwritten.
        fit_arguments: `x` and `steps_per_epoch`, as given to `keras.Model.fit`.
    """
    layers = [
        layer
        for layer in live_layers(model).values()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    try:
        for count, batch in enumerate(_batches(**fit_arguments)):
            for layer in layers:
                layer.momentum = count / (count + 1)
            model(keras.utils.unpack_x_y_sample_weight(batch)[0], training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _batches(x: Any, steps_per_epoch: int | None = None, **others: Any) -> Iterator[Any]:
    if isinstance(x, keras.utils.PyDataset):
        count = steps_per_epoch or x.num_batches
        return (x[index] for index in range(count))
    return itertools.islice(iter(x), steps_per_epoch)
