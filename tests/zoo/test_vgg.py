"""The VGG family, and V5 in particular."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_mothernets import zoo
from keras_mothernets.errors import MotherNetsError

BLOCKS = [[(3, 4)], [(3, 6), (1, 8)], [(5, 8)]]

# Convolutions with bias and a 10-way head after global pooling, in millions: the paper's networks
# as worked out by hand from its table (filter size : filters).
V5_PARAMETERS = {"V13": 9.410, "V16": 10.001, "V16A": 6.484, "V16B": 14.720, "V19": 20.030}


@pytest.fixture(scope="module")
def v5_parameters() -> dict[str, int]:
    """Number of parameters at full size, by name; the networks are too large to keep."""
    members = zoo.v5((32, 32, 3), 10, batch_norm=False)
    return {member.label: member.model.count_params() for member in members}


def test_v5_has_the_parameters_of_the_paper(v5_parameters: dict[str, int]) -> None:
    millions = {name: round(count / 1e6, 3) for name, count in v5_parameters.items()}
    assert millions == V5_PARAMETERS


def test_v5_for_imagenet_sizes_has_the_parameters_of_vgg(v5_parameters: dict[str, int]) -> None:
    # Simonyan and Zisserman 2015, table 2: configurations B, C, D, E have 133, 134, 138 and 144 M.
    # Counted without building 700 MB: convolutions as above, plus the three Dense layers.
    head = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    own_head = 512 * 10 + 10
    sizes = [v5_parameters[name] - own_head + head for name in ("V13", "V16", "V16B", "V19")]
    assert [round(size / 1e6) for size in sizes] == [133, 134, 138, 144]


@pytest.mark.parametrize(
    ("side", "sides_after_blocks"),
    [
        (32, [16, 8, 4, 2, 1]),
        (64, [32, 16, 8, 4, 2]),
        (28, [28, 14, 7, 3, 1]),
        (8, [8, 8, 4, 2, 1]),
    ],
)
def test_all_members_agree_on_resolutions(side: int, sides_after_blocks: list[int]) -> None:
    for member in zoo.v5((side, side, 1), 3, width=1 / 32):
        sides = {}
        for layer in member.model.layers:
            if layer.name.startswith("block"):
                sides[layer.name.split("_")[0]] = layer.output.shape[1]
        assert list(sides.values()) == sides_after_blocks


def test_width_scales_filters_and_keeps_at_least_one() -> None:
    model = zoo.vgg((8, 8, 1), 3, BLOCKS, width=0.3)
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [1, 2, 2, 2]
    assert [layer.kernel_size[0] for layer in convolutions] == [3, 3, 1, 5]


def test_head_of_hidden_units() -> None:
    model = zoo.vgg((8, 8, 1), 3, BLOCKS, head=(7, 5))
    assert [layer.units for layer in model.layers if isinstance(layer, layers.Dense)] == [7, 5, 3]
    assert any(isinstance(layer, layers.Flatten) for layer in model.layers)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_network_gives_probabilities_for_bytes(batch_norm: bool) -> None:
    model = zoo.vgg((8, 8, 1), 3, BLOCKS, batch_norm=batch_norm)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype="uint8")
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert np.ptp(probabilities, axis=0).max() > 1e-4  # the image makes a difference


def test_augmentation_moves_and_mirrors_in_training_only() -> None:
    model = zoo.vgg((16, 16, 1), 3, BLOCKS, augment=True)
    plain = zoo.vgg((16, 16, 1), 3, BLOCKS)
    plain.set_weights(model.get_weights()[-len(plain.get_weights()) :])
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 1), dtype="uint8")
    # Inference is untouched: the translation resamples in float32, so not bit for bit.
    # (Called without `training`, Keras' random layers take it as True.)
    expected = plain(images, training=False)
    np.testing.assert_allclose(model(images, training=False), expected, rtol=1e-5, atol=1e-6)

    shift = model.get_layer("shift")
    moved = np.asarray(keras.Model(model.input, shift.output)(images, training=True))
    scaled = images / 127.5 - 1
    offsets = {_offset(scaled[row], moved[row]) for row in range(len(images))}
    assert None not in offsets, "an image is not a shifted, perhaps mirrored copy of itself"
    assert len(offsets) > 1, "all images of the batch were moved alike"


def _offset(image: np.ndarray, moved: np.ndarray, reach: int = 4) -> tuple | None:
    side = image.shape[0]
    for mirrored in (False, True):
        padded = np.pad(image[:, ::-1] if mirrored else image, ((reach,) * 2,) * 2 + ((0, 0),))
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                window = padded[down : down + side, right : right + side]
                if np.allclose(window, moved, atol=1e-5):
                    return mirrored, down, right
    return None


BAD_INPUT = {
    "flat shape": ({"input_shape": (64,)}, "`input_shape` is not the shape of an image"),
    "open shape": ({"input_shape": (None, 8, 1)}, r"Received: \(None, 8, 1\)"),
    "no classes": ({"num_classes": 0}, "`num_classes` must be a whole number.*Received: 0"),
    "no width": ({"width": 0}, "`width` must be a number greater than 0"),
    "no blocks": ({"blocks": []}, "`blocks` must hold at least one block"),
    "empty block": ({"blocks": [[(3, 4)], []]}, "`blocks` must hold at least one block"),
    "a name for blocks": ({"blocks": "VGG16"}, "`blocks` must be a list.*'VGG16'"),
    "a number for a head": ({"head": 4}, "`head` must be a list.*4"),
    "no filters": ({"blocks": [[(3, 0)]]}, "`filters` must be"),
    "half a kernel": ({"blocks": [[(1.5, 4)]]}, "`kernel size` must be"),
    "unknown head": ({"head": "flatten"}, "`head` is unknown.*Received: 'flatten'"),
    "no hidden units": ({"head": (0,)}, "`head` must be"),
}


@pytest.mark.parametrize(("change", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_arguments_are_named(change: dict, message: str) -> None:
    arguments = {"input_shape": (8, 8, 1), "num_classes": 3, "blocks": BLOCKS, **change}
    with pytest.raises(MotherNetsError, match=message):
        zoo.vgg(**arguments)
