"""Rules of attention and einsums: hatching is exact, and what cannot be exact is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from grown import DIFFERENT, EXACT, Pick, check_growth
from keras import layers, ops
from networks import floats, randomise

from keras_mothernets import SurgeryError, can_hatch, hatch, max_deviation, mothernet
from keras_mothernets.rules import attention

Body = Callable[[Any, Pick], Any]
SEQUENCE = (5, 3)


def head(x: Any) -> Any:
    """Read all numbers, each with weights of its own."""
    return layers.Dense(3)(layers.Flatten()(x) if len(x.shape) > 2 else x)


def stream(x: Any, w: Pick) -> Any:
    return layers.Dense(w(3, 5), activation="tanh")(x)


def heads(**settings: Any) -> Body:
    """Self-attention on a stream that widens; settings are pairs for mother and member."""

    def body(x: Any, w: Pick) -> Any:
        given = {"num_heads": (2, 2), "key_dim": (2, 2), **settings}
        chosen = {key: w(*pair) for key, pair in given.items()}
        x = stream(x, w)
        return head(layers.MultiHeadAttention(**chosen)(x, x))

    return body


def groups(**settings: Any) -> Body:
    def body(x: Any, w: Pick) -> Any:
        given = {
            "head_dim": (2, 2), "num_query_heads": (4, 4), "num_key_value_heads": (2, 2), **settings
        }  # fmt: skip
        x = stream(x, w)
        return head(layers.GroupQueryAttention(**{k: w(*pair) for k, pair in given.items()})(x, x))

    return body


def three_sources(x: Any, w: Pick) -> Any:
    query, key, value = (layers.Dense(w(n, n + 2), activation="tanh")(x) for n in (2, 3, 4))
    attend = layers.MultiHeadAttention(w(2, 3), w(3, 5), value_dim=w(2, 4))
    return head(attend(query, key=key, value=value))


def scores_given(x: Any, w: Pick) -> Any:
    x = stream(x, w)
    attend = layers.MultiHeadAttention(w(2, 3), w(2, 3))
    y, scores = attend(x, x, return_attention_scores=True)
    return layers.Add()([head(y), head(scores)])


def causal(x: Any, w: Pick) -> Any:
    x = stream(x, w)
    return head(layers.MultiHeadAttention(w(2, 3), w(2, 3))(x, x, use_causal_mask=True))


def on_images(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(2, 4), activation="tanh")(x)
    return head(layers.MultiHeadAttention(w(1, 3), w(2, 3), attention_axes=(2,))(x, x))


def several_axes_made(x: Any, w: Pick) -> Any:
    x = stream(x, w)
    return head(layers.MultiHeadAttention(2, w(2, 3), output_shape=(w(2, 4), w(3, 4)))(x, x))


def additive(x: Any, w: Pick) -> Any:
    query, key = (layers.Dense(w(3, 6), activation=name)(x) for name in ("tanh", "gelu"))
    return head(layers.AdditiveAttention()([query, layers.Dense(w(2, 3))(x), key]))


def dot_product_with_a_wider_value(x: Any, w: Pick) -> Any:
    query, value = layers.Dense(3)(x), layers.Dense(w(2, 5), activation="tanh")(x)
    return head(layers.Attention(use_scale=True)([query, value, query]))


def dot(x: Any, w: Pick) -> Any:
    return head(layers.Dot(axes=1)([stream(x, w), layers.Dense(w(2, 3))(x)]))


def einsum(equation: str, shape: Pick, bias_axes: str | None = None) -> Body:
    def body(x: Any, w: Pick) -> Any:
        x = layers.Dense(w(2, 5), activation="tanh")(x)
        return head(layers.EinsumDense(equation, shape(w), bias_axes=bias_axes)(x))

    return body


def einsum_there_and_back(x: Any, w: Pick) -> Any:
    x = stream(x, w)
    x = layers.EinsumDense(
        "abc,cde->abde", (5, w(2, 3), w(2, 5)), activation="gelu", bias_axes="de"
    )(x)
    return head(layers.EinsumDense("abde,dec->abc", (5, w(3, 4)), bias_axes="c")(x))


def einsum_bias_in_the_member(x: Any, w: Pick) -> Any:
    return head(layers.EinsumDense("...x,xy->...y", w(3, 5), bias_axes=w(None, "y"))(x))


def first_token(x: Any, w: Pick) -> Any:
    return head(stream(x, w)[:, 0])


def every_second_token(x: Any, w: Pick) -> Any:
    return head(stream(x, w)[:, 1::2, None, :])


def transposed(x: Any, w: Pick) -> Any:
    return head(layers.Dense(w(2, 3))(ops.transpose(stream(x, w), (0, 2, 1))))


ROWS: dict[str, tuple[Any, Body]] = {
    "stream_alone": (SEQUENCE, heads()),
    "more_heads": (SEQUENCE, heads(num_heads=(2, 5))),
    "larger_keys": (SEQUENCE, heads(key_dim=(2, 5), value_dim=(3, 3))),
    "larger_values": (SEQUENCE, heads(value_dim=(2, 5))),
    "all_at_once": (SEQUENCE, heads(num_heads=(1, 3), key_dim=(3, 4))),
    "bias_in_the_member": (SEQUENCE, heads(use_bias=(False, True), key_dim=(2, 3))),
    "no_bias": (SEQUENCE, heads(use_bias=(False, False), key_dim=(2, 3))),
    "gated": (SEQUENCE, heads(use_gate=(True, True), num_heads=(2, 3), key_dim=(2, 3))),
    "windowed": (SEQUENCE, heads(sliding_window=(2, 2), num_heads=(2, 3))),
    "any_length": ((None, 3), lambda x, w: layers.GlobalAveragePooling1D()(
        layers.Dense(2)(layers.MultiHeadAttention(w(2, 3), w(2, 3))(x, x)))),
    "three_sources": (SEQUENCE, three_sources),
    "scores_given": (SEQUENCE, scores_given),
    "causal": (SEQUENCE, causal),
    "on_images": ((2, 3, 2), on_images),
    "several_axes_made": (SEQUENCE, several_axes_made),
    "group_query": (SEQUENCE, groups()),
    "group_query_more_groups": (
        SEQUENCE, groups(num_query_heads=(4, 10), num_key_value_heads=(2, 5))),
    "group_query_larger_groups": (SEQUENCE, groups(num_query_heads=(4, 6))),
    "group_query_larger_heads": (SEQUENCE, groups(head_dim=(2, 5), use_gate=(True, True))),
    "additive": (SEQUENCE, additive),
    "dot_product_with_a_wider_value": (SEQUENCE, dot_product_with_a_wider_value),
    "dot": (SEQUENCE, dot),
    "einsum_dense": (SEQUENCE, einsum("abc,cd->abd", lambda w: (5, w(3, 5)), "d")),
    "einsum_ellipsis": (SEQUENCE, einsum("...x,xy->...y", lambda w: w(3, 5), "y")),
    "einsum_over_time": (SEQUENCE, einsum("abc,bd->adc", lambda w: (w(3, 7), w(2, 5)), "d")),
    "einsum_per_place": (SEQUENCE, einsum("abc,bcd->abd", lambda w: (5, w(3, 5)), "bd")),
    "einsum_per_channel": (SEQUENCE, einsum("abc,c->abc", lambda w: (5, w(2, 5)))),
    "einsum_per_place_to_one": (SEQUENCE, einsum("abc,cb->ab", lambda w: (5,), "b")),
    "einsum_right_ellipsis": (SEQUENCE, einsum("ab...,bc->ac...", lambda w: w(3, 4), "c")),
    "einsum_there_and_back": (SEQUENCE, einsum_there_and_back),
    "einsum_bias_in_the_member": (SEQUENCE, einsum_bias_in_the_member),
    "first_token": (SEQUENCE, first_token),
    "every_second_token": (SEQUENCE, every_second_token),
    "transposed": (SEQUENCE, transposed),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_growth_is_exact(name: str) -> None:
    shape, body = ROWS[name]

    def make(w: Pick) -> keras.Model:
        x = keras.Input(shape)
        return keras.Model(x, body(x, w))

    check_growth(make)


def transformer(
    width: int, blocks: int, num_heads: int, key_dim: int, *, epsilon: float = 1e-6
) -> keras.Model:
    """A small pre-norm transformer on tokens, with learned positions as a second input."""
    tokens, places = keras.Input((6,), dtype="int32"), keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, width)(tokens) + layers.Embedding(6, width)(places)
    for _ in range(blocks):
        y = layers.LayerNormalization(epsilon=epsilon)(x)
        y = layers.MultiHeadAttention(num_heads, key_dim)(y, y)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        y = layers.LayerNormalization(epsilon=epsilon)(x)
        y = layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=epsilon)(x))
    return keras.Model([tokens, places], layers.Dense(3)(x))


def test_a_transformer_of_one_block_grows_into_one_of_three() -> None:
    with floats("float64"):
        mother = randomise(transformer(8, 1, 2, 4), 1)
        member = randomise(transformer(16, 3, 4, 6), 2)
        assert max_deviation(mother, member) > DIFFERENT
        for seed in range(3):
            assert max_deviation(mother, hatch(mother, member, seed=seed)) <= EXACT


def test_transformers_share_a_mother_with_a_common_divisor_as_width() -> None:
    with floats("float64"):
        members = [transformer(8, 2, 2, 4), transformer(12, 1, 3, 2)]
        mother = randomise(mothernet(members), 1)
        blocks = [layer for layer in mother.layers if "attention" in layer.name]
        assert len(blocks) == 1 and (blocks[0].num_heads, blocks[0].key_dim) == (2, 2)
        assert mother.layers[-1].kernel.shape[0] == 4
        for member in members:
            assert max_deviation(mother, hatch(mother, member)) <= EXACT


def test_a_network_of_float32_is_exact_where_no_root_is_taken() -> None:
    mother = randomise(transformer(8, 1, 2, 2), 1)
    member = transformer(16, 2, 5, 8)
    assert max_deviation(mother, hatch(mother, member)) <= EXACT


def test_an_inserted_block_learns() -> None:
    mother, member = randomise(transformer(8, 1, 2, 4), 1), transformer(16, 2, 4, 4)
    hatched = hatch(mother, member)
    attend = [layer for layer in hatched.layers if "attention" in layer.name]
    zero = [layer for layer in attend if not np.any(layer.output_dense.kernel)]
    assert len(attend) == 2 and len(zero) == 1
    hatched.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).integers(0, 6, (8, 6))
    query = np.array(zero[0].query_dense.kernel)
    hatched.fit([x, x], np.ones((8, 3)), epochs=3, verbose=0)
    assert np.abs(zero[0].output_dense.kernel).max() > 0
    assert not np.array_equal(query, zero[0].query_dense.kernel)


def attending(width: int, num_heads: int = 2, key_dim: int = 2, **settings: Any) -> keras.Model:
    x = keras.Input(SEQUENCE)
    y = layers.Dense(width)(x)
    y = layers.MultiHeadAttention(num_heads, key_dim, **settings)(y, y)
    return keras.Model(x, head(y))


def with_keyword_order(swapped: bool) -> keras.Model:
    x = keras.Input(SEQUENCE)
    query, key, value = (layers.Dense(2)(x) for _ in range(3))
    attend = layers.MultiHeadAttention(1, 2)
    y = attend(query, value, key) if swapped else attend(query, key=key, value=value)
    return keras.Model(x, head(y))


def of(body: Callable[[Any], Any]) -> keras.Model:
    x = keras.Input(SEQUENCE)
    return keras.Model(x, head(body(x)))


def pair(make: Callable[[int], Any]) -> Callable[[], tuple[keras.Model, keras.Model]]:
    return lambda: (of(lambda x: make(2)(x)), of(lambda x: make(4)(x)))


REFUSED: dict[str, tuple[Callable[[], tuple[keras.Model, keras.Model]], str]] = {
    "fewer_heads": (lambda: (attending(3, 4), attending(3, 2)), "`num_heads` shrinks from 4 to 2"),
    "another_window": (
        lambda: (attending(3, sliding_window=2), attending(3)),
        "`sliding_window` is 2 in one",
    ),
    "another_order": (
        lambda: (with_keyword_order(False), with_keyword_order(True)),
        "in different ways",
    ),
    "dot_product": (
        pair(lambda n: lambda x: layers.Attention()([layers.Dense(n)(x), layers.Dense(n)(x)])),
        "attention sums over it",
    ),
    "additive_without_scale": (
        pair(
            lambda n: lambda x: layers.AdditiveAttention(use_scale=False)([layers.Dense(n)(x)] * 2)
        ),
        "attention sums over it",
    ),
    "dot": (
        pair(lambda n: lambda x: layers.Dot(axes=2)([layers.Dense(n)(x)] * 2)),
        "Dot sums over it",
    ),
    "slice_of_channels": (
        pair(lambda n: lambda x: layers.Dense(n)(x)[..., :2]),
        "a slice takes a part of it",
    ),
    "slices_differ": (
        pair(lambda n: lambda x: layers.Dense(2)(x)[:, :n]),
        "they take different parts of a tensor",
    ),
    "bias_that_keras_adds_elsewhere": (
        pair(lambda n: lambda x: layers.EinsumDense("abc,bd->adc", (2 * n, 4), bias_axes="d")(
            layers.Dense(4)(x))),
        "Keras may add the bias of an EinsumDense along the wrong axis",
    ),
    "equations_differ": (
        lambda: (
            of(layers.EinsumDense("abc,cd->abd", (5, 2))),
            of(layers.EinsumDense("abc,bd->adc", (5, 3))),
        ),
        "`equation` is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name: str) -> None:
    make, fragment = REFUSED[name]
    mother, member = make()
    assert not can_hatch(mother, member)
    with pytest.raises(SurgeryError) as caught:
        hatch(mother, member)
    assert fragment in str(caught.value)


def test_heads_whose_scores_are_an_output_stay() -> None:
    def make(num_heads: int, key_dim: int) -> keras.Model:
        x = keras.Input(SEQUENCE)
        attend = layers.MultiHeadAttention(num_heads, key_dim, output_shape=2)
        return keras.Model(x, attend(x, x, return_attention_scores=True))

    with floats("float64"):
        mother = randomise(make(2, 2), 1)
        assert max_deviation(mother, hatch(mother, make(2, 5))) <= EXACT
    with pytest.raises(SurgeryError, match="different outputs"):
        hatch(make(2, 2), make(3, 2))


def test_a_missing_scale_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger keys without the square root: what the tests above must notice."""
    monkeypatch.setattr(attention.HeadsRule, "rebase", lambda self, mother, member, values: values)
    with floats("float64"):
        mother, member = randomise(attending(3, 2, 2), 1), attending(3, 2, 5)
        assert max_deviation(mother, hatch(mother, member)) > DIFFERENT


def test_keys_that_are_copied_but_not_shared_out_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "Split", attention.Copy)

    def make(w: Pick) -> keras.Model:
        return attending(3, 2, w(2, 3))

    with pytest.raises(AssertionError):
        check_growth(make, seeds=(0,))
