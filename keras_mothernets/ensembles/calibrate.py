"""A classifier, or an ensemble of them, made as sure as it may be."""

from __future__ import annotations

from typing import Any

import keras

from keras_mothernets.ensembles.combine import combine
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.task import Task
from keras_mothernets.ensembles.temperature import SMALLEST, fit_temperature
from keras_mothernets.member import Member, as_model


def calibrate(
    model: keras.Model | Member,
    x: Any,
    y: Any = None,
    *,
    logits: Any = None,
    name: str = "calibrated",
) -> keras.Model:
    """A model whose probabilities are scaled by the temperature that fits held-out data.

    The named classes stay the same, and with them the accuracy. To calibrate an ensemble give
    what `km.combine` returns: an average of calibrated members is itself not calibrated.

    Args:
        model: A built classifier with one output, of softmax or of one sigmoid.
        x: Held-out inputs: arrays, a `tf.data.Dataset` or a `PyDataset`.
        y: Their labels: class numbers or one-hot rows.
        logits: Whether the model gives logits; as in `km.combine`.
        name: Name of the new model.

    Returns:
        A new, built, uncompiled model of stock Keras layers and operations that gives
        probabilities. The model given stays as it is.

    Raises:
        MotherNetsError: The model is no such classifier, or the data cannot be used.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> x = keras.random.normal((6, 4), seed=0)
        >>> calibrated = calibrate(model, x, keras.ops.convert_to_tensor([0, 1, 2, 0, 1, 2]))
        >>> calibrated.output_shape
        (None, 3)

    Source:
        Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017, section
        4.2. That an ensemble is calibrated after averaging: Rahaman & Thiery, Uncertainty
        Quantification and Deep Ensembles, 2021.
    """
    is_told = as_model(model).compiled
    predictions = Predictions.of(
        [model], x, y, logits=logits, task=None if is_told else Task.CLASSES.value
    )
    predictions.need(Task.CLASSES, "calibrate")
    temperature = fit_temperature(predictions.values[0], predictions.labels)
    plain = combine([model], logits=logits, name=name)
    [probabilities] = keras.tree.flatten(plain.output)
    calibrated = _scaled(probabilities, temperature)
    packed = keras.tree.pack_sequence_as(plain.output, [calibrated])
    return keras.Model(plain.input, packed, name=name)


def _scaled(probabilities: Any, temperature: float) -> Any:
    ops = keras.ops
    logits = ops.log(ops.maximum(probabilities, SMALLEST))
    if probabilities.shape[-1] > 1:
        return ops.softmax(logits / temperature, axis=-1)
    logits = logits - ops.log(ops.maximum(1.0 - probabilities, SMALLEST))
    return ops.sigmoid(logits / temperature)
