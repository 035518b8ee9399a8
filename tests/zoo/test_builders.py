"""ResNet, Wide ResNet, DenseNet, MobileNet and ViT for small images."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from keras_mothernets import zoo
from keras_mothernets.errors import MotherNetsError

IMAGE = (32, 32, 3)
SMALL = (8, 8, 1)

FAMILIES: dict[str, Callable[..., keras.Model]] = {
    "resnet": lambda **options: zoo.resnet(SMALL, 3, depth=8, **options),
    "resnet_v2": lambda **options: zoo.resnet(SMALL, 3, depth=11, version=2, **options),
    "wide_resnet": lambda **options: zoo.wide_resnet(SMALL, 3, depth=10, widen=2, **options),
    "densenet": lambda **options: zoo.densenet(SMALL, 3, depth=10, growth=4, **options),
    "densenet_bc": lambda **options: zoo.densenet(
        SMALL, 3, depth=10, growth=4, bottleneck=True, **options
    ),
    "mobilenet": lambda **options: zoo.mobilenet(SMALL, 3, units=(1,) * 7, **options),
    "vit": lambda **options: zoo.vit(SMALL, 3, depth=1, num_heads=2, key_dim=4, **options),
}

# Millions as published (ResNets, Wide ResNets, DenseNets: tables of their papers); the exact
# numbers are those of the authors' or widely used code for the same variant.
SIZES = {
    "ResNet-20": (0.27, 272_474, lambda: zoo.resnet(IMAGE, 10)),
    "DenseNet-40-12": (1.0, 1_019_722, lambda: zoo.densenet(IMAGE, 10)),
    "WRN-16-4": (2.7, 2_748_890, lambda: zoo.wide_resnet(IMAGE, 10)),
    # 0.85 in the paper, whose shortcuts have no weights; ours have 2,752.
    "ResNet-56": (0.86, 855_770, lambda: zoo.resnet(IMAGE, 10, depth=56)),
    "ResNet-110": (1.7, 1_730_714, lambda: zoo.resnet(IMAGE, 10, depth=110)),
    "ResNet-164 v2": (1.7, 1_703_258, lambda: zoo.resnet(IMAGE, 10, depth=164, version=2)),
    "DenseNet-BC-100-12": (
        0.8,
        769_162,
        lambda: zoo.densenet(IMAGE, 10, depth=100, bottleneck=True),
    ),
    "WRN-28-10": (36.5, 36_479_194, lambda: zoo.wide_resnet(IMAGE, 10, depth=28, widen=10)),
    "MobileNetV2": (2.2, 2_236_682, lambda: zoo.mobilenet(IMAGE, 10)),
}
FAST = {"ResNet-20", "DenseNet-40-12", "WRN-16-4"}


def _trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SIZES]
)
def test_parameters_are_those_of_the_papers(name: str) -> None:
    millions, exact, build = SIZES[name]
    count = _trainable(build())
    assert count == exact
    assert round(count / 1e6, len(str(millions).split(".")[1])) == millions


def test_the_parameters_of_a_resnet_by_arithmetic() -> None:
    n, widths, total, before = 3, (16, 32, 64), 3 * 3 * 3 * 16 + 2 * 16, 16
    for width in widths:
        total += 9 * before * width + 9 * width * width * (2 * n - 1) + 2 * n * 2 * width
        total += (before * width + 2 * width) if before != width else 0  # projection
        before = width
    assert _trainable(zoo.resnet(IMAGE, 10, depth=6 * n + 2)) == total + 64 * 10 + 10


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_a_network_gives_probabilities_for_bytes(build: Callable[..., keras.Model]) -> None:
    model = build()
    images = np.random.default_rng(0).integers(0, 256, (4, *SMALL), dtype="uint8")
    probabilities = np.asarray(model(images, training=False))
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(probabilities, axis=0).max() > 1e-5  # the image makes a difference


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_width_and_augmentation(build: Callable[..., keras.Model]) -> None:
    plain, narrow, moved = build(), build(width=0.5), build(augment=True, name="moved")
    assert 0.2 < narrow.count_params() / plain.count_params() < 0.6
    # Names are those of the plain network: width and augmentation change no wiring.
    assert [layer.name for layer in narrow.layers] == [layer.name for layer in plain.layers]
    extra = {layer.name for layer in moved.layers} - {layer.name for layer in plain.layers}
    assert extra == {"flip", "shift"}
    assert moved.name == "moved"


def test_a_transformer_has_its_heads_scaled() -> None:
    wide = zoo.vit(SMALL, 3, depth=2, num_heads=4, key_dim=4, width=1.5, dropout=0.1)
    attention = [layer for layer in wide.layers if isinstance(layer, layers.MultiHeadAttention)]
    assert [(layer.num_heads, layer.key_dim) for layer in attention] == [(6, 4), (6, 4)]
    assert sum(isinstance(layer, layers.Dropout) for layer in wide.layers) == 2 * 3


BAD_INPUT = {
    "version": (lambda: zoo.resnet(SMALL, 3, version=3), "`version` must be 1 or 2"),
    "depth": (
        lambda: zoo.resnet(SMALL, 3, depth=21),
        r"must be 6 n \+ 2.*for example 20 or 26.*Received: 21",
    ),
    "depth of version 2": (lambda: zoo.resnet(SMALL, 3, depth=22, version=2), r"must be 9 n \+ 2"),
    "too shallow": (lambda: zoo.wide_resnet(SMALL, 3, depth=4), "example 10 or 16.*Received: 4"),
    "densenet": (lambda: zoo.densenet(SMALL, 3, depth=41), r"must be 3 n \+ 4"),
    "half a layer": (lambda: zoo.densenet(SMALL, 3, depth=40.0), "`depth` must be a whole"),
    "growth": (lambda: zoo.densenet(SMALL, 3, growth=0), "`growth` must be"),
    "widen": (lambda: zoo.wide_resnet(SMALL, 3, widen=0), "`widen` must be"),
    "stages": (lambda: zoo.mobilenet(SMALL, 3, units=(1, 1)), "7 numbers"),
    "no units": (lambda: zoo.mobilenet(SMALL, 3, units=(1, 1, 1, 0, 1, 1, 1)), "`units` must be"),
    "patch": (lambda: zoo.vit(SMALL, 3, patch_size=3), "a divisor of 8 and 8.*Received: 3"),
    "heads": (lambda: zoo.vit(SMALL, 3, num_heads=0), "`num_heads` must be"),
    "classes": (lambda: zoo.resnet(SMALL, 0), "`num_classes` must be"),
    "shape": (lambda: zoo.mobilenet((8, 8), 3), "`input_shape` is not the shape of an image"),
}


@pytest.mark.parametrize(("build", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_arguments_are_named(build: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(MotherNetsError, match=message):
        build()
