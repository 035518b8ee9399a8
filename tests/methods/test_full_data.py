"""Whole runs of independent training, against what `keras.Model.fit` gives."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"


def fitted(
    members, data, *, loss=SPARSE, optimizer="sgd", metrics=("accuracy",), seed=0, eager=True, **fit
):
    method = km.FullData(members, seed=seed)
    # Eagerly, because tracing costs more than all the steps of such small networks.
    method.compile(optimizer, loss, metrics=list(metrics), run_eagerly=eager)
    arguments = {"epochs": 2, "batch_size": 20, "verbose": 0, **fit}
    history = method.fit(*data, **arguments)
    return method, history


def predicted(model, x):
    """Outputs without the tracing that `predict` costs."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x))


def weights_of(method):
    return [model.get_weights() for model in method.members]


def same(one, other):
    return all(
        np.array_equal(a, b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def test_members_are_trained_and_yours_stay_untouched(mlp, data):
    model = mlp()
    before = model.get_weights()
    method, _ = fitted([model], data)
    assert not same(weights_of(method), [before])
    np.testing.assert_equal(model.get_weights(), before)
    assert not model.compiled
    assert method.members[0].evaluate(*data, verbose=0, return_dict=True).keys() == {
        "loss",
        "accuracy",
    }


def test_the_history_is_that_of_keras_under_each_jobs_name(mlp, data):
    method, history = fitted([mlp("a"), mlp("b")], data, validation_data=data, monitor=None)
    metrics = ("loss", "accuracy", "val_loss", "val_accuracy")
    assert set(history.history) == {f"{job}/{metric}" for job in "ab" for metric in metrics}
    assert all(len(values) == 2 for values in history.history.values())
    assert history.jobs["a"]["val_loss"] == history.history["a/val_loss"]
    loss, accuracy = method.members[0].evaluate(*data, verbose=0)
    assert history.jobs["a"]["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history.jobs["a"]["val_accuracy"][-1] == pytest.approx(accuracy)


def test_the_ledger_counts_steps_examples_and_parameters(mlp, data):
    model = mlp()
    _, history = fitted([model], data, epochs=3)
    (row,) = history.ledger.rows
    assert (row.epochs, row.steps, row.examples) == (3, 6, 120)
    assert row.parameters == model.count_params()
    kernels = sum(weight.numpy().size for weight in model.weights if weight.name == "kernel")
    assert row.flops == 120 * 3 * 2 * kernels
    assert row.peak_memory is None or row.peak_memory > 10**7
    assert row.wall_seconds > 0 and row.cpu_seconds > 0
    assert (row.status, row.inherited, row.deviation) == ("finished", None, None)
    assert row.metrics["loss"] == history.jobs["mlp"]["loss"][-1]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(mlp, data):
    model = mlp(dropout=0.5)
    first, again, other = (weights_of(fitted([model], data, seed=seed)[0]) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_the_users_random_state_is_left_alone(mlp, data):
    model = mlp(dropout=0.5)
    np.random.seed(3)
    expected = np.random.random(3)
    np.random.seed(3)
    fitted([model], data)
    np.testing.assert_array_equal(np.random.random(3), expected)


def orders(members, x, **fit):
    """The order in which each job saw its examples: a list per epoch, by job."""
    seen = {}

    class Note(keras.callbacks.Callback):
        def __init__(self, job):
            super().__init__()
            self.job = job

        def on_epoch_begin(self, epoch, logs=None):
            seen.setdefault(self.job.name, []).append([])

    def noting(y_true, y_pred):
        if seen:  # the settings are tried once before the first job
            epochs = list(seen.values())[-1]
            epochs[-1].extend(np.asarray(y_true).ravel().tolist())
        return keras.ops.mean(y_pred, -1)

    method = km.FullData(members)
    method.compile("sgd", noting, run_eagerly=True)
    method.fit(
        x,
        np.arange(len(x), dtype="float32"),
        epochs=3,
        batch_size=7,
        verbose=0,
        callbacks=lambda job: [Note(job)],
        **fit,
    )
    return seen


def test_members_shuffle_differently_and_every_epoch_anew(mlp, data):
    seen = orders([mlp(name, units=1, activation=None) for name in "ab"], data[0])
    rows = [tuple(epoch) for job in ("a", "b") for epoch in seen[job]]
    assert len(set(rows)) == 6
    assert all(sorted(row) == list(range(40)) for row in rows)


def test_without_shuffle_the_order_stays(mlp, data):
    seen = orders([mlp("a", units=1, activation=None)], data[0], shuffle=False)
    assert seen["a"] == [list(range(40))] * 3


def direct(model, x, y, *, loss=SPARSE, **fit):
    """What Keras itself gives, from the same weights and in the same order."""
    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    eager = bool(fit)  # compiled once, for the plain case
    copied.compile(
        "sgd", loss, metrics=["accuracy"], weighted_metrics=["accuracy"], run_eagerly=eager
    )
    history = copied.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, **fit).history
    return copied, history


@pytest.mark.parametrize(
    "fit",
    [
        {},
        {"sample_weight": np.linspace(0, 2, 40)},
        {"class_weight": {0: 0.2, 2: 5.0}},
        {"validation_split": 0.25},
        {"validation_split": 0.25, "class_weight": {0: 0.2, 2: 5.0}},
        {"validation_split": 0.25, "sample_weight": np.linspace(0, 2, 40)},
        {"validation_split": 0.25, "validation_batch_size": 3, "validation_freq": 2},
    ],
    ids=lambda fit: "+".join(fit) or "plain",
)
def test_arguments_of_fit_mean_what_they_mean_in_keras(mlp, data, fit):
    model = mlp()
    copied, expected = direct(model, *data, **fit)
    method = km.FullData([model])
    method.compile(
        "sgd", SPARSE, metrics=["accuracy"], weighted_metrics=["accuracy"], run_eagerly=bool(fit)
    )
    history = method.fit(
        *data, epochs=2, batch_size=8, shuffle=False, verbose=0, monitor=None, **fit
    )
    assert history.jobs["mlp"].keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history.jobs["mlp"][name], values, rtol=1e-5)
    for mine, theirs in zip(method.members[0].get_weights(), copied.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def as_tf(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // 8

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return self.x[rows], self.y[rows]


@pytest.mark.parametrize("make", [as_tf, Batches])
def test_data_sets_are_fed_as_they_are(mlp, data, make):
    model = mlp()
    copied, _ = direct(model, *data)
    method, history = fitted(
        [model],
        (make(*data),),
        metrics=(),
        shuffle=False,
        validation_data=make(*data),
        monitor=None,
    )
    for mine, theirs in zip(method.members[0].get_weights(), copied.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert history.ledger["mlp"].steps == 10
    assert "mlp/val_loss" in history.history


def test_an_endless_data_set_needs_the_steps_of_an_epoch(mlp, data):
    endless = as_tf(*data).repeat()
    with pytest.raises(km.DataError, match="never ends.*steps_per_epoch"):
        fitted([mlp()], (endless,))
    _, history = fitted([mlp()], (endless,), steps_per_epoch=3)
    assert history.ledger["mlp"].steps == 6


def test_each_job_has_its_own_optimizer_and_schedule(mlp, data):
    steps = {}

    def optimizer(job):
        steps[job.name] = job.steps
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, job.steps))

    members = [mlp("short"), km.Member(mlp("long"), epochs=4)]
    fitted(members, data, optimizer=optimizer)
    assert steps == {"short": 4, "long": 8}


def test_a_members_own_optimizer_callbacks_and_epochs_count(mlp, data):
    still = km.Member(
        mlp("still"),
        name="renamed",
        optimizer=keras.optimizers.SGD(0.0),
        epochs=3,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended(epoch))],
    )
    epochs = []
    ended = epochs.append
    method, history = fitted([still, mlp("other")], data)
    np.testing.assert_equal(method.members[0].get_weights(), still.model.get_weights())
    assert epochs == [0, 1, 2]
    assert [row.epochs for row in history.ledger] == [3, 2]
    assert list(history.jobs) == ["renamed", "other"]


def test_early_stopping_is_fresh_for_every_job(mlp, data):
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=1, min_delta=100.0, start_from_epoch=1
    )
    _, history = fitted([mlp("a"), mlp("b")], data, epochs=6, callbacks=[stopping])
    assert [row.epochs for row in history.ledger] == [3, 3]
    assert [row.steps for row in history.ledger] == [6, 6]
    assert stopping.wait == 0


def test_callbacks_may_be_a_function_of_the_job(mlp, data, tmp_path):
    fitted(
        [mlp("a"), mlp("b")],
        data,
        callbacks=lambda job: [keras.callbacks.CSVLogger(tmp_path / f"{job.name}.csv")],
    )
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "b.csv"}


def test_a_loss_that_is_no_number_stops_the_run_with_job_and_epoch(mlp, data):
    def optimizer(job):
        return keras.optimizers.SGD(1e30 if job.name == "wild" else 0.1)

    with pytest.raises(km.RunError, match="Job `wild`: the loss became (nan|inf) in epoch 1"):
        fitted([mlp("wild", activation=None, units=1)], data, optimizer=optimizer, loss="mse")


def failing(at):
    """A callback that fails at the end of an epoch."""

    def end(epoch, logs):
        raise KeyError("no such file")

    return lambda job: keras.callbacks.LambdaCallback(on_epoch_end=end) if job.name == at else None


def test_what_fails_within_a_job_names_the_job_and_its_cause(mlp, data, tmp_path):
    with pytest.raises(
        km.RunError, match="Job `b` cannot go on.*KeyError: 'no such file'"
    ) as caught:
        fitted([mlp("a"), mlp("b")], data, callbacks=failing("b"), run_dir=tmp_path)
    assert isinstance(caught.value.__cause__, KeyError)
    assert (tmp_path / "jobs" / "a" / "state.json").exists()


@pytest.mark.parametrize("eager", [False, True])
def test_a_label_out_of_range_in_a_later_batch_is_said_in_one_line(mlp, data, eager):
    x, y = data[0], np.where(np.arange(40) == 39, 9, data[1])
    with pytest.raises(km.RunError, match="Job `mlp` cannot go on.*label value of 9") as caught:
        fitted([mlp()], (as_tf(x, y),), eager=eager)
    assert "\n" not in str(caught.value)


def test_weights_that_became_no_numbers_are_found_behind_an_activation(mlp, data):
    class Spoil(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            layer = self.model.layers[0]
            layer.kernel.assign(layer.kernel * np.nan)

    with pytest.raises(km.RunError, match="Job `mlp`: the weights became NaN.*kernel"):
        fitted([mlp()], data, callbacks=lambda job: Spoil())


def test_examples_are_counted_in_steps(mlp, data):
    _, history = fitted([mlp()], data, epochs=1, batch_size=16, steps_per_epoch=2)
    assert (history.ledger["mlp"].steps, history.ledger["mlp"].examples) == (2, 32)
    _, history = fitted([mlp()], data, epochs=2, batch_size=16)
    assert (history.ledger["mlp"].steps, history.ledger["mlp"].examples) == (6, 80)


def test_steps_are_batches_where_gradients_are_accumulated(mlp, data):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    _, history = fitted([mlp()], data, optimizer=optimizer)
    assert (history.ledger["mlp"].steps, history.ledger["mlp"].examples) == (4, 80)


@pytest.mark.parametrize("restore", [True, False])
def test_the_ledger_tells_of_the_weights_that_are_kept(mlp, data, restore):
    stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=restore)
    method, history = fitted(
        [mlp()],
        data,
        optimizer=keras.optimizers.SGD(40.0),  # the loss goes up
        epochs=6,
        validation_data=data,
        monitor=None,
        callbacks=[stopping],
    )
    values, row = history.jobs["mlp"]["val_loss"], history.ledger["mlp"]
    assert values[-1] > 2 * min(values)
    assert row.metrics["val_loss"] == (min(values) if restore else values[-1])
    kept = method.members[0].evaluate(*data, verbose=0, return_dict=True)
    assert row.metrics["val_loss"] == pytest.approx(kept["loss"], rel=1e-4)
    assert row.metrics["val_accuracy"] == pytest.approx(kept["accuracy"])


def test_a_later_compile_leaves_the_finished_run_as_it_was(mlp, data):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    method, _ = fitted([mlp("a", activation=None), mlp("b", activation=None)], data, loss=loss)
    expected = predicted(method.ensemble(), data[0])
    method.compile("sgd", SPARSE)
    np.testing.assert_array_equal(predicted(method.ensemble(), data[0]), expected)
    np.testing.assert_allclose(expected.sum(-1), 1.0, rtol=1e-5)


def test_whole_numbers_of_numpy_are_numbers(mlp, data, tmp_path):
    members = [km.Member(mlp("a"), epochs=np.int64(1)), mlp("b")]
    _, history = fitted(
        members,
        data,
        seed=np.int32(3),
        epochs=np.int64(2),
        batch_size=np.uint8(20),
        steps_per_epoch=np.int64(1),
        run_dir=tmp_path,
    )
    assert [row.steps for row in history.ledger] == [1, 2]


def test_metrics_are_the_third_argument_of_compile(mlp, data):
    method = km.FullData([mlp()])
    method.compile("sgd", SPARSE, ["accuracy"], weighted_metrics="accuracy", run_eagerly=True)
    history = method.fit(*data, epochs=1, verbose=0)
    assert {"mlp/accuracy", "mlp/weighted_accuracy"} <= set(history.history)


def segmenter(name, *, strides=1):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(3, 3, strides=strides, padding="same")(inputs)
    outputs = keras.layers.Conv2D(3, 1, activation="softmax")(x)
    return keras.Model(inputs, outputs, name=name)


def tagger(name):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, 4)(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x), name=name)


def named_inputs(name):
    inputs = [keras.Input((None, size), name=key) for key, size in (("left", 2), ("right", 3))]
    x = keras.layers.Concatenate()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x), name=name)


RNG = np.random.default_rng(0)
FREE = {
    "images": (segmenter, RNG.random((8, 6, 4, 1)).astype("float32"), (8, 6, 4)),
    "images without channels": (segmenter, RNG.random((8, 6, 4)).astype("float32"), (8, 6, 4)),
    "sequences": (tagger, RNG.integers(0, 9, (8, 5)), (8, 5)),
    "named inputs": (
        named_inputs,
        {
            "right": RNG.random((8, 5, 3)).astype("float32"),
            "left": RNG.random((8, 5, 2)).astype("float32"),
        },
        (8, 5),
    ),
}


@pytest.mark.parametrize("row", FREE)
@pytest.mark.parametrize("form", ["arrays", "batches"])
def test_outputs_may_have_sizes_that_are_free(row, form):
    build, x, shape = FREE[row]
    y = np.random.default_rng(1).integers(0, 3, shape)
    data = (x, y) if form == "arrays" else (as_tf(x, y),)
    _, history = fitted([build("a"), build("b")], data)
    assert np.isfinite(history.history["b/loss"]).all()


def test_sizes_that_are_free_must_still_be_those_of_the_labels(count_fits):
    x, y = RNG.random((8, 6, 4, 1)).astype("float32"), RNG.integers(0, 3, (8, 6, 4))
    with pytest.raises(km.MotherNetsError, match="Member `b`: The loss and metrics cannot be"):
        fitted([segmenter("a"), segmenter("b", strides=2)], (x, y))
    assert count_fits == []


class Scale(keras.layers.Layer):
    """A layer as many write it: without `get_config`, and its name is not known to it."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


def test_layers_without_a_config_and_raw_operations_are_copied(data):
    def build(name):
        x = inputs = keras.Input((4,))
        x = keras.ops.relu(keras.layers.Dense(5)(Scale()(x)))
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x), name=name)

    _, history = fitted([build("a"), build("b")], data)
    assert [row.epochs for row in history.ledger] == [2, 2]


def test_steps_per_execution_and_eager_runs_give_the_same(mlp, data):
    model = mlp()
    results = []
    for settings in ({}, {"steps_per_execution": 3}, {"run_eagerly": True}):
        method = km.FullData([model])
        method.compile("sgd", SPARSE, **settings)
        method.fit(*data, epochs=2, batch_size=8, verbose=0)
        results.append(method.members[0].get_weights())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_mixed_precision_scales_the_loss(mlp, data):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = mlp()
    finally:
        keras.config.set_dtype_policy("float32")
    method, history = fitted([model], data, eager=False)
    (member,) = method.members
    assert isinstance(member.optimizer, keras.optimizers.LossScaleOptimizer)
    assert member.layers[0].compute_dtype == "float16"
    assert np.isfinite(history.history["mlp/loss"]).all()
    assert predicted(method.ensemble(), data[0]).dtype == np.float32


def test_regression_and_multi_label(mlp, data):
    x, y = data
    for activation, loss, labels in (
        (None, "mse", x[:, :2] * 3),
        ("sigmoid", "binary_crossentropy", (x[:, :2] > 0).astype("uint8")),
    ):
        members = [mlp(name, units=2, activation=activation) for name in "ab"]
        method, _ = fitted(members, (x, labels), loss=loss, metrics=())
        expected = np.mean([predicted(model, x) for model in method.members], 0)
        np.testing.assert_allclose(predicted(method.ensemble(), x), expected, atol=1e-6)


def test_logits_come_out_as_probabilities_with_a_loss_to_match(mlp, data):
    x, y = data
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    nll = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nll")
    members = [mlp("a", activation=None), mlp("b", activation=None)]
    method, _ = fitted(members, data, loss=loss, metrics=[nll, "accuracy"], epochs=4)
    ensemble = method.ensemble()
    raw = [predicted(model, x) for model in method.members]
    probabilities = np.mean([np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in raw], 0)
    np.testing.assert_allclose(predicted(ensemble, x), probabilities, atol=1e-6)
    scores = ensemble.evaluate(x, y, verbose=0, return_dict=True)
    expected = -np.log(probabilities[np.arange(len(y)), y]).mean()
    assert scores["loss"] == pytest.approx(expected, rel=1e-5)
    assert scores["nll"] == pytest.approx(expected, rel=1e-5)
    assert scores["accuracy"] == pytest.approx((probabilities.argmax(-1) == y).mean())


def test_binary_logits_and_their_threshold(mlp, data):
    x, y = data
    labels = (y > 0).astype("float32")
    members = [mlp("a", units=1, activation=None), mlp("b", units=1, activation=None)]
    method, _ = fitted(
        members,
        (x, labels),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    raw = np.stack([predicted(model, x) for model in method.members])
    probabilities = (1 / (1 + np.exp(-raw))).mean(0)
    ensemble = method.ensemble()
    np.testing.assert_allclose(predicted(ensemble, x), probabilities, atol=1e-6)
    scores = ensemble.evaluate(x, labels, verbose=0, return_dict=True)
    hits = (probabilities[:, 0] > 0.5) == (labels > 0.5)
    assert scores["binary_accuracy"] == pytest.approx(hits.mean())


def two_headed(name, hidden):
    x = keras.Input((4,), name="features")
    h = keras.layers.Dense(hidden, activation="relu")(x)
    heads = [keras.layers.Dense(3, name="kind")(h), keras.layers.Dense(1, name="size")(h)]
    return keras.Model(x, heads, name=name)


@pytest.mark.parametrize("form", ["lists", "dicts"])
def test_several_outputs(data, form):
    x, y = data
    size = x[:, 0]
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"}
    metrics = {"kind": ["accuracy"], "size": ["mae"]}
    labels = {"kind": y, "size": size}
    weights = {"kind": 1.0, "size": 0.3}
    sample_weight = np.linspace(0.5, 1.5, 40)
    if form == "lists":
        losses, metrics, labels, weights = (
            list(d.values()) for d in (losses, metrics, labels, weights)
        )
    method = km.FullData([two_headed("a", 4), two_headed("b", 7)])
    method.compile("sgd", losses, loss_weights=weights, metrics=metrics, run_eagerly=True)
    history = method.fit(
        x,
        labels,
        epochs=2,
        batch_size=8,
        verbose=0,
        sample_weight=sample_weight,
        validation_split=0.2,
    )
    assert {"a/kind_accuracy", "b/val_size_mae"} <= set(history.history)
    ensemble = method.ensemble()
    kind, _ = predicted(ensemble, x)
    np.testing.assert_allclose(kind.sum(-1), 1.0, rtol=1e-5)
    # One batch: Keras averages the losses of single outputs over batches of any size alike.
    scores = ensemble.evaluate(x, labels, batch_size=40, verbose=0, return_dict=True)
    nll = -np.log(kind[np.arange(40), y]).mean()
    assert scores["kind_loss"] == pytest.approx(nll, rel=1e-4)


def test_several_inputs(data):
    x, y = data
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    model = keras.Model([a, b], keras.layers.Dense(3, activation="softmax")(joined), name="two")
    for arrays in ([x, x[:, :2]], {"a": x, "b": x[:, :2]}):
        method, history = fitted([model], (arrays, y))
        assert len(history.history["two/loss"]) == 2
        assert predicted(method.ensemble(), arrays).shape == (40, 3)


def test_votes_and_weights_of_trained_members(mlp, data):
    method, _ = fitted([mlp("a"), mlp("b")], data)
    each = np.stack([predicted(model, data[0]) for model in method.members])
    votes = np.eye(3)[each.argmax(-1)].mean(0)
    np.testing.assert_allclose(predicted(method.ensemble("vote"), data[0]), votes)
    weighted = predicted(method.ensemble("weighted", weights=[1, 3]), data[0])
    np.testing.assert_allclose(weighted, each[0] / 4 + each[1] * 3 / 4, atol=1e-6)


def test_members_cannot_vote_on_a_regression(mlp, data):
    method, _ = fitted([mlp(units=1, activation=None)], (data[0], data[0][:, 0]), loss="mse")
    with pytest.raises(km.MotherNetsError, match="cannot vote on output"):
        method.ensemble("vote")


def test_an_ensemble_is_compiled_saved_and_loaded(mlp, data, tmp_path):
    method, _ = fitted([mlp("a"), mlp("b")], data)
    ensemble = method.ensemble()
    scores = ensemble.evaluate(*data, verbose=0, return_dict=True)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    assert loaded.evaluate(*data, verbose=0, return_dict=True) == pytest.approx(scores)


def test_a_plan_says_what_would_be_done_and_trains_nothing(mlp, data, count_fits):
    method = km.FullData([mlp("a"), km.Member(mlp("b"), epochs=5)])
    plan = method.plan(*data, epochs=2, batch_size=8)
    assert [(job.name, job.epochs, job.steps) for job in plan] == [("a", 2, 10), ("b", 5, 25)]
    assert "b" in str(plan)
    assert count_fits == []


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


class OwnLoss(keras.Sequential):
    def compute_loss(self, *arguments, **options):
        return 2 * super().compute_loss(*arguments, **options)


def test_training_of_a_models_own_is_refused(mlp):
    x = keras.Input((4,))
    for model, verb in (
        (OwnStep(x, keras.layers.Dense(3)(x), name="odd"), "train_step"),
        (OwnLoss([x, *mlp().layers], name="odd"), "compute_loss"),
    ):
        with pytest.raises(km.MotherNetsError, match=f"Member `odd` has a `{verb}` of its own"):
            km.FullData([mlp(), model])


@pytest.mark.filterwarnings("ignore:.*received `from_logits=True`")  # Keras has its own warning
@pytest.mark.parametrize(
    ("activation", "from_logits", "words"),
    [("softmax", True, "ends in softmax"), (None, False, "ends without an activation")],
)
def test_a_loss_that_does_not_go_with_the_last_layer_is_warned_of(
    mlp, data, activation, from_logits, words
):
    method = km.FullData([mlp("net", activation=activation)])
    method.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    with pytest.warns(UserWarning, match=f"Member `net`: output `.*` {words}"):
        method.fit(*data, epochs=1, verbose=0)


def test_metrics_of_an_ensemble_are_told_apart_by_output(data):
    """One output of logits, one of probabilities, each with thresholds of its own kind."""

    def net(name, hidden):
        x = keras.Input((4,))
        h = keras.layers.Dense(hidden, activation="relu")(x)
        first = keras.layers.Dense(1, name="logit")(h)
        second = keras.layers.Dense(1, activation="sigmoid", name="share")(h)
        return keras.Model(x, [first, second], name=name)

    x, classes = data
    y = [(classes > 0).astype("float32"), (classes > 1).astype("float32")]
    binary = keras.losses.BinaryCrossentropy
    metrics = keras.metrics
    method = km.FullData([net("a", 4), net("b", 5)])
    method.compile(
        "adam",
        [binary(from_logits=True), binary()],
        [
            [metrics.BinaryAccuracy(threshold=0.0, name="hit"),
             metrics.Recall(thresholds=0.0, name="found")],
            [metrics.BinaryAccuracy(name="hit")],
        ],
    )  # fmt: skip
    method.fit(x, y, epochs=3, verbose=0)
    ensemble = method.ensemble()
    first, second = (np.ravel(part) > 0.5 for part in ensemble.predict(x, verbose=0))
    found = ensemble.evaluate(x, y, verbose=0, return_dict=True)
    assert found["logit_hit"] == pytest.approx(np.mean(first == y[0]))
    assert found["logit_found"] == pytest.approx(np.mean(first[y[0] > 0]))
    assert found["share_hit"] == pytest.approx(np.mean(second == y[1]))


def test_what_logits_mean_can_be_said_where_the_loss_does_not_tell(mlp, data):
    def own(y_true, y_pred, from_logits=False):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits)

    method = km.FullData([mlp("a", activation=None), mlp("b", (5,), activation=None)])
    method.compile("adam", functools.partial(own, from_logits=True))
    method.fit(*data, epochs=1, verbose=0)
    with pytest.raises(km.MotherNetsError, match='logits="softmax"'):
        method.ensemble()
    given = method.ensemble(logits="softmax").predict(data[0], verbose=0)
    np.testing.assert_allclose(given.sum(-1), 1, atol=1e-5)
    with pytest.raises(km.MotherNetsError, match="cannot vote"):
        method.ensemble("vote")
