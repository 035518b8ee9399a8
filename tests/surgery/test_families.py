"""MotherNets of the families that people use, as toys: below all members, and exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import pytest
from keras import layers
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from marks import quick_ones
from networks import randomise, weights

from keras_mothernets import zoo
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.mothernet import mothernet, same_architecture
from keras_mothernets.surgery import can_hatch, hatch, max_deviation

IMAGE = (8, 8, 3)
CLASSES = 3

Build = Callable[[], keras.Model]


def conv(x: Any, filters: int, kernel_size: int = 3, **options: Any) -> Any:
    """A convolution, its normalisation and ReLU."""
    x = layers.Conv2D(filters, kernel_size, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def classify(inputs: Any, x: Any) -> keras.Model:
    """Global pooling and a head."""
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def gate(x: Any, ratio: int = 2) -> Any:
    """Squeeze and excite."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(max(1, channels // ratio), 1, activation="silu")(y)
    return layers.Multiply()([x, layers.Conv2D(channels, 1, activation="sigmoid")(y)])


def squeezed(*, gated: bool = True) -> keras.Model:
    """One convolution with a gate, or without."""
    inputs = keras.Input(IMAGE)
    x = conv(inputs, 4)
    return classify(inputs, gate(x) if gated else x)


def gated_mobile(width: int, units: int) -> keras.Model:
    """Inverted residuals with gates, as in MobileNetV3 and EfficientNet."""
    inputs = keras.Input(IMAGE)
    x = conv(inputs, width)
    for stage, filters in enumerate((width, 2 * width)):
        for unit in range(units):
            y = conv(x, 3 * x.shape[-1], 1)
            strides = 2 if stage and not unit else 1
            y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
            y = layers.Activation("silu")(layers.BatchNormalization()(y))
            y = layers.Conv2D(filters, 1, use_bias=False)(gate(y))
            y = layers.BatchNormalization()(y)
            x = layers.Add()([x, y]) if unit else y
    return classify(inputs, x)


def inception(widths: Sequence[int], cells: int = 2, *, extra: bool = False) -> keras.Model:
    """Cells of three branches and, in one member, a fourth."""
    inputs = keras.Input(IMAGE)
    x = conv(inputs, widths[0])
    for _ in range(cells):
        branches = [
            conv(x, widths[0], 1),
            conv(conv(x, widths[1], 1), widths[2]),
            conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), widths[1], 1),
        ]
        if extra:
            branches.append(conv(conv(x, 2, 1), 3, 5))
        x = layers.Concatenate()(branches)
    return classify(inputs, x)


def unet(width: int, depth: int = 2, *, skips: bool = True) -> keras.Model:
    """An encoder and a decoder with long skips, or (for a counter-example) without."""
    x = inputs = keras.Input((16, 16, 1))
    encoded = []
    for level in range(depth):
        x = conv(x, width * 2**level)
        encoded.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = conv(x, width * 2**depth)
    for level in reversed(range(depth)):
        up = layers.Conv2DTranspose(width * 2**level, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([up, encoded[level]]) if skips else up
        x = conv(x, width * 2**level)
    return keras.Model(inputs, layers.Conv2D(CLASSES, 1)(x))


def two_inputs(image_filters: int, units: int) -> keras.Model:
    """An image and a vector, joined before the head."""
    image, vector = keras.Input(IMAGE, name="image"), keras.Input((5,), name="vector")
    x = layers.GlobalAveragePooling2D()(conv(image, image_filters))
    y = layers.Dense(units, activation="relu")(vector)
    x = layers.Dense(units + 1, activation="relu")(layers.Concatenate()([x, y]))
    return keras.Model([image, vector], layers.Dense(CLASSES)(x))


def siamese(units: int) -> keras.Model:
    """One encoder for two inputs, which are compared."""
    first, second = keras.Input((6,), name="first"), keras.Input((6,), name="second")
    hidden, code = layers.Dense(units, activation="relu"), layers.Dense(units + 2)
    codes = [code(hidden(tensor)) for tensor in (first, second)]
    return keras.Model([first, second], layers.Dense(1)(layers.Subtract()(codes)))


def compared(filters: int, code: int) -> keras.Model:
    """One encoder of images, a model of its own, for two inputs."""
    inside = keras.Input(IMAGE)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(conv(inside, filters)))
    encoder = keras.Model(inside, layers.Dense(code)(x), name="encoder")
    first, second = keras.Input(IMAGE, name="first"), keras.Input(IMAGE, name="second")
    apart = layers.Subtract()([encoder(first), encoder(second)])
    return keras.Model([first, second], layers.Dense(1)(layers.Multiply()([apart, apart])))


def text(width: int, units: int) -> keras.Model:
    """Tokens through an Embedding with a mask and a GRU."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.GRU(units)(layers.Embedding(7, width, mask_zero=True)(tokens))
    x = layers.Dense(units, activation="relu")(x)
    return keras.Model(tokens, layers.Dense(CLASSES)(x))


def convnext(width: int, units: int) -> keras.Model:
    """Blocks as in ConvNeXt: a group for every channel, LayerNormalization, LayerScale."""
    inputs = keras.Input(IMAGE)
    x = layers.LayerNormalization()(layers.Conv2D(width, 2, strides=2)(inputs))
    for _ in range(units):
        y = layers.Conv2D(width, 3, padding="same", groups=width)(x)
        y = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(y))
        y = LayerScale(1e-6, width)(layers.Dense(width)(y))
        x = layers.Add()([x, StochasticDepth(0.1)(y)])
    return classify(inputs, x)


def scaled(width: int, units: int, *, scale: float = 0.2, first: bool = True) -> keras.Model:
    """Residual units as in InceptionResNetV2: a scaled branch of branches, ReLU behind the sum."""
    inputs = keras.Input(IMAGE)
    x = conv(inputs, width)
    for _ in range(units):
        y = layers.Concatenate()([conv(x, 2, 1), conv(conv(x, 2, 1), width)])
        y = layers.Conv2D(width, 1)(y)
        x = CustomScaleLayer(scale)([x, y] if first else [y, x])
        x = layers.ReLU()(x)
    return classify(inputs, x)


def vgg(filters: Sequence[int]) -> keras.Model:
    """Two blocks of a VGG with these filters in each."""
    return zoo.vgg(IMAGE, CLASSES, [[(3, size) for size in filters]] * 2, head=(5,))


def vit(depth: int, width: float) -> keras.Model:
    """A small vision transformer."""
    return zoo.vit(IMAGE, CLASSES, depth=depth, num_heads=2, key_dim=4, width=width)


def normalised(width: int, blocks: int = 2, *, after: bool = False, act: str = "gelu") -> Any:
    """Residual blocks of a perceptron with LayerNormalization before, or after, the sum."""
    inputs = keras.Input((6,))
    x = layers.Dense(width)(inputs)
    for _ in range(blocks):
        y = x if after else layers.LayerNormalization()(x)
        y = layers.Dense(width)(layers.Dense(2 * width, activation=act)(y))
        x = layers.Add()([x, y])
        x = layers.LayerNormalization()(x) if after else x
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def grouped(width: int, units: int = 1, kernel: int = 3) -> keras.Model:
    """Convolutions with GroupNormalization of two groups."""
    x = inputs = keras.Input(IMAGE)
    for _ in range(units):
        x = layers.Conv2D(width, kernel, padding="same")(x)
        x = layers.Activation("silu")(layers.GroupNormalization(2)(x))
    return classify(inputs, x)


def resnext(groups: int, inside: int, units: int = 1) -> keras.Model:
    """Residual units with a grouped convolution in the middle."""
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(6, 3, padding="same")(inputs)
    for _ in range(units):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(groups * inside, 1)(x)))
        y = layers.Conv2D(groups * inside, 3, padding="same", groups=groups)(y)
        y = layers.Conv2D(6, 1)(layers.ReLU()(layers.BatchNormalization()(y)))
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    return classify(inputs, x)


def resnet(depth: int, version: int = 1, width: float = 0.25) -> keras.Model:
    """A ResNet of the CIFAR kind with few filters."""
    return zoo.resnet(IMAGE, CLASSES, depth=depth, version=version, width=width)


def densenet(depth: int, growth: int, *, bottleneck: bool = False) -> keras.Model:
    """A DenseNet of the CIFAR kind with small growth."""
    options: dict[str, Any] = {"growth": growth, "bottleneck": bottleneck}
    return zoo.densenet(IMAGE, CLASSES, depth=depth, width=0.5, **options)


def wide(depth: int, widen: float) -> keras.Model:
    """A Wide ResNet with few filters."""
    return zoo.wide_resnet(IMAGE, CLASSES, depth=depth, widen=widen, width=0.25)


def mobile(units: int, width: float) -> keras.Model:
    """A MobileNetV2 with few filters."""
    return zoo.mobilenet(IMAGE, CLASSES, units=(1, *[units] * 5, 1), width=width)


# Members, and which of them is the mother (its place), None where the mother is none of them.
FAMILIES: dict[str, tuple[list[Build], int | None]] = {
    "resnet, deeper": ([lambda: resnet(8), lambda: resnet(14)], 0),
    "resnet, wider": ([lambda: resnet(8, width=0.5), lambda: resnet(8, width=0.3)], 1),
    "resnet, crossed": ([lambda: resnet(8, width=0.3), lambda: resnet(14)], None),
    "resnet v2": ([lambda: resnet(20, 2, 0.2), lambda: resnet(11, 2)], None),
    "resnet v1 and v2": ([lambda: resnet(8), lambda: resnet(11, 2)], None),
    "wide resnet": ([lambda: wide(10, 1), lambda: wide(16, 2), lambda: wide(10, 3)], 0),
    "wide resnet, crossed": ([lambda: wide(16, 2), lambda: wide(10, 3)], None),
    "densenet, deeper": ([lambda: densenet(10, 4), lambda: densenet(13, 4)], 0),
    "densenet, crossed": ([lambda: densenet(10, 6), lambda: densenet(13, 4)], None),
    "densenet with bottlenecks": (
        [lambda: densenet(10, 4, bottleneck=True), lambda: densenet(16, 6, bottleneck=True)],
        0,
    ),
    "mobilenet": ([lambda: mobile(1, 0.1), lambda: mobile(2, 0.2)], 0),
    "mobile with gates": ([lambda: gated_mobile(4, 2), lambda: gated_mobile(6, 3)], 0),
    "inception": (
        [lambda: inception((3, 4, 5)), lambda: inception((5, 3, 6)), lambda: inception((4, 4, 4))],
        None,
    ),
    "inception, a branch more": (
        [lambda: inception((3, 4, 5)), lambda: inception((4, 5, 6), extra=True)],
        0,
    ),
    "scaled residuals, deeper": ([lambda: scaled(4, 1), lambda: scaled(6, 2)], 0),
    "residuals scaled otherwise": (  # they stand in neither
        [lambda: scaled(4, 1), lambda: scaled(4, 1, scale=0.1)],
        None,
    ),
    "u-net": ([lambda: unet(3), lambda: unet(5)], 0),
    "u-net, deeper": ([lambda: unet(3, 1), lambda: unet(4, 2)], 0),
    "two inputs": ([lambda: two_inputs(3, 4), lambda: two_inputs(5, 6)], 0),
    "two inputs, crossed": ([lambda: two_inputs(3, 6), lambda: two_inputs(5, 4)], None),
    "shared encoder": ([lambda: siamese(4), lambda: siamese(7)], 0),
    "shared encoder, a model of its own": ([lambda: compared(3, 2), lambda: compared(4, 5)], 0),
    "text": ([lambda: text(4, 5), lambda: text(6, 7)], 0),
    "vgg": ([lambda: vgg((3,)), lambda: vgg((4, 4))], 0),
    "vit": ([lambda: vit(1, 1.0), lambda: vit(2, 2.0)], 0),
    "layer normalisation": ([lambda: normalised(8), lambda: normalised(12)], None),
    "layer normalisation, deeper": ([lambda: normalised(4, 1), lambda: normalised(8, 3)], 0),
    "group normalisation": ([lambda: grouped(4), lambda: grouped(8)], 0),
    "resnext, wider groups": ([lambda: resnext(4, 2), lambda: resnext(4, 3, 2)], 0),
    "resnext, more groups": ([lambda: resnext(3, 2, 2), lambda: resnext(4, 2)], None),
    "resnext of three kinds": (
        [lambda: resnext(4, 3, 2), lambda: resnext(6, 2, 3), lambda: resnext(5, 4, 2)],
        None,
    ),
    "group normalisation, deeper": ([lambda: grouped(4, 2), lambda: grouped(4, 2, 5)], 0),
}

# Much like others that stay in the quick run.
NOT_QUICK = {
    "resnext of three kinds",
    "mobile with gates",
    "resnet v1 and v2",
    "densenet, crossed",
    "resnet, crossed",
    "wide resnet, crossed",
    "densenet with bottlenecks",
}

SLOW_FAMILIES: dict[str, tuple[list[Build], int | None]] = {
    "text, crossed": ([lambda: text(4, 7), lambda: text(6, 5)], None),
    "convnext, deeper": ([lambda: convnext(4, 1), lambda: convnext(4, 2)], 0),
    "convnext of widths 4 and 6": ([lambda: convnext(4, 1), lambda: convnext(6, 1)], None),
    "resnet 20, 32, 44": ([lambda d=d: resnet(d) for d in (20, 32, 44)], 0),
    "resnet 20, 32, 44 of three widths": (
        [lambda d=d, w=w: resnet(d, width=w) for d, w in ((44, 0.2), (32, 0.3), (20, 0.4))],
        None,
    ),
    "resnet v2 20, 29, 47": ([lambda d=d: resnet(d, 2) for d in (20, 29, 47)], 0),
    "densenet of two depths and growths": (
        [lambda d=d, g=g: densenet(d, g) for d in (22, 28) for g in (4, 6)],
        0,
    ),
    "wide resnet 16-2, 22-3, 28-2": (
        [lambda: wide(16, 2), lambda: wide(22, 3), lambda: wide(28, 2)],
        0,
    ),
}


def check(builds: Sequence[Build], smallest: int | None) -> None:
    """The mother is below all members, exactly; nothing else changed."""
    members = [randomise(build(), seed) for seed, build in enumerate(builds)]
    before = [value.tobytes() for model in members for value in weights(model)]
    mother = randomise(mothernet(members), 9)
    for seed, member in enumerate(members):
        assert max_deviation(mother, member, batch_size=2) > 1e-3
        assert can_hatch(mother, member)
        hatched = hatch(mother, member, seed=seed)
        assert same_architecture(hatched, member)
        assert max_deviation(mother, hatched, batch_size=2) <= 1e-10
    assert [value.tobytes() for model in members for value in weights(model)] == before
    assert [n for n, member in enumerate(members) if same_architecture(mother, member)] == (
        [] if smallest is None else [smallest]
    )
    assert mother.count_params() <= min(member.count_params() for member in members)


@pytest.mark.parametrize("name", quick_ones(FAMILIES, FAMILIES.keys() - NOT_QUICK))
def test_a_family_has_a_mother(name: str) -> None:
    check(*FAMILIES[name])


@pytest.mark.slow
@pytest.mark.parametrize(("builds", "smallest"), SLOW_FAMILIES.values(), ids=SLOW_FAMILIES)
def test_a_larger_family_has_a_mother(builds: list[Build], smallest: int | None) -> None:
    check(builds, smallest)


def test_widths_under_layer_normalisation_divide_all_members() -> None:
    mother = mothernet([normalised(8), normalised(12)])
    first = next(layer for layer in mother.layers if isinstance(layer, layers.Dense))
    assert first.units == 4


def pooled(kind: type, before: int = 4) -> keras.Model:
    """Two convolutions with a pooling between them."""
    inputs = keras.Input(IMAGE)
    return classify(inputs, conv(kind(2)(conv(inputs, before)), 6))


def merged(kind: type, units: int) -> keras.Model:
    """Units of two branches of which the last one is merged by another kind of layer."""
    inputs = keras.Input(IMAGE)
    x = conv(inputs, 4)
    for _ in range(units):
        x = kind()([x, conv(x, 4)])
    return classify(inputs, x)


# Pairs that have no mother, and pieces of the message: which layer, and why.
REFUSED: dict[str, tuple[Build, Build, tuple[str, ...]]] = {
    "a gate in one member only": (
        lambda: squeezed(gated=False),
        lambda: squeezed(),
        ("multiply", "not an identity"),
    ),
    "layer normalisation of widths without divisor": (
        lambda: normalised(8),
        lambda: normalised(9),
        ("Layer `dense", "only 1 does", "Received: 8 in `", "and 9 in `"),
    ),
    "another pooling": (
        lambda: pooled(layers.MaxPooling2D),
        lambda: pooled(layers.AveragePooling2D),
        ("MaxPooling2D", "AveragePooling2D"),
    ),
    "a u-net without its skips": (
        lambda: unet(3),
        lambda: unet(3, skips=False),
        ("max_pooling", "never an identity"),
    ),
    "an average more": (
        lambda: merged(layers.Average, 1),
        lambda: merged(layers.Average, 2),
        ("average", "not an identity"),
    ),
    "relu behind the last weights of a branch": (
        lambda: merged(layers.Add, 1),
        lambda: merged(layers.Add, 2),
        ("add", "stops learning at zero"),
    ),
    "a sum that scales what would pass on": (
        lambda: scaled(4, 1, first=False),
        lambda: scaled(4, 2, first=False),
        ("custom_scale_layer", "none of its branches can pass"),
    ),
    "another merge": (
        lambda: merged(layers.Maximum, 1),
        lambda: merged(layers.Add, 1),
        ("Maximum", "Add"),
    ),
    "a block with normalisation after the sum": (
        lambda: normalised(8, 1, after=True),
        lambda: normalised(8, 2, after=True),
        ("layer_normalization",),
    ),
    "normalisation before and after the sum": (
        lambda: normalised(8),
        lambda: normalised(8, after=True),
        ("layer_normalization",),
    ),
    "a dense and a residual network": (
        lambda: densenet(10, 4),
        lambda: wide(10, 1),
        ("_add", "none of its branches can pass"),
    ),
    "an encoder that is shared and one that is not": (
        lambda: siamese(4),
        lambda: two_inputs(3, 4),
        ("different inputs",),
    ),
}


@pytest.mark.parametrize(("first", "second", "pieces"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_share_a_mother_is_refused(
    first: Build, second: Build, pieces: tuple[str, ...]
) -> None:
    members = [first(), second()]
    with pytest.raises(MotherNetsError) as caught:
        mothernet(members)
    message = str(caught.value)
    for piece in pieces:
        assert re.search(re.escape(piece), message, re.IGNORECASE), message
    # Each is fine by itself: it is the pair that is refused.
    for member in members:
        assert same_architecture(mothernet([member]), member)
