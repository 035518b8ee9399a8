"""Bagging: what each member sees, counted."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.training.data.bootstrap import bootstrap_rows, poisson_weights

SPARSE = "sparse_categorical_crossentropy"


class Seen(keras.layers.Layer):
    """Counts how often it saw each number that stands in the first column, weights not counted."""

    counts: dict[str, np.ndarray] = {}  # noqa: RUF012 - by network

    def __init__(self, owner, size=40, **kwargs):
        super().__init__(**kwargs)
        self.owner, self.size = owner, size

    def call(self, x, training=False):
        if training and tf.executing_eagerly():
            seen = np.bincount(np.asarray(x)[:, 0].astype(int), minlength=self.size)
            self.counts[self.owner] = self.counts.get(self.owner, 0) + seen
        return x

    def get_config(self):
        return {**super().get_config(), "owner": self.owner, "size": self.size}


def numbered(names, size=40):
    Seen.counts = {}
    return [
        keras.Sequential(
            [keras.Input((2,)), Seen(name, size), keras.layers.Dense(1, use_bias=False)], name=name
        )
        for name in names
    ]


def trained(members, x, y=None, *, epochs=1, seed=0, **arguments):
    method = km.Bagging(members, seed=seed)
    method.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    history = method.fit(x, y, epochs=epochs, batch_size=16, verbose=0, **arguments)
    return method, history


def rows(size=40):
    x = np.zeros((size, 2), "float32")
    x[:, 0] = np.arange(size)
    return x, np.ones((size, 1), "float32")


def test_a_sample_has_all_the_rows_it_should_have():
    drawn = [bootstrap_rows(2000, seed) for seed in range(20)]
    assert all(len(sample) == 2000 and set(sample) <= set(range(2000)) for sample in drawn)
    shares = [len(set(sample)) / 2000 for sample in drawn]
    assert np.mean(shares) == pytest.approx(1 - (1 - 1 / 2000) ** 2000, abs=0.005)
    assert np.mean(shares) == pytest.approx(0.632, abs=0.005)


def test_each_member_sees_a_sample_of_its_own_and_the_same_in_every_epoch():
    _, history = trained(numbered("ab"), *rows())
    once = {name: count.copy() for name, count in Seen.counts.items()}
    assert [count.sum() for count in once.values()] == [40, 40]
    assert (once["a"] != once["b"]).any()
    assert all(0.4 < (count > 0).mean() < 0.85 for count in once.values())
    assert [row.examples for row in history.ledger] == [40, 40]
    trained(numbered("ab"), *rows(), epochs=3)
    assert all((Seen.counts[name] == 3 * once[name]).all() for name in "ab")
    trained(numbered("ab"), *rows(), seed=1)
    assert (Seen.counts["a"] != once["a"]).any()


def test_the_order_changes_from_epoch_to_epoch():
    from keras_mothernets.training.data import ArrayBatches

    batches = ArrayBatches((np.arange(40.0)[:, None],), 40, seed=3, bootstrap=5)
    orders = []
    for epoch in range(2):
        batches.begin_epoch(epoch)
        orders.append(batches[0][0][:, 0])
    assert (orders[0] != orders[1]).any()
    assert (np.sort(orders[0]) == np.sort(orders[1])).all()
    assert (np.sort(orders[0]) == bootstrap_rows(40, 5)).all()


def test_without_shuffling_the_sample_comes_in_the_order_of_the_rows():
    from keras_mothernets.training.data import ArrayBatches

    batch = ArrayBatches((np.arange(40.0)[:, None],), 40, bootstrap=5)[0][0][:, 0]
    assert (batch == bootstrap_rows(40, 5)).all()


def test_weights_are_poisson_and_follow_from_the_example_alone():
    x = np.random.default_rng(0).normal(size=(20000, 3)).astype("float32")
    weights = poisson_weights([x], 1)
    assert weights.mean() == pytest.approx(1.0, abs=0.03)
    assert weights.var() == pytest.approx(1.0, abs=0.05)
    for count, share in enumerate((0.3679, 0.3679, 0.1839, 0.0613)):
        assert (weights == count).mean() == pytest.approx(share, abs=0.01)
    order = np.random.default_rng(1).permutation(len(x))
    assert (poisson_weights([x[order]], 1) == weights[order]).all()
    assert (poisson_weights([x], 2) != weights).mean() > 0.5


def test_texts_are_weighted_by_what_they_say():
    words = ["one", "two", "Ümlaut"] * 40
    objects = [np.array([[word] for word in words], dtype=object) for _ in range(2)]
    first, again = (poisson_weights([array], 1) for array in objects)
    assert (first == again).all()
    assert all(len(set(first[place::3])) == 1 for place in range(3))


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, weights=None):
        super().__init__()
        self.arrays = [x, y] if weights is None else [x, y, weights]

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return tuple(array[10 * index :][:10] for array in self.arrays)


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(10)


def gradient_of(source, own=None):
    """One step of plain SGD from zero weights on all 40 examples tells their weights."""
    member = keras.Sequential([keras.Input((40,)), keras.layers.Dense(1, use_bias=False)], name="a")
    member.set_weights([np.zeros((40, 1))])
    x, y = np.eye(40, dtype="float32"), np.ones((40, 1), "float32")
    method = km.Bagging([member])
    method.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
    history = method.fit(source(*(part for part in (x, y, own) if part is not None)), epochs=1,
                         verbose=0)  # fmt: skip
    assert history.ledger["a"].steps == 4
    return method.members[0].get_weights()[0][:, 0] * 10  # each batch has its own ten examples


@pytest.mark.parametrize("source", [dataset, Batches])
def test_examples_of_a_stream_are_weighted(source):
    from keras_mothernets.training.seeds import derive_seed

    seed = derive_seed(0, "a", "bootstrap")
    expected = poisson_weights([np.eye(40, dtype="float32")], seed)
    assert 0.2 < (expected == 0).mean() < 0.6
    np.testing.assert_allclose(gradient_of(source), expected, atol=1e-5)
    own = np.linspace(0.5, 2.0, 40).astype("float32")
    np.testing.assert_allclose(gradient_of(source, own), expected * own, atol=1e-5)


def test_a_stream_with_class_weights_is_refused_before_anything_trains():
    x, y = rows()
    with pytest.raises(km.DataError, match="`class_weight` cannot be given with data in batches"):
        trained(numbered("a"), dataset(x, y), class_weight={1: 2.0})
    assert Seen.counts == {}


def test_a_plan_of_another_sample_is_refused(tmp_path):
    trained(numbered("a"), *rows(), run_dir=tmp_path)
    with pytest.raises(km.RunError, match=r"seed=0.*|bootstrap"):
        trained(numbered("a"), *rows(), run_dir=tmp_path, seed=1)


@pytest.mark.slow
def test_digits_are_learned():
    from keras_mothernets import datasets

    data = datasets.load("digits")
    members = [
        km.zoo.mlp(data.x_train.shape[1:], 10, (32,), scale=1 / 255, name=name) for name in "ab"
    ]
    method = km.Bagging(members)
    method.compile("adam", SPARSE, ["accuracy"])
    method.fit(data.x_train, data.y_train, epochs=12, batch_size=32, verbose=0)
    found = method.ensemble().evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.8
