"""Image classification data as arrays: a small set that needs no network, and all of tfds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mothernets.errors import DataError, MotherNetsError, naming, reason_of, whole_number

# The part of a data set without a test split of its own that becomes its test images. It is drawn
# with a seed of its own, so that figures from runs with different seeds speak of the same images.
TEST_FRACTION = 0.2
TEST_SEED = 0

DIGITS = tuple(str(digit) for digit in range(10))  # classes of the data set of that name

# Answers quickly where there is a network. tensorflow-datasets itself retries for minutes.
PROBE_ADDRESS = "https://www.tensorflow.org/datasets"
PROBE_SECONDS = 5


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images and labels of one data set, split three ways and held in memory.

    Images are uint8 arrays of shape (examples, height, width, channels) with values of 0 to 255;
    labels are int32 arrays of shape (examples,) that count classes from 0. The arrays are meant
    to be shared by all members of an ensemble: data are read and decoded once, scaled and
    augmented inside the networks.

    Args:
        name: As it was given to `load`.
        x_train: Images to train on.
        y_train: Their labels.
        x_val: Images that are held out, to choose the best epoch or weights by.
        y_val: Their labels.
        x_test: Images to measure on, once, at the end.
        y_test: Their labels.
        class_names: Names of the classes, in the order of their numbers.

    Example:
        >>> data = load("digits")
        >>> data.x_train.shape, data.x_train.dtype, data.input_shape, data.num_classes
        ((1294, 8, 8, 1), dtype('uint8'), (8, 8, 1), 10)
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image: (height, width, channels)."""
        return tuple(self.x_train.shape[1:])

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def __str__(self) -> str:
        counts = f"{len(self.x_train):,} training, {len(self.x_val):,} validation"
        shape = " x ".join(str(size) for size in self.input_shape)
        return (
            f"{self.name}: {counts} and {len(self.x_test):,} test images "
            f"of {shape}, {self.num_classes} classes"
        )


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    validation: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Load an image classification data set into memory.

    The test images do not depend on `seed`: they are the data set's own `test` split, else its
    `validation` split, else a fixed stratified fifth. A data set with a validation split besides
    its test split keeps it; otherwise a stratified part of the training images is held out.

    Args:
        name: "digits" (1,797 handwritten digits of 8 x 8, which come with scikit-learn and need
            no network), or the name of a tensorflow-datasets image classification data set, such
            as "cifar10" or "eurosat/rgb".
        data_dir: Where tensorflow-datasets keeps its data; its own default if None. Data already
            prepared there are read without a network, others are downloaded first.
        validation: Fraction of the training images that is held out, at least 0 and below 1.
        seed: Draws the images held out.

    Returns:
        A `Dataset`.

    Raises:
        DataError: The name is unknown, the data are neither prepared nor to be had from the
            network, or they are not 8-bit images of one size with one label each.
        MotherNetsError: `seed` is no whole number of at least 0.

    Example:
        >>> print(load("digits"))
        digits: 1,294 training, 144 validation and 359 test images of 8 x 8 x 1, 10 classes
    """
    seed = whole_number("seed", seed, 0)
    if not isinstance(name, str):
        raise DataError("`name` must be the name of a data set", received=repr(name))
    if not isinstance(validation, (int, float)) or not 0 <= validation < 1:
        raise DataError(
            "`validation` must be a fraction of the training images",
            expected="at least 0 and less than 1",
            received=repr(validation),
        )
    with naming(f"Data set `{name}`"):
        splits, class_names = _digits() if name == "digits" else _from_tfds(name, data_dir)
        return _three_splits(name, splits, class_names, validation, seed)


def class_names(name: str, *, data_dir: str | Path | None = None) -> tuple[str, ...]:
    """Names of the classes of a data set, in the order of their numbers; reads no images.

    Args:
        name: As in `load`.
        data_dir: As in `load`.

    Returns:
        As many names as there are classes.

    Raises:
        DataError: The name is unknown, or it is not an image classification data set.

    Example:
        >>> class_names("digits")[:3]
        ('0', '1', '2')
    """
    with naming(f"Data set `{name}`"):
        if name == "digits":
            return DIGITS
        import tensorflow_datasets as tfds  # imports TensorFlow, which takes seconds

        builder = _builder(tfds, name, data_dir)
        return tuple(builder.info.features[_keys(tfds, builder.info)[1]].names)


Split = tuple[
    np.ndarray, np.ndarray
]  # images (examples, height, width, channels), labels (examples,)


def _digits() -> tuple[dict[str, Split], tuple[str, ...]]:
    from sklearn.datasets import load_digits  # a second of import time that others need not pay

    images, labels = load_digits(return_X_y=True)
    # Grey values of 0 to 16 become 0 to 255, which is what uint8 images mean elsewhere.
    scaled = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype("uint8")
    return {"train": (scaled, labels.astype("int32"))}, DIGITS


def _from_tfds(name: str, data_dir: str | Path | None) -> tuple[dict[str, Split], tuple[str, ...]]:
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError("`data_dir` is not a folder", received=f"`{data_dir}`")
    import tensorflow_datasets as tfds  # imports TensorFlow, which takes seconds

    with _quiet(tfds):
        builder = _builder(tfds, name, data_dir)
        image_key, label_key = _keys(tfds, builder.info)
        _prepare(builder, data_dir)
        splits = {
            split: _read(builder, split, image_key, label_key)
            for split in ("train", "test", "validation")
            if split in builder.info.splits
        }
    if "train" not in splits:
        raise DataError(
            "There is no `train` split",
            received=", ".join(f"`{split}`" for split in builder.info.splits),
        )
    return splits, tuple(builder.info.features[label_key].names)


@contextmanager
def _quiet(tfds: Any) -> Iterator[None]:
    """No progress bars of tensorflow-datasets within one of our own commands' output."""
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()


def _builder(tfds: Any, name: str, data_dir: str | Path | None) -> Any:
    try:
        return tfds.builder(name, data_dir=None if data_dir is None else str(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        raise DataError(
            f"tensorflow-datasets does not know it, and it is not prepared in {_place(data_dir)}",
            expected="`digits` or a name of the tensorflow-datasets catalogue",
        ) from error
    except (ValueError, AssertionError) as error:  # a malformed name, an unknown version or config
        first_line = reason_of(error)
        raise DataError(f"tensorflow-datasets cannot find it: {first_line}") from error


def _place(data_dir: str | Path | None) -> str:
    return "the default folder" if data_dir is None else f"`{data_dir}`"


def _keys(tfds: Any, info: Any) -> tuple[str, str]:
    """The names of the image and of the label among a data set's features."""
    features = info.features
    images = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    labels = [key for key, value in features.items() if isinstance(value, tfds.features.ClassLabel)]
    if info.supervised_keys is not None:  # says which one is meant where there are several
        images = [key for key in images if key in info.supervised_keys]
        labels = [key for key in labels if key in info.supervised_keys]
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            "It is not an image classification data set",
            expected="one image and one class label per example",
            received=", ".join(
                f"`{key}`: {type(value).__name__}" for key, value in features.items()
            ),
        )
    dtype = np.dtype(features[images[0]].np_dtype)
    if dtype != np.uint8:
        raise DataError("Its images are not 8-bit", expected="uint8", received=str(dtype))
    return images[0], labels[0]


def _prepare(builder: Any, data_dir: str | Path | None) -> None:
    """Download a data set that is not on disk yet; say at once when there is no network."""
    if builder.is_prepared():
        return
    where = _place(data_dir)
    if not _is_online():
        raise DataError(
            f"It is not prepared in {where} and the network cannot be reached to download it",
            fix="Pass the `data_dir` that holds the prepared data, or prepare it where there is a "
            f"network: `tfds.load({builder.name!r}, data_dir=...)`",
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # anything from a lost connection to a full disk
        raise DataError(
            f"tensorflow-datasets could not download and prepare it in {where}: {error}"
        ) from error


def _is_online() -> bool:
    import requests  # comes with tensorflow-datasets and honours proxies

    try:
        requests.head(PROBE_ADDRESS, timeout=PROBE_SECONDS)
    except requests.RequestException:
        return False
    return True


def _read(builder: Any, split: str, image_key: str, label_key: str) -> Split:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    try:
        if None in builder.info.features[image_key].shape:
            # Batched by tensorflow-datasets, smaller images would be padded without a word.
            rows = list(tfds.as_numpy(builder.as_dataset(split=split)))
            images = _stack([row[image_key] for row in rows])
            labels = np.array([row[label_key] for row in rows])
        else:
            batch = builder.as_dataset(split=split, batch_size=-1)
            images, labels = batch[image_key].numpy(), batch[label_key].numpy()
    except tf.errors.OpError as error:  # a file is missing or broken
        raise DataError(
            f"Its prepared files cannot be read: {error.message}",
            fix=f"Remove `{builder.data_path}` and prepare it again",
        ) from error
    return images, labels.astype("int32")


def _stack(images: list[np.ndarray]) -> np.ndarray:
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise DataError(
            "Its images are not all of one size",
            received=f"{len(sizes)} sizes from {sizes[0]} to {sizes[-1]}",
            fix="Resize them yourself, for example with `keras.ops.image.resize`, and pass the "
            "arrays to `fit`",
        )
    return np.stack(images)


def _three_splits(
    name: str,
    splits: dict[str, Split],
    class_names: tuple[str, ...],
    validation: float,
    seed: int,
) -> Dataset:
    train, test, held_out = splits["train"], splits.get("test"), splits.get("validation")
    if test is None:
        test, held_out = held_out, None
    if test is None:
        train, test = stratified_split(train, TEST_FRACTION, TEST_SEED)
    if held_out is None:
        train, held_out = stratified_split(train, validation, seed)
    return Dataset(name, *train, *held_out, *test, class_names)


def stratified_split(data: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Split images and labels in two, with the same share of every class on both sides.

    Args:
        data: Images (examples, ...) and labels (examples,).
        fraction: Part of the examples on the second side; at least 0 and below 1.
        seed: Draws which ones.

    Returns:
        Two pairs of images and labels, of `examples - n` and `n = round(examples * fraction)`
        examples; each in the order of `data`.

    Raises:
        MotherNetsError: A class has fewer than two examples, or there are fewer examples on a
            side than classes.

    Example:
        >>> images, labels = np.zeros((6, 2, 2, 1)), np.array([0, 1, 0, 1, 0, 1])
        >>> [len(y) for x, y in stratified_split((images, labels), 1 / 3, seed=0)]
        [4, 2]
    """
    images, labels = data
    count = round(len(labels) * fraction)
    if count == 0:
        return data, (images[:0], labels[:0])
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(
            np.arange(len(labels)), test_size=count, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise MotherNetsError(
            f"{count} of {len(labels)} examples cannot be held out with all classes on both sides",
            received=str(error),
            fix="Hold out another fraction",
        ) from error
    first, second = np.sort(first), np.sort(second)
    return (images[first], labels[first]), (images[second], labels[second])
