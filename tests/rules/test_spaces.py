"""Channel spaces: maps of products and sums against arrays that are really moved."""

from __future__ import annotations

import numpy as np
import pytest
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.errors import SurgeryError
from keras_mothernets.rules import Map, Product, Spaces
from keras_mothernets.rules.axes import Concat


def _index(spaces: Spaces, axis: object, seed: int = 0) -> np.ndarray:
    found = spaces.maps(seed)[axis]  # type: ignore[index]
    assert found is not None
    return found.index


def test_every_channel_of_the_mother_is_kept() -> None:
    spaces = Spaces()
    atom = spaces.new(3, 8)
    for seed in range(5):
        index = _index(spaces, atom, seed)
        assert list(index[:3]) == [0, 1, 2]
        assert set(index) == {0, 1, 2}
        assert len(index) == 8


def test_a_product_moves_as_a_flattened_array_does() -> None:
    spaces = Spaces()
    height, width, channels = spaces.fixed(2, 2, "x"), spaces.fixed(3, 3, "x"), spaces.new(2, 5)
    image = np.arange(2 * 3 * 2).reshape(2, 3, 2)
    wanted = image[:, :, _index(spaces, channels)].reshape(-1)
    found = image.reshape(-1)[_index(spaces, Product((height, width, channels)))]
    assert np.array_equal(found, wanted)
    swapped = np.swapaxes(image, 0, 2)
    wanted = swapped[_index(spaces, channels)].reshape(-1)
    found = swapped.reshape(-1)[_index(spaces, Product((channels, width, height)))]
    assert np.array_equal(found, wanted)


def test_a_sum_moves_as_a_concatenated_array_does() -> None:
    spaces = Spaces()
    first, second = spaces.new(2, 4), spaces.new(3, 5)
    one, two = np.arange(2), np.arange(10, 13)
    wanted = np.concatenate([one[_index(spaces, first)], two[_index(spaces, second)]])
    found = np.concatenate([one, two])[_index(spaces, Concat((first, second)))]
    assert np.array_equal(found, wanted)


def test_joined_axes_share_one_map() -> None:
    spaces = Spaces()
    first, second = spaces.new(3, 7), spaces.new(3, 7)
    assert not np.array_equal(_index(spaces, first), _index(spaces, second))
    spaces.join(first, second)
    assert np.array_equal(_index(spaces, first), _index(spaces, second))


def test_joining_products_joins_their_factors() -> None:
    spaces = Spaces()
    axes = [(spaces.fixed(2, 2, "x"), spaces.new(3, 7)) for _ in range(2)]
    spaces.join(Product(axes[0]), Product(axes[1]))
    assert np.array_equal(_index(spaces, axes[0][1]), _index(spaces, axes[1][1]))


def test_a_refined_atom_moves_as_its_factors() -> None:
    spaces = Spaces()
    atom = spaces.new(6, 10)
    pixels, channels = spaces.refine(atom, [(2, 2), (3, 5)])
    array = np.arange(6).reshape(2, 3)
    wanted = array[_index(spaces, pixels)][:, _index(spaces, channels)].reshape(-1)
    assert np.array_equal(array.reshape(-1)[_index(spaces, atom)], wanted)


@pytest.mark.parametrize(
    ("mother", "member", "fragment"),
    [(3, 4, "because it is the output"), (5, 4, "it is the output")],
)
def test_a_pinned_axis_must_not_grow(mother: int, member: int, fragment: str) -> None:
    spaces = Spaces()
    with pytest.raises(SurgeryError, match=fragment):
        spaces.pin(spaces.new(mother, member), "it is the output")


def test_a_factor_of_one_does_not_make_an_axis_another() -> None:
    """A depthwise convolution's channels, joined with what it read, once led in a circle."""
    spaces = Spaces()
    channels, multiplier = spaces.new(3, 5), spaces.new(1, 1)
    spaces.join(channels, Product((channels, multiplier)))
    assert (_index(spaces, channels) == _index(spaces, Product((channels, multiplier)))).all()
    other = spaces.new(3, 5)
    spaces.join(Product((other, multiplier)), channels)
    spaces.join(channels, other)
    assert (_index(spaces, other) == _index(spaces, channels)).all()
    with pytest.raises(SurgeryError, match="different sizes"):
        spaces.join(channels, Product((channels, spaces.new(1, 2))))


def test_what_does_not_fit_is_refused() -> None:
    spaces = Spaces()
    with pytest.raises(SurgeryError, match="different sizes"):
        spaces.join(spaces.new(2, 3), spaces.new(2, 4))
    with pytest.raises(SurgeryError, match="made up differently"):
        spaces.join(
            Product((spaces.new(2, 2), spaces.new(3, 3))),
            Concat((spaces.new(3, 3), spaces.new(3, 3))),
        )
    with pytest.raises(SurgeryError, match="Negated copies"):
        spaces.sign(spaces.fixed(2, 2, "it is the input"))
    narrow = Spaces()
    narrow.new(5, 4)
    with pytest.raises(SurgeryError, match="too narrow"):
        narrow.maps(0)


def test_signed_axes_hold_each_channel_once_as_it_is_and_once_negated() -> None:
    spaces = Spaces()
    atom = spaces.new(3, 8)
    spaces.sign(atom)
    found = spaces.maps(0)[atom]
    assert isinstance(found, Map)
    assert found.sign is not None
    pairs = set(zip(found.index.tolist(), found.sign.tolist(), strict=True))
    assert pairs == {(channel, sign) for channel in range(3) for sign in (1.0, -1.0)}
    assert not found.is_identity
    assert spaces.limits(atom) == (4, 8)


def test_an_axis_is_joined_with_a_product_of_itself_and_ones() -> None:
    """A depthwise convolution that is added to what flows into it."""
    spaces = Spaces()
    channels, multiplier = spaces.new(2, 5), spaces.new(1, 1)
    spaces.join(channels, Product((channels, multiplier)))
    spaces.join(Product((Product((channels, multiplier)), spaces.new(1, 1))), channels)
    assert spaces.size(channels) == (2, 5)
    assert spaces.is_free(channels)
