"""What a file without pickles holds, and how it is damaged."""

import collections
import enum

import ml_dtypes
import numpy as np
import pytest

from keras_mothernets.training.plain_values import is_plain, read_plain, write_plain

RNG = np.random.default_rng(3)


class Colour(enum.IntEnum):
    RED = 1


PLAIN = {
    "none": None,
    "bool": True,
    "int": 2**80,
    "float": 0.1,
    "infinite": float("-inf"),
    "text": 'quotes " and Umlaut ü',
    "bytes of a text": "\ud800",
    "list": [1, [2.5, None], ()],
    "tuple": (1, ("a", [True])),
    "dict": {"a": 1, 2: (3,), (4, 5): {"array": [0]}},
    "number": np.float32(0.1),
    "numbers": [np.int8(3), np.bool_(True), np.str_("a"), ml_dtypes.bfloat16(1.5)],
    "array": RNG.normal(size=(3, 2)),
    "fortran": np.asfortranarray(RNG.normal(size=(3, 2)).astype("float32")),
    "every other": np.arange(10)[::2],
    "no axes": np.array(7, "uint32"),
    "empty": np.zeros((0, 3), "float16"),
    "half": RNG.normal(size=(3, 2)).astype(ml_dtypes.bfloat16),
    "quarter": np.array([1, 2], ml_dtypes.float8_e4m3fn),
    "texts": np.array(["a", "bcd"]),
    "fields": np.zeros(2, [("a", "f4"), ("b", "i8")]),
}


def assert_identical(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert_identical(list(one.items()), list(other.items()))
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for part, twin in zip(one, other, strict=True):
            assert_identical(part, twin)
    elif isinstance(one, (np.ndarray, np.generic)):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    else:
        assert one == other


def test_plain_values_come_back_with_their_types(tmp_path):
    path = tmp_path / "state.npz"
    write_plain(path, PLAIN)
    assert_identical(read_plain(path), PLAIN)
    assert_identical(read_plain(path, only=("half", "int")), {"int": 2**80, "half": PLAIN["half"]})


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"a",
        print,
        Colour.RED,
        collections.OrderedDict(a=1),
        collections.namedtuple("Pair", "a b")(1, 2),
        np.array([None]),
        np.ma.array([1.0]),
        np.zeros(1, [("a", object)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_come_back_as_something_else_is_not_plain(value, tmp_path):
    for nest in (value, [value], (value,), {"a": value}):
        assert not is_plain(nest)
    with pytest.raises(TypeError, match="is not plain"):
        write_plain(tmp_path / "state.npz", {"a": value})


def test_a_damaged_file_is_never_read_as_something_else(tmp_path):
    """One byte is changed, or the end cut off, at many places."""
    path = tmp_path / "state.npz"
    values = {"a": np.arange(50.0), "b": [1, {"c": (np.float32(2), "text")}]}
    write_plain(path, values)
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 3):
        for content in (
            whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :],
            whole[:place],
        ):
            path.write_bytes(content)
            try:
                found = read_plain(path)
            except Exception:
                noticed += 1
            else:
                assert_identical(found, values)
    assert noticed > 2 * len(whole) / 3 / 2
