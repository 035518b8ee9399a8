"""Rules of recurrent layers: hatching is exact, and what cannot be exact is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from grown import EXACT, Pick, check_growth, networks
from keras import layers
from networks import floats, randomise

from keras_mothernets import SurgeryError, hatch, max_deviation, mothernet
from keras_mothernets.rules import recurrent

Body = Callable[[Any, Pick], Any]
SEQUENCE, IMAGES = (5, 3), (3, 4, 4, 2)


def head(x: Any) -> Any:
    """Read all numbers, each with weights of its own."""
    return layers.Dense(3)(layers.Flatten()(x) if len(x.shape) > 2 else x)


def before(x: Any, w: Pick) -> Any:
    return layers.Dense(w(2, 5), activation="tanh")(x)


def single(cls: Any, **settings: Any) -> Body:
    """One recurrent layer behind a layer that widens too; settings are pairs."""

    def body(x: Any, w: Pick) -> Any:
        chosen = {key: w(*pair) for key, pair in settings.items()}
        return head(cls(w(3, 7), **chosen)(before(x, w)))

    return body


def bidirectional(cls: Any, mode: str | None, sequences: bool = True, **settings: Any) -> Body:
    def body(x: Any, w: Pick) -> Any:
        inner = cls(w(3, 7), return_sequences=sequences, **settings)
        made = layers.Bidirectional(inner, merge_mode=mode)(before(x, w))
        return head(layers.Concatenate()(made) if mode is None else made)

    return body


def two_kinds_in_the_directions(x: Any, w: Pick) -> Any:
    inner = layers.LSTM(w(3, 5)), layers.GRU(w(3, 5), go_backwards=True)
    return head(layers.Bidirectional(inner[0], backward_layer=inner[1])(before(x, w)))


def states_handed_on(x: Any, w: Pick) -> Any:
    x = before(x, w)
    y, *states = layers.LSTM(w(3, 7), return_state=True, return_sequences=True)(x)
    z = layers.LSTM(w(3, 7))(y, initial_state=states)
    return head(layers.Concatenate()([z, *states]))


def states_of_both_directions_handed_on(x: Any, w: Pick) -> Any:
    x = before(x, w)
    y, *states = layers.Bidirectional(layers.GRU(w(3, 5), return_state=True))(x)
    z = layers.Bidirectional(layers.GRU(w(3, 5)))(x, initial_state=states)
    return head(layers.Concatenate()([y, z]))


def stacked(x: Any, w: Pick) -> Any:
    x = layers.GRU(w(3, 4), return_sequences=True)(x)
    return head(layers.LSTM(w(2, 5))(layers.LayerNormalization()(layers.Dense(w(2, 6))(x))))


def residual_over_time(x: Any, w: Pick) -> Any:
    x = before(x, w)
    return head(layers.Add()([x, layers.GRU(w(2, 5), return_sequences=True)(x)]))


def distributed(make: Callable[[Pick], Any]) -> Body:
    def body(x: Any, w: Pick) -> Any:
        x = layers.TimeDistributed(make(w))(layers.Dense(w(2, 5))(x))
        return head(x)

    return body


def distributed_head(x: Any, w: Pick) -> Any:
    x = layers.SimpleRNN(w(3, 6), return_sequences=True)(x)
    return layers.TimeDistributed(layers.Dense(2, activation="softmax"))(x)


def convolving(sequences: bool, cls: Any = layers.ConvLSTM2D, **settings: Any) -> Body:
    def body(x: Any, w: Pick) -> Any:
        return head(cls(w(2, 5), 3, return_sequences=sequences, **settings)(before(x, w)))

    return body


ROWS: dict[str, tuple[Any, Body]] = {
    "simple_rnn": (SEQUENCE, single(layers.SimpleRNN)),
    "simple_rnn_relu": (SEQUENCE, single(layers.SimpleRNN, activation=("relu", "relu"))),
    "gru": (SEQUENCE, single(layers.GRU)),
    "gru_reset_before": (SEQUENCE, single(layers.GRU, reset_after=(False, False))),
    "gru_bias_in_the_member": (SEQUENCE, single(layers.GRU, use_bias=(False, True))),
    "lstm": (SEQUENCE, single(layers.LSTM)),
    "lstm_backwards": (SEQUENCE, single(layers.LSTM, go_backwards=(True, True))),
    "lstm_bias_in_the_member": (SEQUENCE, single(layers.LSTM, use_bias=(False, True))),
    "lstm_recurrent_dropout": (SEQUENCE, single(layers.LSTM, recurrent_dropout=(0.0, 0.3))),
    "lstm_any_length": ((None, 3), single(layers.LSTM)),
    "lstm_states": (SEQUENCE, states_handed_on),
    "bidirectional_concat": (SEQUENCE, bidirectional(layers.LSTM, "concat")),
    "bidirectional_last": (SEQUENCE, bidirectional(layers.GRU, "concat", sequences=False)),
    "bidirectional_sum": (SEQUENCE, bidirectional(layers.GRU, "sum")),
    "bidirectional_ave": (SEQUENCE, bidirectional(layers.SimpleRNN, "ave")),
    "bidirectional_mul": (SEQUENCE, bidirectional(layers.LSTM, "mul", use_bias=False)),
    "bidirectional_none": (SEQUENCE, bidirectional(layers.GRU, None)),
    "bidirectional_two_kinds": (SEQUENCE, two_kinds_in_the_directions),
    "bidirectional_states": (SEQUENCE, states_of_both_directions_handed_on),
    "stacked": (SEQUENCE, stacked),
    "residual": (SEQUENCE, residual_over_time),
    "distributed_dense": (SEQUENCE, distributed(lambda w: layers.Dense(w(3, 4), "tanh"))),
    "distributed_conv": (
        IMAGES,
        distributed(lambda w: layers.Conv2D(w(2, 3), w(1, 3), padding="same", activation="silu")),
    ),
    "distributed_norm": (SEQUENCE, distributed(lambda w: layers.BatchNormalization())),
    "distributed_pooling": (IMAGES, distributed(lambda w: layers.GlobalAveragePooling2D())),
    "distributed_head": (SEQUENCE, distributed_head),
    "conv_lstm1d": ((3, 6, 2), convolving(True, layers.ConvLSTM1D, strides=2)),
    "conv_lstm2d": (IMAGES, convolving(True, padding="same")),
    "conv_lstm2d_last": (IMAGES, convolving(False)),
}


@pytest.mark.parametrize("name", ROWS)
def test_growth_is_exact(name: str) -> None:
    shape, body = ROWS[name]

    def make(w: Pick) -> keras.Model:
        x = keras.Input(shape)
        return keras.Model(x, body(x, w))

    check_growth(make)


@pytest.mark.parametrize("wrap", [False, True], ids=["gru", "bidirectional"])
def test_text_models_of_two_sizes(wrap: bool) -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input((6,), dtype="int32")
        y = layers.Embedding(11, w(3, 5), mask_zero=True)(x)
        rnn = layers.GRU(w(4, 7))
        y = layers.Bidirectional(rnn)(y) if wrap else rnn(y)
        return keras.Model(x, layers.Dense(2, "softmax")(layers.Dense(w(3, 4), "relu")(y)))

    check_growth(make)


def test_masks_are_carried_through_a_network() -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input((6,), dtype="int32")
        y = layers.Embedding(4, w(3, 5), mask_zero=True)(x)
        y = layers.TimeDistributed(layers.Dense(w(2, 5), activation="tanh"))(y)
        z = layers.LSTM(w(3, 4), return_sequences=True)(
            layers.LayerNormalization()(layers.Dense(w(2, 4))(y))
        )
        z = layers.Concatenate()([z, y])
        z = layers.Bidirectional(layers.GRU(w(2, 3)))(z)
        return keras.Model(x, layers.Dense(3)(z))

    check_growth(make)


def test_masked_steps_of_the_data_are_left_out() -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input(SEQUENCE)
        return keras.Model(x, layers.Dense(2)(layers.LSTM(w(2, 5))(layers.Masking()(x))))

    check_growth(make)


def test_a_network_of_float32_is_split_exactly() -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input(SEQUENCE)
        return keras.Model(x, single(layers.GRU)(x, w))

    mother, member = networks(make)
    assert max_deviation(mother, hatch(mother, member)) <= EXACT


def test_copies_of_a_unit_are_told_apart_by_training() -> None:
    def make(w: Pick) -> keras.Model:
        x = keras.Input(SEQUENCE)
        return keras.Model(x, layers.Dense(1)(layers.LSTM(w(1, 2))(x)))

    hatched = hatch(*networks(make))
    kernel = hatched.layers[1].get_weights()[0]
    assert np.array_equal(kernel[:, 0], kernel[:, 1])
    hatched.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, *SEQUENCE))
    hatched.fit(x, np.ones((8, 1)), epochs=2, verbose=0)
    kernel = hatched.layers[1].get_weights()[0]
    assert np.abs(kernel[:, 0] - kernel[:, 1]).max() > 1e-6


def rnn(cls: Any, units: int, **settings: Any) -> keras.Model:
    x = keras.Input(SEQUENCE)
    return keras.Model(x, layers.Dense(2)(cls(units, **settings)(x)))


def both_ways(units: int, mode: str = "concat", **settings: Any) -> keras.Model:
    x = keras.Input(SEQUENCE)
    inner = layers.Bidirectional(layers.GRU(units, **settings), merge_mode=mode)
    return keras.Model(x, layers.Dense(2)(inner(x)))


def distributed_dense(units: int, activation: str) -> keras.Model:
    x = keras.Input(SEQUENCE)
    x_out = layers.TimeDistributed(layers.Dense(units, activation=activation))(x)
    return keras.Model(x, layers.Dense(2)(x_out))


REFUSED: dict[str, tuple[Callable[[], tuple[keras.Model, keras.Model]], str]] = {
    "another_kind": (
        lambda: (rnn(layers.GRU, 2), rnn(layers.LSTM, 3)),
        "`GRU` is not `LSTM`",
    ),
    "another_activation": (
        lambda: (rnn(layers.GRU, 2, activation="relu"), rnn(layers.GRU, 3)),
        "`activation` is relu in one and tanh in the other",
    ),
    "another_reset": (
        lambda: (rnn(layers.GRU, 2, reset_after=False), rnn(layers.GRU, 3)),
        "`reset_after` is False",
    ),
    "softmax_inside": (
        lambda: tuple(rnn(layers.LSTM, n, activation="softmax") for n in (2, 3)),
        "softmax mixes the channels",
    ),
    "fewer_units": (lambda: (rnn(layers.LSTM, 4), rnn(layers.LSTM, 3)), "`units` shrinks"),
    "another_merge": (
        lambda: (both_ways(2, "sum"), both_ways(3, "ave")),
        "`merge_mode` is sum in one and ave in the other",
    ),
    "bias_in_one_direction_pair": (
        lambda: (both_ways(2, use_bias=False), both_ways(3)),
        "`use_bias` of a wrapped layer",
    ),
    "another_activation_inside": (
        lambda: (distributed_dense(2, "relu"), distributed_dense(3, "tanh")),
        "`activation` of the wrapped layer",
    ),
    "softmax_distributed": (
        lambda: (distributed_dense(2, "softmax"), distributed_dense(3, "softmax")),
        "activation mixes the channels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name: str) -> None:
    make, fragment = REFUSED[name]
    with pytest.raises(SurgeryError) as caught:
        hatch(*make())
    assert fragment in str(caught.value)


def test_stateful_layers_are_refused() -> None:
    def make(units: int) -> keras.Model:
        x = keras.Input(batch_shape=(2, *SEQUENCE))
        return keras.Model(x, layers.LSTM(units, stateful=True)(x))

    with pytest.raises(SurgeryError, match="stateful"):
        hatch(make(2), make(2))


def test_the_mother_of_two_text_models_is_built_for_its_own_widths() -> None:
    def make(width: int, units: int) -> keras.Model:
        x = keras.Input((6,), dtype="int32")
        y = layers.Embedding(11, width)(x)
        y = layers.TimeDistributed(layers.Dense(units))(y)
        return keras.Model(x, layers.Dense(2)(layers.Bidirectional(layers.LSTM(4))(y)))

    with floats("float64"):
        members = [make(3, 6), make(5, 4)]
        mother = randomise(mothernet(members), 1)
        for member in members:
            assert max_deviation(mother, hatch(mother, member)) <= EXACT


def test_a_wrong_order_of_gates_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns read as units by gates, not gates by units: what the tests above must notice."""
    product = recurrent.Product
    monkeypatch.setattr(recurrent, "Product", lambda factors: product(factors[::-1]))

    def make(w: Pick) -> keras.Model:
        x = keras.Input(SEQUENCE)
        return keras.Model(x, single(layers.LSTM)(x, w))

    with pytest.raises(AssertionError):
        check_growth(make, seeds=(0,))
