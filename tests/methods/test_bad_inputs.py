"""What is wrong is said in one sentence that names it, and before anything trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km

SPARSE = "sparse_categorical_crossentropy"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype("float32")
Y = RNG.integers(0, 3, 12)


def mlp(name="net", units=3, features=4, activation="softmax"):
    layers = [keras.Input((features,)), keras.layers.Dense(units, activation=activation)]
    return keras.Sequential(layers, name=name)


def own(y_true, y_pred):
    return keras.ops.mean(y_pred, -1)


def two_headed(name, heads):
    x = keras.Input((4,))
    return keras.Model(x, [keras.layers.Dense(1, name=head)(x) for head in heads], name=name)


def changed(array, row, value):
    array = np.array(array, dtype="float32" if isinstance(value, float) else None)
    array[row] = value
    return array


def batched(x, y, *more):
    return tf.data.Dataset.from_tensor_slices((x, y, *more)).batch(4)


class Failing(keras.utils.PyDataset):
    """A data set of the user's own that has a mistake."""

    def __init__(self):
        super().__init__()

    def __len__(self):
        return 3

    def __getitem__(self, index):
        raise KeyError("image_7")


class Own(keras.Model):
    def call(self, x):
        return x


class Projection(keras.layers.Layer):
    """A layer whose author forgot an argument in its `get_config`."""

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, x):
        return x @ self.kernel

    def get_config(self):
        return {"name": self.name}


class Needy(Projection):
    """One that cannot be made without an argument."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)


def with_layer(layer):
    head = keras.layers.Dense(3, activation="softmax")
    return lambda: [keras.Sequential([keras.Input((4,)), layer(), head], name="odd")]


def fit(members=None, x=X, y=Y, *, compile=None, **arguments):
    method = km.FullData(members() if members else [mlp("net"), mlp("other")])
    method.compile(
        **{"optimizer": "sgd", "loss": SPARSE, "metrics": ["accuracy"], **(compile or {})}
    )
    method.fit(x, y, **{"epochs": 1, "batch_size": 4, "verbose": 0, **arguments})


DATA = {
    "no x": ({"x": None}, "`x` is missing"),
    "no y": ({"y": None}, "Member `net`: `y` is missing"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "`x` is empty"),
    "NaN in x": ({"x": changed(X, 3, np.nan)}, "`x` holds NaN or infinite values.*row 3"),
    "inf in y": (
        {"y": changed(Y, 5, np.inf), "compile": {"loss": "mse"}},
        "`y` holds NaN or infinite values.*row 5",
    ),
    "NaN in weights": ({"sample_weight": changed(np.ones(12), 1, np.nan)}, "`sample_weight` holds"),
    "lengths": ({"y": Y[:-1]}, "`x` and `y` differ in length.*12 and 11 rows"),
    "weights' length": ({"sample_weight": np.ones(5)}, "`x` and `sample_weight` differ in length"),
    "label too large": ({"y": changed(Y, 0, 3)}, "`y` holds labels out of range.*0 to 2.*0 to 3"),
    "label negative": ({"y": changed(Y, 0, -1)}, "`y` holds labels out of range"),
    "labels broken": ({"y": Y + 0.5}, "`y` must hold whole class numbers"),
    "labels one-hot": (
        {"y": np.eye(3)[Y]},
        "`y` must hold class numbers.*categorical_crossentropy",
    ),
    "labels not one-hot": (
        {"compile": {"loss": "categorical_crossentropy"}},
        "`y` must have the shape of the network's output.*sparse_categorical",
    ),
    "shares above one": (
        {"y": np.eye(3)[Y] * 2, "compile": {"loss": "categorical_crossentropy"}},
        "`y` holds labels out of range.*0 to 2",
    ),
    "labels as words": ({"y": np.array(["cat"] * 12)}, "`y` must hold whole class numbers"),
    "targets' shape": (
        {"y": X[:, :2], "compile": {"loss": "mse", "metrics": None}},
        "`y` must have the shape of the network's output",
    ),
    "x shape": ({"x": X[:, :3]}, r"Member `net`: `x` does not match.*\(None, 4\).*\(None, 3\)"),
    "x as list of numbers": ({"x": [[0.0] * 4] * 12}, r"`x\[0\]\[0\]` is not an array"),
    "objects": ({"x": np.array([object()] * 12)}, "`x` is not an array of numbers"),
    "too many inputs": ({"x": [X, X]}, "Member `net`: `x` does not match the network's inputs"),
    "too many targets": ({"y": [Y, Y]}, "Member `net`: `y` does not match the network's outputs"),
    "generator": ({"x": (row for row in X), "y": None}, "`x` is a generator"),
    "y next to a data set": (
        {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)},
        "`y` was given next to a data set",
    ),
    "batches of the wrong shape": (
        {"x": tf.data.Dataset.from_tensor_slices((X[:, :3], Y)).batch(4), "y": None},
        "Member `net`: `x` does not match",
    ),
    "empty data set": (
        {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).take(0), "y": None},
        "`x` has no batches",
    ),
    "validation labels": (
        {"validation_data": (X, Y + 3)},
        "`validation y` holds labels out of range",
    ),
    "validation NaN": ({"validation_data": (changed(X, 2, np.nan), Y)}, "`validation x` holds NaN"),
    "validation shape": ({"validation_data": (X[:, :2], Y)}, "`validation x` does not match"),
    "validation form": ({"validation_data": (X,)}, "`validation_data` must be"),
    "validation split": ({"validation_split": 1.5}, "`validation_split` must lie between"),
    "validation takes all": ({"validation_split": 0.999}, "leaves nothing to train"),
    "split of a data set": (
        {
            "x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(4),
            "y": None,
            "validation_split": 0.5,
        },
        "`validation_split` needs arrays",
    ),
    "both weights": (
        {"class_weight": {0: 1.0}, "sample_weight": np.ones(12)},
        "`class_weight` and `sample_weight` were both given",
    ),
    "class weight by name": ({"class_weight": {"cat": 1.0}}, "`class_weight` must be a dict"),
    "class weight NaN": ({"class_weight": {0: np.nan}}, "`class_weight` of class 0 must be.*nan"),
    "class weight negative": ({"class_weight": {2: -1}}, "`class_weight` of class 2 must be.*-1"),
    "class weight as text": ({"class_weight": {1: "a"}}, "`class_weight` of class 1 must be.*'a'"),
    "validation split as text": ({"validation_split": "0.1"}, "`validation_split` must lie.*'0.1'"),
    "NaN in the first batch": (
        {"x": batched(changed(X, 2, np.nan), Y), "y": None},
        "`x` holds NaN or infinite values.*row 2",
    ),
    "NaN in the first validation batch": (
        {"validation_data": batched(X, changed(Y, 1, np.nan)), "compile": {"loss": "mse"}},
        "`validation y` holds NaN",
    ),
    "single examples": (
        {"x": tf.data.Dataset.from_tensor_slices((X, Y)), "y": None},
        "`x` gives single examples.*batch",
    ),
    "four parts": (
        {"x": batched(X, Y, Y, Y), "y": None},
        "`x` gives batches of 4 parts.*`\\(x, y, sample_weight\\)`",
    ),
    "validation of four parts": (
        {"validation_data": batched(X, Y, Y, Y)},
        "`validation_data` gives batches of 4 parts",
    ),
    "data set that fails": (
        {"x": Failing(), "y": None},
        "`x` fails to give a batch.*KeyError: 'image_7'",
    ),
    "weights of other outputs": (
        {"sample_weight": [np.ones(12), np.ones(12)]},
        "`sample_weight` does not have the structure of `y`",
    ),
}

SETTINGS = {
    "no epochs": ({"epochs": 0}, "`epochs` must be a whole number of at least 1"),
    "half an epoch": ({"epochs": 1.5}, "`epochs` must be"),
    "no batch": ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1"),
    "no loss": ({"compile": {"loss": None}}, "`loss` is missing"),
    "unknown argument of fit": (
        {"batchsize": 3},
        "`fit` has no argument `batchsize`. Did you mean `batch_size`\\?$",
    ),
    "unknown argument like none": (
        {"initial_epoch": 3},
        "`fit` has no argument `initial_epoch`. Expected: one of.*`epochs`.*`class_weight`",
    ),
    "executor": ({"executor": "local"}, "`executor` cannot run a plan.*'local'"),
    "monitor": (
        {"validation_data": (X, Y), "monitor": "val_acc"},
        "Member `net`: `monitor` names.*`val_acc`.*one of `loss`, `accuracy`, `val_loss`,"
        " `val_accuracy`.*monitor=None",
    ),
    "monitor of which more may be better or worse": (
        {"validation_data": (X, Y), "monitor": "val_own", "compile": {"metrics": [own]}},
        "Member `net`: .*Keras does not know.*`val_own` is better.*EarlyStopping\\('val_own'",
    ),
    "monitor that is no name": ({"monitor": 5}, "`monitor` must be the name of a metric.*5"),
    "monitor without a name": ({"monitor": ""}, "`monitor` must be the name of a metric.*''"),
    "validation_freq": ({"validation_freq": 0}, "`validation_freq` must be.*at least 1"),
    "validation_freq's epochs": ({"validation_freq": [1, 0]}, "`validation_freq` must be"),
    "validation_steps": ({"validation_steps": 1.5}, "`validation_steps` must be"),
    "no optimizer": ({"compile": {"optimizer": None}}, "`optimizer` cannot be used.*None"),
    "optimizer function of nothing": (
        {"compile": {"optimizer": lambda job: None}},
        "Member `net`: .*job `net`: `optimizer` cannot be used.*None",
    ),
    "loss as a class": ({"compile": {"loss": keras.losses.Huber}}, "`loss` cannot be used.*Huber"),
    "unknown argument": ({"compile": {"losses": 1}}, "`compile` has no argument `losses`"),
    "unknown optimizer": ({"compile": {"optimizer": "sgdd"}}, "`optimizer` cannot be used"),
    "optimizer function": (
        {"compile": {"optimizer": lambda job: job.no_such}},
        "Member `net`: `optimizer` as a function of the job fails for job `net`",
    ),
    "schedule without length": (
        {
            "compile": {"optimizer": lambda job: keras.optimizers.SGD(1 / job.steps)},
            "x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).filter(lambda x, y: True),
            "y": None,
        },
        "fails for job `net`.*steps_per_epoch",
    ),
    "metric of another output": (
        {"compile": {"metrics": {"head": ["accuracy"]}}},
        "Member `net`: `metrics` names output `head`",
    ),
    "weights of other losses": (
        {"compile": {"loss_weights": [1.0, 2.0]}},
        "Member `net`: The loss and metrics cannot be computed.*2 weights",
    ),
    "metric of its own that breaks": (
        {"compile": {"metrics": [lambda y_true, y_pred: keras.ops.reshape(y_pred, (7, 7))]}},
        "Member `net`: The loss and metrics cannot be computed",
    ),
    "loss of another output": (
        {"compile": {"loss": {"head": "mse"}, "metrics": None}},
        "`loss` names output `head`",
    ),
    "no callback": ({"callbacks": ["stop"]}, "`callbacks` must be Keras callbacks"),
    "one file for all": (
        {"callbacks": [keras.callbacks.ModelCheckpoint("best.keras")]},
        "2 jobs would write over the one file of `ModelCheckpoint`",
    ),
    "verbose": ({"verbose": 3}, "`verbose` must be"),
    "member's optimizer": (
        {"members": lambda: [km.Member(mlp(), name="odd", optimizer="sgdd")]},
        "Member `odd`: `optimizer` cannot be used",
    ),
    "member's callbacks": (
        {"members": lambda: [km.Member(mlp(), name="odd", callbacks=[1])]},
        "Member `odd`: `callbacks` must be",
    ),
    "member's epochs": (
        {"members": lambda: [km.Member(mlp(), name="odd", epochs=-1)]},
        "Member `odd`: `epochs` must be",
    ),
}

MEMBERS = {
    "none": (list, "at least one member"),
    "not a list": (mlp, "`members` must be a list of models"),
    "no model": (lambda: [mlp(), 3], "Member 1 is not a Keras model"),
    "other input": (
        lambda: [mlp("a"), mlp("b", features=5)],
        r"Member `b` has other input shapes than member `a`.*\(4,\).*\(5,\)",
    ),
    "other head": (lambda: [mlp("a"), mlp("b", units=2)], "Member `b` has other output shapes"),
    "not built": (
        lambda: [mlp("a"), keras.Sequential([keras.layers.Dense(3)], name="b")],
        "Member `b`: Model `b` is not built",
    ),
    "subclassed": (lambda: [Own(name="own")], "Member `own`: .*subclassed"),
    "a generator": (lambda: (mlp(name) for name in "ab"), r"`members` must be.*`list\(members\)`"),
    "lambda": (
        with_layer(lambda: keras.layers.Lambda(lambda x: x * 2)),
        "Member `odd`: .*Lambda",
    ),
    "layer that its config cannot make": (
        with_layer(lambda: Needy(3)),
        "Member `odd`: .*Needy.*cannot be made from its config",
    ),
    "layer with another config": (
        with_layer(lambda: Projection(3)),
        r"Member `odd`: .*Projection\) has other weights.*\(4, 3\).*\(4, 2\)",
    ),
    "outputs' names": (
        lambda: [two_headed("a", ["p", "q"]), two_headed("b", ["p", "r"])],
        "Member `b`: `y` has no array for the network's output `r`",
    ),
}


@pytest.mark.parametrize("row", [*DATA, *SETTINGS])
def test_bad_data_and_settings_are_named_before_anything_trains(row, count_fits, tmp_path):
    arguments, culprit = {**DATA, **SETTINGS}[row]
    with pytest.raises(km.MotherNetsError, match=culprit) as caught:
        fit(**arguments, run_dir=tmp_path / "run")
    assert count_fits == []
    assert not (tmp_path / "run").exists()
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("row", MEMBERS)
def test_bad_members_are_named_before_anything_trains(row, count_fits):
    members, culprit = MEMBERS[row]
    y = {"p": X[:, 0], "q": X[:, 1]} if row == "outputs' names" else Y
    settings = {"loss": "mse", "metrics": None} if row == "outputs' names" else {}
    with pytest.raises(km.MotherNetsError, match=culprit):
        fit(members, y=y, compile=settings)
    assert count_fits == []


def test_the_rows_differ_from_what_is_right_in_one_thing_only(count_fits):
    fit()
    assert count_fits == ["net", "other"]


@pytest.mark.parametrize(
    "name", ["x/y", "", ".", "..", 5, "n" * 101, "my net", "größe", "_x", "-x", "a:b", "a\nb"]
)
def test_names_that_keras_or_folders_cannot_have_are_refused(name):
    with pytest.raises(km.MotherNetsError, match="Member 1 has a name.*letters.*km.Member"):
        km.FullData([mlp("a"), km.Member(mlp("b"), name=name)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["n" * 100, "1x", "a.b", "a-b", "mobilenet_1.00_224"])
def test_names_that_are_taken_work_to_the_end(name, tmp_path):
    method = km.FullData([km.Member(mlp("a"), name=name), mlp("b")])
    method.compile("sgd", SPARSE)
    method.fit(X, Y, epochs=1, verbose=0, run_dir=tmp_path / "run")
    ensemble = method.ensemble()
    ensemble.fit(X, Y, verbose=0)
    ensemble.save(tmp_path / "ensemble.keras")
    ensemble.export(tmp_path / "export", verbose=False)
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_allclose(loaded(X), ensemble(X), atol=1e-6)


@pytest.mark.parametrize("run_dir", [5, ""])
def test_a_run_directory_that_is_no_path_is_named(run_dir, count_fits):
    with pytest.raises(km.RunError, match="`run_dir` must be the path of a folder"):
        fit(run_dir=run_dir)
    assert count_fits == []


def test_plan_names_unknown_arguments_as_its_own():
    with pytest.raises(km.MotherNetsError, match="`plan` has no argument `epoch`.*`epochs`"):
        km.FullData([mlp()]).plan(X, Y, epochs=1, epoch=2)


@pytest.mark.parametrize("verb", ["members", "ensemble"])
def test_results_before_fit_are_refused(verb):
    method = km.FullData([mlp()])
    with pytest.raises(km.MotherNetsError, match="no trained members yet.*`compile` and `fit`"):
        getattr(method, verb)()


def test_fit_before_compile_is_refused():
    with pytest.raises(km.MotherNetsError, match="`compile` comes before `fit`"):
        km.FullData([mlp()]).fit(X, Y, epochs=1)


def test_a_file_in_the_way_of_the_run_directory_is_named(tmp_path, count_fits):
    (tmp_path / "run").write_text("")
    with pytest.raises(km.RunError, match="run` cannot be written"):
        fit(run_dir=tmp_path / "run")
    assert count_fits == []


def test_labels_that_do_not_count_may_be_out_of_range(count_fits):
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    fit(y=changed(Y, 0, 255), compile={"loss": loss, "metrics": None})
    assert count_fits == ["net", "other"]
