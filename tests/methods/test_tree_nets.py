"""TreeNets: what is shared and what is not, against gradients counted one by one."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.branching import group_by_trunk, grow_tree, take_branch
from keras_mothernets.member import as_members

SPARSE = "sparse_categorical_crossentropy"
IMAGES = np.random.default_rng(2).normal(size=(30, 8, 8, 3)).astype("float32")


def mlps(mlp):
    return [mlp("a", (6, 5)), mlp("b", (6, 4)), mlp("c", (6, 5, 4))]


def residual(name, units, width=6):
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    for _ in range(units):
        y = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        y = keras.layers.BatchNormalization()(keras.layers.Conv2D(width, 3, padding="same")(y))
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, "softmax")(x), name=name)


def fit(members, data, *, epochs=2, shared_depth=None, **arguments):
    method = km.TreeNets(members, shared_depth=shared_depth, seed=1)
    method.compile("sgd", SPARSE, ["accuracy"], run_eagerly=True)
    return method, method.fit(*data, epochs=epochs, batch_size=20, verbose=0, **arguments)


def outputs(model, x):
    return keras.tree.map_structure(np.asarray, model(x))


def test_a_tree_computes_what_its_members_compute_with_the_trunk_of_the_first(mlp, data):
    members = as_members(mlps(mlp))
    tree = grow_tree(members)
    x = data[0]
    assert tree.output_names == ["a", "b", "c"]
    found = outputs(tree, x)
    np.testing.assert_allclose(found[0], outputs(members[0].model, x), atol=1e-6)
    for member, expected in zip(members, found, strict=True):
        taken = take_branch(tree, member)
        np.testing.assert_allclose(outputs(taken, x), expected, atol=1e-6)
        np.testing.assert_equal(taken.get_weights()[:2], members[0].model.get_weights()[:2])
        np.testing.assert_equal(taken.get_weights()[2:], member.model.get_weights()[2:])


def test_parameters_of_the_trunk_are_there_once(mlp):
    members = as_members(mlps(mlp))
    sizes = [member.model.count_params() for member in members]
    assert grow_tree(members).count_params() == sum(sizes) - 2 * (4 * 6 + 6)


def test_a_trunk_ends_where_everything_passes():
    members = as_members([residual("one", 2), residual("two", 3)])
    for depth, convolutions in ((1, 1), (2, 3), (3, 5)):
        tree = grow_tree(members, shared_depth=depth)
        trunk = [layer for layer in tree.layers if layer.name.startswith("trunk_")]
        kinds = [type(layer).__name__ for layer in trunk]
        assert (kinds.count("Conv2D"), kinds.count("Add")) == (convolutions, depth - 1)
        for member, expected in zip(members, outputs(tree, IMAGES), strict=True):
            taken = outputs(take_branch(tree, member), IMAGES)
            np.testing.assert_allclose(taken, expected, atol=1e-6)


def test_one_step_moves_the_trunk_by_the_sum_of_the_members_gradients(mlp, data):
    x, y = data
    members = mlps(mlp)
    for member in members[1:]:  # all with the trunk of the first
        member.set_weights([*members[0].get_weights()[:2], *member.get_weights()[2:]])
    gradients = []
    for member in members:
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, member(x)))
        gradients.append([np.asarray(g) for g in tape.gradient(loss, member.trainable_weights)])
    method = km.TreeNets(members, shared_depth=1)
    method.compile(keras.optimizers.SGD(1.0), SPARSE, run_eagerly=True)
    method.fit(x, y, epochs=1, batch_size=len(x), verbose=0)
    for member, trained, own in zip(members, method.members, gradients, strict=True):
        moved = [a - b for a, b in zip(member.get_weights(), trained.get_weights(), strict=True)]
        for position, change in enumerate(moved):
            shared = [each[position] for each in gradients] if position < 2 else [own[position]]
            np.testing.assert_allclose(change, sum(shared), rtol=1e-4, atol=1e-6)


def test_members_come_out_of_the_tree_with_one_trunk_and_branches_of_their_own(mlp, data):
    method, history = fit(mlps(mlp), data, epochs=3, validation_data=data, monitor=None)
    assert [(row.job, row.role, row.epochs) for row in history.ledger] == [
        ("tree", "tree", 3), ("a", "member", 0), ("b", "member", 0), ("c", "member", 0),
    ]  # fmt: skip
    assert {"tree/a_accuracy", "tree/c_loss", "tree/val_b_accuracy"} <= set(history.history)
    a, b, c = (model.get_weights() for model in method.members)
    kernels = a[0].size + sum(weight.size for own in (a, b, c) for weight in own[2::2])
    assert [row.flops for row in history.ledger] == [3 * 40 * 3 * 2 * kernels, 0, 0, 0]
    np.testing.assert_equal(a[:2], b[:2])
    np.testing.assert_equal(a[:2], c[:2])
    assert not np.array_equal(a[2], c[2])
    for name, model in zip("abc", method.members, strict=True):
        found = model.evaluate(*data, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(history.history[f"tree/val_{name}_accuracy"][-1])
    method.ensemble().evaluate(*data, verbose=0)


def test_members_that_begin_as_no_other_stand_alone(mlp, data):
    members = [mlp("a", (6, 5)), mlp("odd", (9, 4)), mlp("b", (6, 4))]
    assert group_by_trunk(as_members(members)) == [(0, 2), (1,)]
    method, history = fit(members, data)
    assert [row.job for row in history.ledger] == ["tree", "a", "b", "odd"]
    full = km.FullData([members[1]], seed=1)
    full.compile("sgd", SPARSE, run_eagerly=True)
    full.fit(*data, epochs=2, batch_size=20, verbose=0)
    np.testing.assert_equal(method.members[1].get_weights(), full.members[0].get_weights())


def test_your_members_stay_as_they_are(mlp, data):
    members = mlps(mlp)
    before = [member.get_weights() for member in members]
    fit(members, data)
    np.testing.assert_equal([member.get_weights() for member in members], before)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.x[10 * index :][:10], self.y[10 * index :][:10]


def dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(10)


@pytest.mark.parametrize("source", [dataset, Batches])
def test_data_in_batches_train_a_tree(source, mlp, data):
    method, history = fit(mlps(mlp), (source(*data),), validation_data=source(*data))
    assert history.ledger["tree"].steps == 8
    assert "tree/val_c_accuracy" in history.history
    assert len(method.members) == 3


def test_sample_weights_count_for_every_branch(mlp, data):
    def biases(weight):
        method, _ = fit(mlps(mlp), data, epochs=1, sample_weight=np.full(40, weight))
        return [model.get_weights()[-1] for model in method.members]

    assert all((bias == 0).all() for bias in biases(0.0))
    assert all((bias != 0).any() for bias in biases(1.0))


@pytest.mark.slow
def test_a_killed_tree_goes_on_with_the_same_numbers(mlp, data, undisturbed_and_killed):
    def run(callback, run_dir):
        keras.utils.set_random_seed(3)
        method, _ = fit(mlps(mlp), data, epochs=4, callbacks=[callback], run_dir=run_dir)
        return [model.get_weights() for model in method.members]

    expected, found = undisturbed_and_killed(run, "tree", 2)
    np.testing.assert_equal(found, expected)


def test_what_training_does_not_find_is_shared_only_where_it_is_the_same(mlp):
    def normalized(name, mean):
        layer = keras.layers.Normalization(mean=None)
        layer.adapt(np.full((4, 4), mean) + np.eye(4))
        rest = [keras.layers.Dense(5, "relu"), keras.layers.Dense(3, "softmax")]
        return keras.Sequential([keras.Input((4,)), layer, *rest], name=name)

    same, other = normalized("a", 1.0), normalized("b", 2.0)
    assert group_by_trunk(as_members([same, normalized("c", 1.0), other])) == [(0, 1), (2,)]

    frozen, free = mlp("a", (6, 5)), mlp("b", (6, 5))
    frozen.layers[0].trainable = False
    another = mlp("c", (6, 4))
    another.layers[0].trainable = False
    twin = mlp("d", (6, 4))
    twin.layers[0].set_weights(frozen.layers[0].get_weights())
    twin.layers[0].trainable = False
    groups = group_by_trunk(as_members([frozen, free, another, twin]))
    assert groups == [(0, 3), (1,), (2,)]
    tree = grow_tree(as_members([frozen, twin]))
    assert [layer.trainable for layer in tree.layers if "Dense" in str(type(layer))][0] is False


def test_a_trunk_does_not_end_between_two_calls_of_one_layer():
    def shared(name, width):
        again = keras.layers.Dense(4, activation="relu")
        x = again(again(inputs := keras.Input((4,))))
        x = keras.layers.Dense(5, activation="relu")(x)
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(width)(x)), name=name)

    members = as_members([shared("a", 2), shared("b", 3)])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    for depth in (1, 2):
        tree = grow_tree(members, shared_depth=depth)
        for member, expected in zip(members, outputs(tree, x), strict=True):
            np.testing.assert_allclose(outputs(take_branch(tree, member), x), expected, atol=1e-6)


def test_names_of_members_do_not_meet_names_of_layers(mlp, data):
    first, second = mlp("net", (6, 5)), mlp("net_dense", (6, 4))
    for layer, name in zip(first.layers, ("one", "dense", "two"), strict=True):
        layer.name = name
    members = as_members([first, second])
    tree = grow_tree(members)
    assert tree.output_names == ["net", "net_dense"]
    for member, expected in zip(members, outputs(tree, data[0]), strict=True):
        np.testing.assert_allclose(outputs(take_branch(tree, member), data[0]), expected, atol=1e-6)
    with pytest.raises(km.SurgeryError, match="Member `trunk_0` has a name that the tree needs"):
        fit([mlp("trunk_0", (6, 5)), second], data)


@pytest.mark.parametrize("is_stream", [False, True])
def test_targets_of_several_outputs_are_refused_with_the_tree_named(
    is_stream, mlp, data, count_fits
):
    given = data[0], {"a": data[1], "b": data[1]}
    with pytest.raises(km.DataError, match="Tree `tree`: .*1 array.*2 arrays"):
        fit(mlps(mlp), (dataset(*given),) if is_stream else given)
    assert count_fits == []


def test_a_member_that_was_lost_is_taken_from_the_stored_tree_again(
    mlp, data, tmp_path, count_fits
):
    members = mlps(mlp)
    method, _ = fit(members, data, run_dir=tmp_path)
    shutil.rmtree(tmp_path / "jobs" / "b")
    again, _ = fit(members, data, run_dir=tmp_path)
    assert count_fits == ["tree"]
    for ours, theirs in zip(method.members, again.members, strict=True):
        np.testing.assert_equal(ours.get_weights(), theirs.get_weights())


def test_what_shares_nothing_is_refused(mlp):
    with pytest.raises(km.SurgeryError, match="`a`, `b` cannot share a trunk"):
        km.TreeNets([mlp("a", (5,)), mlp("b", (6,))]).groups  # noqa: B018
    twins = [mlp("a", (5,)), mlp("b", (5,))]
    assert grow_tree(as_members(twins)).count_params() == 2 * twins[0].count_params() - 25
    with pytest.raises(km.SurgeryError, match="a trunk of 2 units.*Received: 1 equal"):
        km.TreeNets(twins, shared_depth=2).groups  # noqa: B018


@pytest.mark.parametrize("setting", ["epochs", "optimizer", "callbacks"])
def test_settings_of_single_members_are_refused(setting, mlp, data, count_fits):
    value = {"epochs": 3, "optimizer": "adam", "callbacks": []}[setting]
    first, *others = mlps(mlp)
    with pytest.raises(km.MotherNetsError, match=f"Member `a` has `{setting}` of its own"):
        fit([km.Member(first, **{setting: value}), *others], data)
    assert count_fits == []


def test_labels_out_of_range_are_found_before_a_tree_is_trained(mlp, data, count_fits):
    with pytest.raises(km.DataError, match="Tree `tree`"):
        fit(mlps(mlp), (data[0], data[1] + 3))
    assert count_fits == []


@pytest.mark.slow
def test_residual_networks_are_trained_on_digits():
    data = km.datasets.load("digits")
    members = [
        km.zoo.resnet(data.x_train.shape[1:], 10, depth=depth, width=0.25, name=f"r{depth}")
        for depth in (8, 14)
    ]
    method = km.TreeNets(members)
    method.compile(keras.optimizers.Adam(0.01), SPARSE, ["accuracy"])
    method.fit(data.x_train, data.y_train, epochs=3, verbose=0)
    found = method.ensemble().evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.7
