"""`datasets.load`: what comes back, and what is said when it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_mothernets import datasets
from keras_mothernets.errors import DataError, MotherNetsError

ROWS = 40


def _images(count: int, seed: int, shape: tuple[int, ...] = (6, 5, 3)) -> list[dict]:
    random = np.random.default_rng(seed)
    return [
        {"image": random.integers(0, 256, shape, dtype="uint8"), "label": row % 4}
        for row in range(count)
    ]


def _prepare(folder: Path, name: str, splits: dict[str, list[dict]], **features: object) -> None:
    """Write data as tensorflow-datasets would have prepared them."""
    spec = {
        "image": tfds.features.Image(shape=(6, 5, 3)),
        "label": tfds.features.ClassLabel(names=["ant", "bee", "cat", "dog"]),
        **features,
    }
    tfds.dataset_builders.AdhocBuilder(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(spec),
        split_datasets={split: list(enumerate(rows)) for split, rows in splits.items()},
        data_dir=folder,
    ).download_and_prepare()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    train, test, own = _images(ROWS, 1), _images(12, 2), _images(8, 3)
    _prepare(folder, "with_test", {"train": train, "test": test})
    _prepare(folder, "with_both", {"train": train, "test": test, "validation": own})
    _prepare(folder, "train_only", {"train": train})
    _prepare(folder, "no_train", {"test": test})
    mixed = _images(4, 4) + _images(4, 5, (7, 7, 3))
    any_size = tfds.features.Image(shape=(None, None, 3))
    _prepare(folder, "mixed_sizes", {"train": mixed, "test": test}, image=any_size)
    _prepare(folder, "same_size", {"train": train, "test": test}, image=any_size)
    sixteen = tfds.features.Image(shape=(6, 5, 3), dtype=np.uint16)
    deep = [{**row, "image": row["image"].astype("uint16")} for row in test]
    _prepare(folder, "deep_colour", {"train": deep}, image=sixteen)
    two = [{**row, "second": row["image"]} for row in test]
    _prepare(folder, "pairs", {"train": two}, second=tfds.features.Image(shape=(6, 5, 3)))
    return folder


def _rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_digits_are_the_original_ones_as_bytes() -> None:
    from sklearn.datasets import load_digits

    data = datasets.load("digits")
    original = load_digits().images
    assert data.input_shape == (8, 8, 1) and data.num_classes == 10
    assert data.class_names == tuple("0123456789")
    parts = [data.x_train, data.x_val, data.x_test]
    assert all(part.dtype == np.uint8 for part in parts)
    together = _rows(np.round(np.concatenate(parts)[..., 0] * (16 / 255)))
    assert together == _rows(original)
    assert sum(len(part) for part in parts) == len(original)
    assert str(data) == (
        "digits: 1,294 training, 144 validation and 359 test images of 8 x 8 x 1, 10 classes"
    )


def test_every_split_has_every_class_in_equal_share() -> None:
    data = datasets.load("digits", validation=0.25)
    for labels in (data.y_train, data.y_val, data.y_test):
        shares = np.bincount(labels, minlength=10) / len(labels)
        # The full set has shares of 9.7 % to 10.2 %; rounding adds one example at most.
        assert np.all(np.abs(shares - 0.1) < 0.01)


def test_seed_draws_the_validation_images_and_never_the_test_images() -> None:
    first, again, other = (datasets.load("digits", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.x_val, again.x_val)
    np.testing.assert_array_equal(first.x_test, other.x_test)
    assert not np.array_equal(first.y_val, other.y_val)


def test_no_validation_images_when_none_are_asked_for() -> None:
    data = datasets.load("digits", validation=0)
    assert data.x_val.shape == (0, 8, 8, 1) and data.y_val.shape == (0,)
    assert len(data.x_train) == 1438


def test_prepared_data_are_read_with_their_own_test_split(data_dir: Path) -> None:
    data = datasets.load("with_test", data_dir=data_dir, validation=0.2)
    assert data.x_train.shape == (32, 6, 5, 3) and data.x_train.dtype == np.uint8
    assert len(data.x_val) == 8 and data.y_val.dtype == np.int32
    assert data.class_names == ("ant", "bee", "cat", "dog")
    written = {row["image"].tobytes(): row["label"] for row in _images(12, 2)}
    read = {image.tobytes(): label for image, label in zip(data.x_test, data.y_test, strict=True)}
    assert read == written


def test_own_validation_split_is_kept(data_dir: Path) -> None:
    data = datasets.load("with_both", data_dir=data_dir)
    assert len(data.x_train) == ROWS
    assert _rows(data.x_val) == {row["image"].tobytes() for row in _images(8, 3)}


def test_a_fifth_becomes_the_test_split_where_there_is_none(data_dir: Path) -> None:
    data = datasets.load("train_only", data_dir=data_dir, validation=0)
    assert len(data.x_test) == ROWS // 5
    assert not _rows(data.x_train) & _rows(data.x_test)


def test_images_of_one_size_are_taken_even_when_none_is_declared(data_dir: Path) -> None:
    assert datasets.load("same_size", data_dir=data_dir).input_shape == (6, 5, 3)


BAD_INPUT = {
    "unknown name": ("no_such_data", "`no_such_data`: tensorflow-datasets does not know it"),
    "malformed name": ("no such/data/x y", "cannot find it"),
    "not prepared and offline": ("mnist", "network cannot be reached"),
    "sizes differ": ("mixed_sizes", "not all of one size.*keras.ops.image.resize"),
    "16-bit images": ("deep_colour", "not 8-bit. Expected: uint8. Received: uint16"),
    "two images per example": ("pairs", "`second`: Image"),
    "no train split": ("no_train", "no `train` split. Received: `test`"),
}


@pytest.mark.parametrize(("name", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_what_cannot_be_loaded_is_said_in_one_sentence(
    name: str, message: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A port that nothing listens on, so that the test is offline wherever it runs.
    monkeypatch.setattr(datasets, "PROBE_ADDRESS", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=f"Data set `{name}`") as caught:
        datasets.load(name, data_dir=data_dir)
    assert caught.match(message)
    assert "\n" not in str(caught.value)


def test_broken_files_are_told_from_wrong_sizes(tmp_path: Path) -> None:
    _prepare(tmp_path, "broken", {"train": _images(4, 1)})
    [file] = tmp_path.glob("broken/1.0.0/*.tfrecord*")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="`broken`: Its prepared files cannot be read"):
        datasets.load("broken", data_dir=tmp_path)


def test_data_dir_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`data_dir` is not a folder"):
        datasets.load("mnist", data_dir=tmp_path / "missing")


@pytest.mark.parametrize("seed", [-1, "x", 0.5])
def test_a_seed_that_is_none_is_named(seed) -> None:
    with pytest.raises(MotherNetsError, match="`seed` must be a whole number of at least 0"):
        datasets.load("digits", seed=seed)


@pytest.mark.parametrize("validation", [1.0, -0.1, "a tenth"])
def test_validation_must_be_a_fraction(validation: object) -> None:
    with pytest.raises(DataError, match="`validation` must be a fraction"):
        datasets.load("digits", validation=validation)  # type: ignore[arg-type]


def test_too_few_validation_images_for_all_classes() -> None:
    with pytest.raises(MotherNetsError, match="`digits`: 1 of 1438 examples"):
        datasets.load("digits", validation=0.001)


def test_a_data_set_without_a_name() -> None:
    with pytest.raises(DataError, match="`name` must be the name.*None"):
        datasets.load(None)  # type: ignore[arg-type]
