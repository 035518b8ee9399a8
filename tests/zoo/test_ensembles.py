"""The ensembles of the zoo: who is in them, how they differ, and what their MotherNets are."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from networks import randomise

import keras_mothernets as km
from keras_mothernets import zoo
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.mothernet import same_architecture
from keras_mothernets.zoo.parts import apart, scaled_width
from keras_mothernets.zoo.vgg16_variants import VGG16_BLOCKS, vgg16_variants

SMALL = (8, 8, 3)

NAMES = {
    zoo.d5: ["DenseNet-40-12", "DenseNet-40-24"]
    + ["DenseNet-100-12", "DenseNet-100-16", "DenseNet-100-24"],
    zoo.r10: [f"ResNet-{d}{suffix}" for d in (20, 32, 44, 56, 110) for suffix in ("", "-wide")],
    zoo.wrn5: ["WRN-16-4", "WRN-22-4", "WRN-28-4", "WRN-16-8", "WRN-22-8"],
}

# Widths at which members differ by half a filter or less, and one where all would have one filter.
WIDTHS = [1, 1 / 2, 1 / 8, 1 / 13, 1 / 64, 0.001]


def _sizes(member: km.Member) -> list[tuple[int, ...]]:
    """Shapes of all variables: a net that has the same is the same but for its wiring."""
    return [tuple(variable.shape) for variable in member.model.variables]


@pytest.mark.slow
@pytest.mark.parametrize("build", NAMES)
def test_members_differ_at_any_width(build: Callable[..., list[km.Member]]) -> None:
    members = build(SMALL, 3, width=0.001)  # as given, all would have one filter everywhere
    assert [member.label for member in members] == NAMES[build]
    assert len({str(_sizes(member)) for member in members}) == len(members)
    assert {member.model.output_shape for member in members} == {(None, 3)}


@pytest.mark.parametrize("width", WIDTHS)
def test_sizes_stay_apart(width: float) -> None:
    sizes = apart((12, 16, 24, 24, 500), width)
    scaled = [scaled_width(size, width) for size in sizes]
    assert sorted(set(scaled)) == scaled
    for size, given, before in zip(sizes[1:], (16, 24, 24, 500), scaled, strict=False):
        # Changed only where it must be, and no more than it must be.
        as_given = scaled_width(given, width)
        assert size == given if as_given > before else scaled_width(size - 1, width) == before


def test_a_width_is_checked_before_it_divides() -> None:
    with pytest.raises(MotherNetsError, match="`width` must be a number greater than 0"):
        zoo.d5(SMALL, 3, width=0)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_hundred_variants_of_vgg16_are_distinct(width: float) -> None:
    def scaled(blocks: tuple) -> tuple:
        return tuple((k, scaled_width(f, width)) for block in blocks for k, f in block)

    base = scaled(VGG16_BLOCKS)
    variants = [scaled(blocks) for blocks in vgg16_variants(100, width=width).values()]
    assert len(set(variants)) == 100
    for variant in variants:
        changed = [(now, was) for now, was in zip(variant, base, strict=True) if now != was]
        ways = {(now[0] > was[0], now[1] > was[1]) for now, was in changed}
        assert len(changed) in (1, 2)
        assert len(ways) == 1, "two layers of a variant are changed in one way"
        assert all(now[0] >= was[0] and now[1] >= was[1] for now, was in changed)


def test_a_variant_is_what_its_name_says() -> None:
    variants = vgg16_variants(273)
    assert len(variants) == 3 * (13 + 13 * 12 // 2)
    blocks = variants["VGG16-both-2-13"]
    assert blocks[0] == [(3, 64), (5, 128)]
    assert blocks[4] == [(3, 512), (3, 512), (5, 1024)]
    assert blocks[1:4] == VGG16_BLOCKS[1:4]
    assert variants["VGG16-kernel-3"][1] == [(5, 128), (3, 128)]
    assert variants["VGG16-filters-10"][3] == [(3, 512), (3, 512), (3, 1024)]


def test_the_drawing_is_always_the_same() -> None:
    first = list(vgg16_variants(100))
    np.random.seed(1)
    keras.utils.set_random_seed(7)
    assert list(vgg16_variants(100, width=1 / 8)) == first
    assert list(vgg16_variants(25)) == first[:25]
    # Of another Python, too: `random.random` is promised to stay.
    assert first[:3] == ["VGG16-both-10-13", "VGG16-kernel-5-9", "VGG16-both-12-13"]
    layers = {number for name in first[:25] for number in name.split("-")[2:]}
    assert layers == {str(number) for number in range(1, 14)}


@pytest.mark.slow
def test_v25_is_the_beginning_of_v100() -> None:
    few, many = (build(SMALL, 3, width=1 / 64) for build in (zoo.v25, zoo.v100))
    assert (len(few), len(many)) == (25, 100)
    assert [member.label for member in few] == [member.label for member in many[:25]]
    assert [_sizes(member) for member in few] == [_sizes(member) for member in many[:25]]


# What the MotherNet of each must be, and two members to hatch: its largest, and one in between.
MOTHERS = {
    "d5": (1 / 12, lambda: zoo.densenet(SMALL, 10, width=1 / 12), (3, 4)),
    "r10": (1 / 8, lambda: zoo.resnet(SMALL, 10, width=1 / 8), (5, 9)),
    "wrn5": (1 / 16, lambda: zoo.wide_resnet(SMALL, 10, width=1 / 16), (2, 4)),
    "v25": (1 / 32, lambda: zoo.vgg(SMALL, 10, VGG16_BLOCKS, width=1 / 32), (0, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOTHERS)
def test_the_mothernet_and_members_hatched_from_it(name: str) -> None:
    width, expected, chosen = MOTHERS[name]
    members = getattr(zoo, name)(SMALL, 10, width=width)
    mother = km.mothernet(members)
    assert same_architecture(mother, expected())
    assert all(km.can_hatch(mother, member) for member in members)
    _unsaturated(randomise(mother))
    largest = members[chosen[-1]].model
    assert km.max_deviation(mother, largest) > 0.01
    for index in chosen:
        hatched = km.hatch(mother, members[index])
        assert km.max_deviation(mother, hatched) <= 1e-10


def _unsaturated(model: keras.Model) -> None:
    """Make random logits small, lest a softmax of 0 and 1 hide what differs before it."""
    features = keras.Model(model.input, model.get_layer("global_pooling").output)
    images = np.random.default_rng(0).normal(size=(8, *SMALL)).astype("float32")
    kernel = model.get_layer("probabilities").kernel
    kernel.assign(kernel / float(np.abs(features(images, training=False)).max()))
