"""The table of the battery: for each rule, a mother and a larger member.

A row is a function that builds one of the two networks. Its argument `w` gives
the first of two values for the mother and the second for the member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from networks import PAIRED, activate, randomise

from keras_mothernets.rules import ElementwiseRule, register_rule

Pick = Callable[[Any, Any], Any]
Body = Callable[[Any, Pick], Any]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        name: What is tested, as the test's id.
        make: Builds the mother or the member.
        copies: Whether the member holds copies of the mother's channels.
        inserts: Whether the member has layers that the mother lacks.
        random: Whether training draws random numbers (dropout, augmentation).
        stored: Largest deviation where float32 can only store rounded weights.
        double: Whether TensorFlow can compute it in float64.
    """

    name: str
    make: Callable[[Pick, str], keras.Model]
    copies: bool = True
    inserts: bool = False
    random: bool = False
    stored: float = 1e-10
    double: bool = True

    def mother(self) -> keras.Model:
        return randomise(self.make(lambda mother, member: mother, "mother"), 1)

    def member(self) -> keras.Model:
        return randomise(self.make(lambda mother, member: member, "member"), 2)


CASES: dict[str, Case] = {}


def case(shape: Any, *, dtype: str | None = None, name: str = "", **flags: Any) -> Any:
    """Register a row whose body computes the outputs from an input of `shape`."""

    def register(body: Body) -> Body:
        def make(w: Pick, model_name: str) -> keras.Model:
            x = keras.Input(shape, dtype=dtype)
            return keras.Model(x, body(x, w), name=model_name)

        return add(name or body.__name__, make, body, **flags)

    return register


def add(name: str, make: Callable[[Pick, str], keras.Model], body: Any, **flags: Any) -> Any:
    assert name not in CASES
    CASES[name] = Case(name, make, **flags)
    return body


IMAGE, SEQUENCE, VECTOR, VOLUME = (8, 8, 3), (9, 3), (5,), (4, 5, 4, 2)


def head(x: Any) -> Any:
    """Read all numbers, each with weights of its own, so that nothing can be mixed up unseen."""
    if len(x.shape) > 2:
        x = layers.Flatten()(x)
    return layers.Dense(3)(x)


# --- Dense -----------------------------------------------------------------------------------


@case(VECTOR)
def dense_on_vectors(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 7), activation="tanh")(x)
    return head(layers.Dense(w(4, 5), activation="gelu")(x))


@case(SEQUENCE)
def dense_on_sequences(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 7), activation="tanh")(x)
    return layers.Dense(2)(layers.Dense(w(4, 5))(x))


@case((2, 4, 3))
def dense_on_images(x: Any, w: Pick) -> Any:
    return head(layers.Dense(w(4, 6), activation="silu")(layers.Dense(w(2, 5))(x)))


@case(VECTOR)
def dense_with_bias_in_the_member_alone(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 7), use_bias=w(False, True), activation="tanh")(x)
    return layers.Dense(3, use_bias=w(False, True))(x)


@case(VECTOR, copies=False)
def dense_of_equal_width(x: Any, w: Pick) -> Any:
    return head(layers.Dense(4, activation="tanh")(x))


@case(VECTOR, copies=False)
def softmax_that_pins_its_channels(x: Any, w: Pick) -> Any:
    return head(layers.Dense(4, activation="softmax")(x))


@case(VECTOR)
def softmax_at_the_output(x: Any, w: Pick) -> Any:
    return layers.Dense(3, activation="softmax")(layers.Dense(w(3, 5), activation="tanh")(x))


@case((None, 3))
def dense_on_sequences_of_any_length(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 7), activation="tanh")(x)
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(x))


# --- Convolutions ----------------------------------------------------------------------------


def convolution(name: str, shape: Any, make: Callable[[Pick], Any], **flags: Any) -> None:
    """A row with one layer of a kind between two pointwise ones, so that both its sides widen."""

    def body(x: Any, w: Pick) -> Any:
        x = layers.Dense(w(2, 3))(x)
        return head(layers.Activation("tanh")(make(w)(x)))

    case(shape, name=name, **flags)(body)


_same = {"padding": "same"}
for _name, _shape, _make in [
    ("conv1d_same", SEQUENCE, lambda w: layers.Conv1D(w(3, 5), w(3, 5), **_same)),
    ("conv1d_causal", SEQUENCE, lambda w: layers.Conv1D(w(3, 4), w(2, 5), padding="causal")),
    (
        "conv1d_causal_dilated_strided",
        SEQUENCE,
        lambda w: layers.Conv1D(w(3, 4), w(1, 4), padding="causal", dilation_rate=2),
    ),
    ("conv1d_valid", SEQUENCE, lambda w: layers.Conv1D(w(3, 4), 3)),
    (
        "conv1d_dilated",
        SEQUENCE,
        lambda w: layers.Conv1D(w(3, 4), w(3, 5), dilation_rate=2, **_same),
    ),
    ("conv1d_even_to_odd", SEQUENCE, lambda w: layers.Conv1D(w(3, 4), w(2, 3), **_same)),
    ("conv1d_odd_to_even", SEQUENCE, lambda w: layers.Conv1D(w(3, 4), w(3, 6), **_same)),
    ("conv2d_same", IMAGE, lambda w: layers.Conv2D(w(3, 5), w(3, 5), **_same)),
    ("conv2d_strided", IMAGE, lambda w: layers.Conv2D(w(3, 4), w(3, 5), strides=2, **_same)),
    ("conv2d_strided_even", IMAGE, lambda w: layers.Conv2D(w(3, 4), w(2, 3), strides=2, **_same)),
    (
        "conv2d_1_to_3_stride_2",
        IMAGE,
        lambda w: layers.Conv2D(w(3, 4), w(1, 3), strides=2, **_same),
    ),
    (
        "conv2d_1_to_3_stride_2_odd",
        (7, 7, 2),
        lambda w: layers.Conv2D(w(3, 4), w(1, 3), strides=2, **_same),
    ),
    ("conv2d_stride_3", (7, 8, 2), lambda w: layers.Conv2D(w(3, 4), w(1, 4), strides=3, **_same)),
    (
        "conv2d_unequal_strides",
        IMAGE,
        lambda w: layers.Conv2D(w(3, 4), w((1, 2), (3, 5)), strides=(1, 2), **_same),
    ),
    ("conv2d_dilated", IMAGE, lambda w: layers.Conv2D(w(3, 4), w(3, 5), dilation_rate=2, **_same)),
    ("conv2d_not_square", IMAGE, lambda w: layers.Conv2D(w(3, 4), w((1, 3), (3, 5)), **_same)),
    ("conv2d_valid_strided", IMAGE, lambda w: layers.Conv2D(w(3, 4), 3, strides=2)),
    ("conv3d", VOLUME, lambda w: layers.Conv3D(w(2, 3), w(1, 3), **_same)),
    (
        "depthwise2d",
        IMAGE,
        lambda w: layers.DepthwiseConv2D(w(3, 5), depth_multiplier=w(1, 3), **_same),
    ),
    (
        "depthwise2d_more_multiplier",
        IMAGE,
        lambda w: layers.DepthwiseConv2D(3, depth_multiplier=w(2, 3), strides=2, **_same),
    ),
    (
        "depthwise1d",
        SEQUENCE,
        lambda w: layers.DepthwiseConv1D(w(2, 4), depth_multiplier=w(2, 5), **_same),
    ),
    (
        "separable2d",
        IMAGE,
        lambda w: layers.SeparableConv2D(w(3, 5), w(3, 5), depth_multiplier=w(1, 2), **_same),
    ),
    (
        "separable2d_strided",
        IMAGE,
        lambda w: layers.SeparableConv2D(
            w(3, 5), w(2, 4), strides=2, depth_multiplier=w(2, 3), use_bias=w(False, True), **_same
        ),
    ),
    ("separable1d", SEQUENCE, lambda w: layers.SeparableConv1D(w(3, 5), w(1, 3), **_same)),
    (
        "transposed1d",
        SEQUENCE,
        lambda w: layers.Conv1DTranspose(w(3, 4), w(2, 4), strides=2, **_same),
    ),
    ("transposed2d", IMAGE, lambda w: layers.Conv2DTranspose(w(3, 5), w(3, 5), strides=2, **_same)),
    ("transposed2d_stride_1", IMAGE, lambda w: layers.Conv2DTranspose(w(3, 4), w(2, 3), **_same)),
    (
        "transposed2d_valid",
        (4, 4, 2),
        lambda w: layers.Conv2DTranspose(w(3, 4), w(1, 3), strides=3),
    ),
    (
        "transposed2d_1_to_3_stride_2",
        (4, 4, 2),
        lambda w: layers.Conv2DTranspose(w(3, 4), w(1, 3), strides=2, **_same),
    ),
    (
        "transposed3d",
        VOLUME,
        lambda w: layers.Conv3DTranspose(w(2, 3), w(1, 3), strides=2, **_same),
    ),
]:
    convolution(_name, _shape, _make)


@case((6, 6, 4))
def conv2d_grouped_between_wider_layers(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(4, 3, groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 4))
def conv2d_grouped_with_a_larger_kernel(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(6, w(3, 5), groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def conv2d_of_wider_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(4, 10), 1, activation="tanh")(x)
    x = layers.Conv2D(w(6, 10), w(1, 3), groups=2, padding="same", activation="tanh")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(w(4, 8), 3, groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def conv2d_of_more_and_wider_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(4, 15), 1, activation="tanh")(x)
    x = layers.Conv2D(w(6, 20), 3, groups=w(2, 5), padding="same", activation="tanh")(x)
    x = layers.Conv2D(w(2, 10), 3, groups=w(2, 5), padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def conv2d_of_groups_within_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(8, 20), 1, activation="tanh")(x)
    x = layers.Conv2D(w(8, 12), 3, groups=4, padding="same", activation="tanh")(x)
    x = layers.Conv2D(w(4, 6), 3, groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((8, 3))
def conv1d_of_more_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv1D(w(4, 6), 3, padding="causal", activation="tanh")(x)
    x = layers.Conv1D(w(6, 9), 3, groups=w(2, 3), padding="causal", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case(VOLUME)
def conv3d_of_wider_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv3D(w(4, 6), 1, activation="tanh")(x)
    x = layers.Conv3D(w(4, 6), 3, groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def group_normalization_of_more_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(6, 15), 3, activation="tanh")(x)
    x = layers.GroupNormalization(w(2, 5))(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def group_normalization_of_more_and_wider_groups(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(6, 30), 3, activation="tanh")(x)
    x = layers.GroupNormalization(w(2, 5))(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def group_normalization_finer_than_a_grouped_convolution(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(8, 16), 3, activation="tanh")(x)
    x = layers.GroupNormalization(4)(x)
    x = layers.Conv2D(w(4, 6), 3, groups=2, padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((6, 6, 3))
def conv2d_with_a_group_for_every_channel(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(2, 5), 1, activation="tanh")(x)
    x = layers.Conv2D(w(2, 5), w(1, 3), groups=w(2, 5), padding="same", activation="tanh")(x)
    x = layers.Conv2D(w(4, 15), 3, groups=w(2, 5), padding="same", activation="tanh")(x)
    return head(layers.Dense(w(2, 4))(x))


@case((None, None, 3))
def conv2d_on_images_of_any_size(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 4), w(3, 5), padding="same", activation="tanh")(x)
    x = layers.Conv2D(w(3, 4), w(3, 5), padding="same", strides=2, activation="tanh")(x)
    return head(layers.GlobalAveragePooling2D()(x))


# --- Normalisation ---------------------------------------------------------------------------


def normalisation(name: str, stored: float = 1e-10, **settings: Any) -> None:
    """A row with a BatchNormalization; settings are pairs for mother and member."""

    def body(x: Any, w: Pick) -> Any:
        chosen = {key: w(*pair) for key, pair in settings.items()}
        x = layers.Conv2D(w(3, 5), 3, padding="same")(x)
        x = layers.BatchNormalization(**chosen)(x)
        return head(layers.Activation("tanh")(x))

    case(IMAGE, name=name, stored=stored)(body)


for _scale in (True, False):
    for _center in (True, False):
        normalisation(
            f"norm_{'scale' if _scale else 'no_scale'}_{'center' if _center else 'no_center'}",
            scale=(_scale, _scale),
            center=(_center, _center),
        )
normalisation("norm_member_adds_scale_and_center", scale=(False, True), center=(False, True))
normalisation("norm_other_epsilon", stored=1e-7, epsilon=(1e-3, 1e-5))
normalisation("norm_other_momentum", momentum=(0.9, 0.99))


@case(VECTOR)
def norm_on_vectors(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 5), use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Dense(w(4, 7))(x))
    return head(layers.Activation("tanh")(x))


@case(SEQUENCE)
def norm_on_a_middle_axis(x: Any, w: Pick) -> Any:
    x = layers.Conv1D(w(3, 6), 3, padding="same")(x)
    return head(layers.Activation("tanh")(layers.BatchNormalization(axis=1)(x)))


@case(IMAGE)
def norm_that_is_frozen(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 5), 3, padding="same")(x)
    return head(layers.Activation("tanh")(layers.BatchNormalization()(x, training=False)))


# --- PReLU -----------------------------------------------------------------------------------


def prelu(name: str, shared_axes: Any) -> None:
    def body(x: Any, w: Pick) -> Any:
        x = layers.Conv2D(w(3, 5), 3, padding="same")(x)
        return head(layers.PReLU(shared_axes=shared_axes)(x))

    case((4, 5, 2), name=name)(body)


prelu("prelu_of_its_own_for_every_number", None)
prelu("prelu_shared_over_positions", [1, 2])
prelu("prelu_shared_over_one_axis", [1])
prelu("prelu_shared_over_channels", [1, 2, 3])


@case(VECTOR)
def prelu_on_vectors(x: Any, w: Pick) -> Any:
    return head(layers.PReLU()(layers.Dense(w(3, 5))(x)))


# --- Layers that move numbers ----------------------------------------------------------------


def moving(name: str, shape: Any, make: Callable[[], Any], **flags: Any) -> None:
    """A row with a layer that has no sizes of its own behind one that widens."""

    def body(x: Any, w: Pick) -> Any:
        return head(make()(layers.Dense(w(3, 5), activation="tanh")(x)))

    case(shape, name=name, **flags)(body)


for _name, _shape, _move in [
    ("max_pooling1d", SEQUENCE, lambda: layers.MaxPooling1D(2)),
    ("max_pooling2d", IMAGE, lambda: layers.MaxPooling2D(3, 2, padding="same")),
    ("max_pooling3d", VOLUME, lambda: layers.MaxPooling3D(2)),
    ("average_pooling1d", SEQUENCE, lambda: layers.AveragePooling1D(2)),
    ("average_pooling2d", IMAGE, lambda: layers.AveragePooling2D(3, 2, padding="same")),
    ("average_pooling3d", VOLUME, lambda: layers.AveragePooling3D(2)),
    ("global_max1d", SEQUENCE, lambda: layers.GlobalMaxPooling1D()),
    ("global_max2d_keepdims", IMAGE, lambda: layers.GlobalMaxPooling2D(keepdims=True)),
    ("global_max3d", VOLUME, lambda: layers.GlobalMaxPooling3D()),
    ("global_average1d", SEQUENCE, lambda: layers.GlobalAveragePooling1D(keepdims=True)),
    ("global_average2d", IMAGE, lambda: layers.GlobalAveragePooling2D()),
    ("global_average3d", VOLUME, lambda: layers.GlobalAveragePooling3D()),
    ("flatten_channels_first", (4, 3, 2), lambda: layers.Flatten(data_format="channels_first")),
    ("permute", (4, 3, 2), lambda: layers.Permute((3, 1, 2))),
    ("permute_keeps_channels_last", (4, 3, 2), lambda: layers.Permute((2, 1, 3))),
    ("repeat_vector", VECTOR, lambda: layers.RepeatVector(3)),
    ("zero_padding1d", SEQUENCE, lambda: layers.ZeroPadding1D((1, 2))),
    ("zero_padding2d", IMAGE, lambda: layers.ZeroPadding2D(((1, 0), (2, 1)))),
    ("zero_padding3d", VOLUME, lambda: layers.ZeroPadding3D(1)),
    ("cropping1d", SEQUENCE, lambda: layers.Cropping1D((1, 2))),
    ("cropping2d", IMAGE, lambda: layers.Cropping2D(((1, 0), (2, 1)))),
    ("cropping3d", VOLUME, lambda: layers.Cropping3D(1)),
    ("up_sampling1d", SEQUENCE, lambda: layers.UpSampling1D(2)),
    ("up_sampling2d", IMAGE, lambda: layers.UpSampling2D((2, 1))),
    ("up_sampling2d_bilinear", IMAGE, lambda: layers.UpSampling2D(2, interpolation="bilinear")),
    ("up_sampling3d", VOLUME, lambda: layers.UpSampling3D(2)),
    ("dropout", VECTOR, lambda: layers.Dropout(0.3)),
    ("activity_regularization", VECTOR, lambda: layers.ActivityRegularization(l2=0.1)),
]:
    double = _name not in {"max_pooling3d", "average_pooling3d"}
    moving(_name, _shape, _move, random=_name == "dropout", double=double)


@case((3, 4, 2))
def permute_before_a_dense_along_another_axis(x: Any, w: Pick) -> Any:
    x = layers.Permute((3, 1, 2))(layers.Dense(w(3, 5), activation="tanh")(x))
    return head(layers.Dense(w(2, 4))(x))


@case(VECTOR)
def reshape_from_dense_to_images(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(2 * 3 * 2, 2 * 3 * 4), activation="tanh")(x)
    x = layers.Reshape((2, 3, w(2, 4)))(x)
    return head(layers.Conv2D(w(3, 5), 3, padding="same")(x))


@case(VECTOR)
def reshape_from_dense_to_images_with_norm_between(x: Any, w: Pick) -> Any:
    x = layers.BatchNormalization()(layers.Dense(w(4 * 2, 4 * 3))(x))
    x = layers.Reshape((2, 2, -1))(layers.ReLU()(x))
    return head(layers.Conv2DTranspose(w(3, 5), 3, strides=2, padding="same")(x))


@case((4, 4, 2))
def reshape_from_images_to_sequences(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 5), 3, padding="same", activation="tanh")(x)
    x = layers.Reshape((16, w(3, 5)))(x)
    return head(layers.Conv1D(w(2, 3), 3)(x))


@case((4, 4, 2))
def reshape_to_vectors_and_back(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 5), 3, padding="same", activation="tanh")(x)
    x = layers.Reshape((2, 8, -1))(layers.Reshape((-1,))(x))
    return head(layers.Conv2D(w(2, 3), 3)(layers.ZeroPadding2D(1)(x)))


@case((4, 4, 2))
def flatten_then_dense_then_dense(x: Any, w: Pick) -> Any:
    x = layers.Flatten()(layers.Conv2D(w(3, 5), 3, activation="tanh")(x))
    return head(layers.Dense(w(4, 7), activation="tanh")(x))


# --- Preprocessing and Embedding -------------------------------------------------------------


def preprocessing(name: str, make: Callable[[], Any], **flags: Any) -> None:
    def body(x: Any, w: Pick) -> Any:
        x = layers.Conv2D(w(3, 5), 3, activation="tanh")(make()(x))
        return head(layers.GlobalAveragePooling2D()(x))

    case(IMAGE, name=name, **flags)(body)


def _normalization() -> Any:
    layer = layers.Normalization()
    data = np.random.default_rng(5).normal(3.0, 2.0, (20, *IMAGE)).astype(keras.config.floatx())
    layer.adapt(data)
    return layer


preprocessing("rescaling", lambda: layers.Rescaling(1 / 4, offset=-0.5))
preprocessing("normalization_adapted", _normalization)
preprocessing("normalization_given", lambda: layers.Normalization(mean=0.3, variance=2.0))
preprocessing("random_flip", lambda: layers.RandomFlip("horizontal"), random=True)
preprocessing("random_translation", lambda: layers.RandomTranslation(0.1, 0.1), random=True)
preprocessing("random_rotation", lambda: layers.RandomRotation(0.1), random=True)
preprocessing("random_zoom", lambda: layers.RandomZoom(0.1), random=True)
preprocessing("random_contrast", lambda: layers.RandomContrast(0.1), random=True)
preprocessing("random_crop", lambda: layers.RandomCrop(6, 6), random=True)
preprocessing("center_crop", lambda: layers.CenterCrop(6, 6))
preprocessing("resizing", lambda: layers.Resizing(6, 6))


@case((6,), dtype="int32")
def embedding(x: Any, w: Pick) -> Any:
    x = layers.Embedding(7, w(3, 5))(x)
    return head(layers.Conv1D(w(2, 4), 3, activation="tanh")(x))


@case((6,), dtype="int32")
def embedding_pooled(x: Any, w: Pick) -> Any:
    x = layers.GlobalAveragePooling1D()(layers.Embedding(7, w(3, 5))(x))
    return head(layers.Dense(w(2, 4), activation="tanh")(x))


# --- Layers that only one of the two has -----------------------------------------------------

_DROPOUTS: dict[str, Callable[[], Any]] = {
    "dropout": lambda: layers.Dropout(0.3),
    "spatial_dropout": lambda: layers.SpatialDropout1D(0.3),
    "gaussian_noise": lambda: layers.GaussianNoise(0.3),
    "gaussian_dropout": lambda: layers.GaussianDropout(0.3),
    "alpha_dropout": lambda: layers.AlphaDropout(0.3),
}


def in_one_alone(name: str, owner: int, make: Callable[[], Any]) -> None:
    def body(x: Any, w: Pick) -> Any:
        x = layers.Dense(w(3, 5), activation="tanh")(x)
        return head(make()(x) if w(0, 1) == owner else x)

    case(SEQUENCE, name=name, inserts=owner == 1, random=True)(body)


for _name, _drop in _DROPOUTS.items():
    in_one_alone(f"{_name}_in_the_member_alone", 1, _drop)
    in_one_alone(f"{_name}_in_the_mother_alone", 0, _drop)


@case(VECTOR, random=True)
def dropout_of_another_rate(x: Any, w: Pick) -> Any:
    return head(layers.Dropout(w(0.1, 0.5))(layers.Dense(w(3, 5), activation="tanh")(x)))


@case(VECTOR, inserts=True)
def identity_in_the_member_alone(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 5), activation="tanh")(x)
    return head(w(lambda x: x, layers.Identity())(x))


# --- Inserted units --------------------------------------------------------------------------


def inserted(name: str, shape: Any, make: Callable[[Any], Any], **flags: Any) -> None:
    """A row whose member has more behind a ReLU."""

    def body(x: Any, w: Pick) -> Any:
        x = layers.Dense(w(3, 5))(x)
        x = layers.ReLU()(x)
        x = make(x) if w(False, True) else x
        return head(layers.Dense(w(4, 6), activation="tanh")(x))

    case(shape, name=name, inserts=True, **flags)(body)


def _norm_relu(x: Any, **settings: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(**settings)(x))


for _name, _shape, _insert in [
    ("dense_relu", VECTOR, lambda x: layers.Dense(4, activation="relu")(x)),
    ("dense_linear", VECTOR, lambda x: layers.Dense(6)(x)),
    ("dense_elu", VECTOR, lambda x: layers.Dense(3, activation="elu")(x)),
    ("dense_prelu", VECTOR, lambda x: layers.PReLU()(layers.Dense(4)(x))),
    ("dense_norm_relu", VECTOR, lambda x: _norm_relu(layers.Dense(4)(x))),
    ("dense_leaky", VECTOR, lambda x: layers.LeakyReLU()(layers.Dense(4)(x))),
    (
        "conv1d_causal_relu",
        SEQUENCE,
        lambda x: layers.Conv1D(4, 3, padding="causal", activation="relu")(x),
    ),
    (
        "conv1d_dilated_relu",
        SEQUENCE,
        lambda x: layers.Conv1D(4, 3, padding="same", dilation_rate=2, activation="relu")(x),
    ),
    ("conv2d_relu", IMAGE, lambda x: layers.Conv2D(4, 3, padding="same", activation="relu")(x)),
    ("conv2d_1_relu", IMAGE, lambda x: layers.Conv2D(3, 1, activation="relu")(x)),
    (
        "conv2d_norm_relu",
        IMAGE,
        lambda x: _norm_relu(layers.Conv2D(5, 3, padding="same", use_bias=False)(x)),
    ),
    ("norm", IMAGE, lambda x: layers.BatchNormalization()(x)),
    ("norm_no_center", IMAGE, lambda x: layers.BatchNormalization(center=False)(x)),
    (
        "depthwise_relu",
        IMAGE,
        lambda x: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu")(
            x
        ),
    ),
    (
        "separable_relu",
        IMAGE,
        lambda x: layers.SeparableConv2D(
            4, 3, padding="same", depth_multiplier=2, activation="relu"
        )(x),
    ),
    ("prelu", IMAGE, lambda x: layers.PReLU(shared_axes=[1, 2])(x)),
    ("prelu_everywhere", (3, 4, 2), lambda x: layers.PReLU()(x)),
    ("relu", VECTOR, lambda x: layers.Activation("relu")(x)),
    (
        "two_units",
        IMAGE,
        lambda x: layers.Conv2D(6, 3, padding="same", activation="relu")(
            layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        ),
    ),
    (
        "after_max_pooling",
        IMAGE,
        lambda x: layers.Conv2D(4, 3, padding="same", activation="relu")(x),
    ),
]:
    inserted(f"inserted_{_name}", _shape, _insert)

inserted(
    "inserted_norm_no_scale",
    IMAGE,
    lambda x: layers.BatchNormalization(scale=False)(x),
    stored=1e-7,
)


def paired(name: str) -> None:
    """A row whose member inserts an activation that works only on pairs f(x), f(-x)."""

    def body(x: Any, w: Pick) -> Any:
        x = activate(layers.Dense(w(3, 8))(x), name, "layer")
        if w(False, True):
            x = activate(layers.Dense(5)(x), name, "layer")
        return head(x)

    # Only 1 / (1 + slope) is no number that float32 can hold.
    stored = 1e-7 if name == "leaky_relu" else 1e-10
    case(VECTOR, name=f"inserted_pair_{name}", inserts=True, stored=stored)(body)


for _name in PAIRED:
    paired(_name)


@case(IMAGE, inserts=True)
def inserted_pair_with_norm(x: Any, w: Pick) -> Any:
    def unit(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.Activation("silu")(layers.BatchNormalization()(x))

    x = unit(x, w(2, 5))
    x = unit(x, 3) if w(False, True) else x
    return head(layers.MaxPooling2D(2)(x))


# --- Branches --------------------------------------------------------------------------------


def _residual(x: Any, filters: int) -> Any:
    y = layers.Conv2D(filters, 3, padding="same")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(x.shape[-1], 3, padding="same")(y)
    return layers.Add()([x, layers.BatchNormalization()(y)])


@case(IMAGE)
def residual_blocks(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 5), 3, padding="same")(x)
    return head(layers.ReLU()(_residual(_residual(x, w(2, 3)), w(4, 5))))


@case(IMAGE, inserts=True)
def residual_block_in_the_member_alone(x: Any, w: Pick) -> Any:
    x = _residual(layers.Conv2D(w(3, 5), 3, padding="same")(x), w(2, 3))
    return head(layers.Activation("tanh")(_residual(x, 4) if w(False, True) else x))


@case(IMAGE)
def concatenated_branches(x: Any, w: Pick) -> Any:
    left = layers.Conv2D(w(2, 3), 3, padding="same")(x)
    right = layers.Conv2D(w(3, 6), w(1, 3), padding="same")(x)
    x = layers.Activation("tanh")(layers.Concatenate()([left, right]))
    return head(layers.Conv2D(w(2, 4), 3, padding="same")(x))


@case(IMAGE)
def gate_of_channels(x: Any, w: Pick) -> Any:
    x = layers.Conv2D(w(3, 5), 3, padding="same", activation="tanh")(x)
    gate = layers.Dense(w(2, 3), activation="silu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return head(layers.Multiply()([x, layers.Dense(w(3, 5), activation="sigmoid")(gate)]))


# --- Nested, shared, sequential, structured --------------------------------------------------


def _block(shape: Any, name: str, filters: int, kernel: int) -> keras.Model:
    x = inputs = keras.Input(shape)
    x = layers.Conv2D(filters, kernel, padding="same", name="conv")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(inputs, x, name=name)


@case(IMAGE)
def nested_functional(x: Any, w: Pick) -> Any:
    x = _block(IMAGE, "block1", w(3, 5), w(3, 5))(x)
    return head(_block(tuple(x.shape[1:]), "block2", w(2, 3), 3)(x))


@case(IMAGE)
def nested_in_one_flat_in_the_other(x: Any, w: Pick) -> Any:
    if w(True, False):
        return head(_block(IMAGE, "block1", 3, 3)(x))
    x = layers.Conv2D(5, 5, padding="same")(x)
    return head(layers.Activation("relu")(layers.BatchNormalization()(x)))


@case(IMAGE)
def nested_twice(x: Any, w: Pick) -> Any:
    inner = _block(IMAGE, "inner", w(3, 5), 3)
    y = keras.Input(IMAGE)
    pooled = keras.Model(y, layers.MaxPooling2D(2)(inner(y)), name="middle")
    return head(keras.Sequential([keras.Input(IMAGE), pooled, layers.Conv2D(w(2, 4), 3)])(x))


@case(VECTOR)
def nested_called_twice(x: Any, w: Pick) -> Any:
    inner = keras.Sequential(
        [keras.Input((w(3, 5),)), layers.Dense(w(3, 5)), layers.BatchNormalization()], name="inner"
    )
    x = layers.Dense(w(3, 5), activation="tanh")(x)
    return head(inner(layers.Activation("tanh")(inner(x))))


@case(VECTOR)
def shared_dense(x: Any, w: Pick) -> Any:
    shared = layers.Dense(w(3, 5), activation="tanh")
    x = layers.Dense(w(3, 5))(x)
    return head(shared(shared(x)))


@case((4, 4, 2))
def shared_conv_and_norm(x: Any, w: Pick) -> Any:
    conv = layers.Conv2D(w(2, 4), w(1, 3), padding="same")
    norm = layers.BatchNormalization()
    x = layers.Dense(w(2, 4))(x)
    for _ in range(2):
        x = layers.ReLU()(norm(conv(x)))
    return head(x)


def _sequential(w: Pick, name: str) -> keras.Model:
    block = keras.Sequential(
        [layers.Conv2D(w(3, 5), 3), layers.BatchNormalization(), layers.ReLU()]
    )
    parts = [keras.Input(IMAGE), block, layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential(parts, name=name)


add("sequential", _sequential, None)


def _dictionaries(w: Pick, name: str) -> keras.Model:
    x = keras.Input(VECTOR, name="pixels")
    y = layers.Dense(3, name="classes")(layers.Dense(w(3, 5), activation="tanh")(x))
    return keras.Model({"pixels": x}, {"classes": y}, name=name)


add("dictionaries_in_and_out", _dictionaries, None)


@case(VECTOR)
def raw_operations(x: Any, w: Pick) -> Any:
    x = keras.ops.tanh(layers.Dense(w(3, 5))(x))
    return keras.ops.softmax(head(keras.ops.gelu(layers.Dense(w(2, 4))(x))))


@case(VECTOR)
def raw_arithmetic(x: Any, w: Pick) -> Any:
    ops = keras.ops
    x = layers.Dense(w(3, 5))(x)
    x = x * ops.relu6(x + 3.0) / 6.0  # a hard swish by hand
    y = ops.exp(-ops.square(layers.Dense(w(3, 5))(x)))
    x = ops.where(y > 0.5, ops.clip(x, -1.0, 1.0), ops.abs(x) ** 1.5) / (1.0 + y)
    return head(x + ops.stop_gradient(ops.maximum(x, 0.1) - keras.activations.relu(x)))


@case(SEQUENCE)
def raw_reductions(x: Any, w: Pick) -> Any:
    ops = keras.ops
    x = layers.Dense(w(3, 5))(x)
    spread = ops.sqrt(ops.var(x, axis=1, keepdims=True) + 1.0)
    x = ops.concatenate([x / spread, x - ops.mean(x, axis=[1], keepdims=True)], -1)
    return head(ops.sum(x, axis=1) + ops.max(x, axis=1) * ops.min(x, axis=-2))


@case(SEQUENCE)
def raw_reductions_over_channels(x: Any, w: Pick) -> Any:
    x = layers.Dense(w(3, 6))(x)
    y = layers.Dense(w(2, 5))(x)
    x = x - keras.ops.mean(x, axis=-1, keepdims=True)  # each channel has two copies
    return head(x) + keras.ops.max(y, axis=(1, 2))[:, None]


@case(SEQUENCE)
def raw_reshapes(x: Any, w: Pick) -> Any:
    ops = keras.ops
    x = ops.reshape(layers.Dense(w(3, 5))(x), (-1, 3, 3, w(3, 5)))
    x = ops.swapaxes(layers.Conv2D(w(2, 4), 3)(x), 1, 3)
    return head(ops.squeeze(ops.expand_dims(ops.squeeze(x, 2), 1), (1, 3)))


@keras.saving.register_keras_serializable("keras_mothernets_tests")
class Squash(keras.layers.Layer):
    """A layer of the user's own."""

    def call(self, x: Any) -> Any:
        return x / (1.0 + keras.ops.abs(x))


register_rule(Squash, ElementwiseRule())


@case(VECTOR)
def layer_of_the_users_own(x: Any, w: Pick) -> Any:
    return head(Squash()(layers.Dense(w(3, 5))(x)))
