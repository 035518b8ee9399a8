#!/usr/bin/env python
"""MotherNets of the families that people use: a table in docs/COVERAGE.md.

The members of a family are built at their real depth and width (for small images), get random
weights and statistics, and are put under a MotherNet, from which every member is hatched. How far
each is from the mother is measured in float64. One process per family; what is in the table
already is not measured again, so a long run can be stopped and started.

    tools/coverage_families.py --minutes 15
    tools/coverage_families.py --only "ConvNeXt Tiny, Small, Base" --again
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import coverage_parts as parts

SIDE = 64
CLASSES = 5
Build = Callable[[], Any]

SECTION = parts.Section(
    "Families",
    ("family", "mother", "is the member", "parameters", "members' parameters", "deviation")
    + ("inherited", "seconds"),
    "Written by `tools/coverage_families.py`: all members of a family under one MotherNet. The"
    f" networks of keras.applications take images of {SIDE} x {SIDE} pixels, those of the zoo of"
    " 32 x 32; all weights and statistics are random. *Is the member*: the member that the mother"
    " is equal to, recognised as such, and not trained twice. *Deviation*: of each hatched member"
    " from the mother, relative to its largest output, in float64, on one random example (the"
    " networks store float32). *Inherited*: the share of each member's parameters that are the"
    " mother's, copies not counted.",
)


def application(name: str, **options: Any) -> Build:
    """A network of keras.applications."""

    def build() -> Any:
        import keras

        label = "_".join([name, *(str(value).replace(".", "_") for value in options.values())])
        return getattr(keras.applications, name)(
            weights=None,
            input_shape=(SIDE, SIDE, 3),
            classes=CLASSES,
            classifier_activation=None,
            # EfficientNetV2 looks its blocks up by name, so only what differs by it gets one.
            **(options | {"name": label} if options else {}),
        )

    return build


def applications(names: str) -> list[Build]:
    """Several networks of keras.applications, by names with a space between."""
    return [application(name) for name in names.split()]


def zoo(kind: str, **options: Any) -> Build:
    """A network of the zoo."""

    def build() -> Any:
        from keras_mothernets import zoo

        function = getattr(zoo, kind)
        label = "_".join(str(value).replace(".", "_") for value in options.values())
        return function((32, 32, 3), CLASSES, name=f"{kind}_{label}", **options)

    return build


def two_inputs(filters: int, units: int) -> Any:
    """An image and a vector, joined before the head."""
    import keras
    from keras import layers

    image, vector = keras.Input((32, 32, 3), name="image"), keras.Input((20,), name="vector")
    x = image
    for stage in range(3):
        x = layers.Conv2D(filters * 2**stage, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(2)(layers.ReLU()(layers.BatchNormalization()(x)))
    y = layers.Dense(units, activation="relu")(vector)
    y = layers.concatenate([layers.GlobalAveragePooling2D()(x), y])
    y = layers.Dense(2 * units, activation="relu")(y)
    return keras.Model([image, vector], layers.Dense(CLASSES)(y), name=f"two_{filters}_{units}")


def siamese(filters: int, code: int) -> Any:
    """One encoder for two images, which are compared."""
    import keras
    from keras import layers

    x = inside = keras.Input((32, 32, 1))
    for stage in range(2):
        x = layers.Conv2D(filters * 2**stage, 3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(code)(layers.GlobalAveragePooling2D()(x))
    encoder = keras.Model(inside, x, name="encoder")
    first, second = keras.Input((32, 32, 1), name="one"), keras.Input((32, 32, 1), name="two")
    distance = layers.Subtract()([encoder(first), encoder(second)])
    distance = layers.Multiply()([distance, distance])
    return keras.Model([first, second], layers.Dense(1)(distance), name=f"siamese_{filters}_{code}")


def text(width: int, units: int) -> Any:
    """Tokens through an Embedding with a mask and a GRU."""
    import keras
    from keras import layers

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(1000, width, mask_zero=True)(tokens)
    x = layers.GRU(units)(x)
    x = layers.Dense(units, activation="relu")(x)
    return keras.Model(tokens, layers.Dense(CLASSES)(x), name=f"text_{width}_{units}")


def unet(width: int, depth: int = 3) -> Any:
    """An encoder and a decoder with long skips."""
    import keras
    from keras import layers

    def double(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    x = inputs = keras.Input((SIDE, SIDE, 3))
    encoded = []
    for level in range(depth):
        x = double(x, width * 2**level)
        encoded.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = double(x, width * 2**depth)
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(width * 2**level, 2, strides=2, padding="same")(x)
        x = double(layers.Concatenate()([x, encoded[level]]), width * 2**level)
    return keras.Model(inputs, layers.Conv2D(CLASSES, 1)(x), name=f"unet_{width}_{depth}")


def own(function: Callable[..., Any], *sizes: tuple[int, ...]) -> list[Build]:
    """Members made by one function of this module."""
    return [functools.partial(function, *numbers) for numbers in sizes]


FAMILIES: dict[str, list[Build]] = {
    "VGG 16, 19": applications("VGG16 VGG19"),
    "CIFAR ResNet 20, 32, 44, 56, 110": [zoo("resnet", depth=d) for d in (20, 32, 44, 56, 110)],
    "WRN 16-4, 28-4": [zoo("wide_resnet", depth=d, widen=4) for d in (16, 28)],
    "DenseNet 40, 100 of growth 12, 24": [
        zoo("densenet", depth=d, growth=g) for d in (40, 100) for g in (12, 24)
    ],
    "ViT of two widths and depths": [
        zoo("vit", width=w, depth=d) for w, d in ((1.0, 2), (1.0, 4), (2.0, 2), (2.0, 4))
    ],
    "two inputs": own(two_inputs, (16, 32), (24, 48)),
    "shared encoder (siamese)": own(siamese, (16, 8), (24, 12)),
    "text: Embedding, GRU": own(text, (32, 48), (48, 64)),
    "U-Net of two widths": own(unet, (16,), (24,)),
    "MobileNet alpha 0.5, 0.75, 1.0": [
        application("MobileNet", alpha=alpha) for alpha in (0.5, 0.75, 1.0)
    ],
    "MobileNetV2 alpha 0.5, 1.0, 1.4": [
        application("MobileNetV2", alpha=alpha) for alpha in (0.5, 1.0, 1.4)
    ],
    "MobileNetV3 small, large": applications("MobileNetV3Small MobileNetV3Large"),
    "ResNet 50, 101, 152": applications("ResNet50 ResNet101 ResNet152"),
    "ResNetV2 50, 101, 152": applications("ResNet50V2 ResNet101V2 ResNet152V2"),
    "DenseNet 121, 169, 201": applications("DenseNet121 DenseNet169 DenseNet201"),
    "EfficientNet B0, B1, B2, B3": applications(
        "EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3"
    ),
    "EfficientNetV2 B0, B1, B2": applications("EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2"),
    "ConvNeXt Tiny, Small, Base": applications("ConvNeXtTiny ConvNeXtSmall ConvNeXtBase"),
}


def measure(name: str) -> Iterator[parts.Row]:
    """Build a family, its mother, and every member from it."""
    import keras_mothernets as km
    from keras_mothernets.errors import MotherNetsError
    from keras_mothernets.mothernet import same_architecture

    members = [parts.randomise(build(), seed) for seed, build in enumerate(FAMILIES[name])]
    yield {SECTION.columns[4]: ", ".join(f"{member.count_params():,}" for member in members)}
    try:
        mother = parts.randomise(km.mothernet(members), seed=9)
    except MotherNetsError as error:
        yield {"mother": f"refused: {parts.sentence(error)}"}
        return
    equal = [member.name for member in members if same_architecture(mother, member)]
    reference = parts.Reference(mother)
    deviations, shares = [], []
    for seed, member in enumerate(members):
        shares.append(f"{100 * km.explain(mother, member).inherited:.0f} %")
        deviations.append(reference.shown(reference.deviation(km.hatch(mother, member, seed=seed))))
    yield {
        "mother": f"yes, {len(mother.layers)} layers",
        "is the member": ", ".join(equal) or "none",
        "parameters": f"{mother.count_params():,}",
        "deviation": ", ".join(deviations),
        "inherited": ", ".join(shares),
    }


if __name__ == "__main__":
    sys.exit(parts.main(__doc__ or "", SECTION, lambda: list(FAMILIES), measure))
