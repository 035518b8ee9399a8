"""Ensembles: the numbers that come out, and that the model is a plain one."""

import keras
import numpy as np
import pytest

from keras_mothernets import GraphError, MotherNetsError, combine

L = keras.layers
X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def mlp(name, units=3, activation="softmax", hidden=5):
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(hidden, activation="relu"),
            L.Dense(units, activation=activation),
        ],
        name=name,
    )


def members(**values):
    return [
        mlp(name, hidden=hidden, **values) for name, hidden in zip("abc", (3, 5, 7), strict=True)
    ]


def outputs(models, squash=lambda z: z):
    return np.stack([squash(predicted(model)) for model in models])


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def predicted(model, x=X):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x))


def test_average_is_the_mean_of_the_members():
    models = members()
    expected = outputs(models).mean(0)
    np.testing.assert_allclose(predicted(combine(models)), expected, atol=1e-6)


def test_weights_are_scaled_to_sum_to_one():
    models = members()
    ensemble = combine(models, "weighted", weights=[2, 0, 6])
    expected = np.average(outputs(models), axis=0, weights=[0.25, 0, 0.75])
    np.testing.assert_allclose(predicted(ensemble), expected, atol=1e-6)
    assert not np.allclose(expected, outputs(models).mean(0), atol=1e-3)


def test_a_vote_gives_the_share_of_members_for_each_class():
    models = members()
    votes = np.eye(3)[outputs(models).argmax(-1)].mean(0)
    np.testing.assert_allclose(predicted(combine(models, "vote")), votes, atol=1e-6)


@pytest.mark.parametrize("units", [1, 3])
def test_a_vote_on_independent_units_counts_yes(units):
    models = members(units=units, activation="sigmoid")
    votes = (outputs(models) > 0.5).mean(0)
    np.testing.assert_allclose(predicted(combine(models, "vote")), votes, atol=1e-6)


@pytest.mark.parametrize(
    ("units", "logits", "squash"),
    [(3, True, softmax), (1, True, sigmoid), (3, "sigmoid", sigmoid), (3, [True], softmax)],
)
def test_logits_become_probabilities_before_they_are_averaged(units, logits, squash):
    models = members(units=units, activation=None)
    expected = outputs(models, squash).mean(0)
    np.testing.assert_allclose(predicted(combine(models, logits=logits)), expected, atol=1e-6)
    assert not np.allclose(expected, squash(outputs(models).mean(0)), atol=1e-4)


@pytest.mark.parametrize(
    ("logits", "squash"), [("sigmoid", sigmoid), (True, softmax)], ids=["units", "classes"]
)
def test_votes_of_logits(logits, squash):
    models = members(activation=None)
    raw = outputs(models)
    votes = (raw > 0).mean(0) if logits == "sigmoid" else np.eye(3)[raw.argmax(-1)].mean(0)
    np.testing.assert_allclose(predicted(combine(models, "vote", logits=logits)), votes, atol=1e-6)


def test_logits_are_known_from_the_loss_of_compiled_members():
    models = members(activation=None)
    for model in models:
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(
        predicted(combine(models)), outputs(models, softmax).mean(0), atol=1e-6
    )
    raw = combine(models, logits=False)
    np.testing.assert_allclose(predicted(raw), outputs(models).mean(0), atol=1e-6)


def test_one_member_is_itself():
    model = mlp("only")
    np.testing.assert_array_equal(predicted(combine([model])), predicted(model))


def test_names_are_clean_and_yours_are_untouched():
    models = [mlp("net"), mlp("net"), mlp("predictions")]
    before = [model.get_weights() for model in models]
    ensemble = combine(models, name="three")
    names = [layer.name for layer in ensemble.layers]
    assert names == ["input", "net", "net_2", "predictions", "predictions_2"]
    assert ensemble.name == "three"
    for layer, model, weights in zip(ensemble.layers[1:4], models, before, strict=True):
        assert layer is not model
        for variable in layer.weights:
            variable.assign(variable + 1)
        np.testing.assert_equal(model.get_weights(), weights)
    assert [model.name for model in models] == ["net", "net", "predictions"]


def two_headed(name, hidden, structure):
    x = keras.Input((4,), name="features")
    h = L.Dense(hidden, activation="relu")(x)
    kind = L.Dense(3, name="kind")(h)
    size = L.Dense(1, name="size")(h)
    return keras.Model(x, structure(kind, size), name=name)


@pytest.mark.parametrize("structure", [lambda k, s: [k, s], lambda k, s: {"kind": k, "size": s}])
def test_each_output_is_combined_on_its_own(structure):
    models = [two_headed(name, hidden, structure) for name, hidden in (("a", 3), ("b", 5))]
    ensemble = combine(models, logits={"kind": True})
    each = [keras.tree.flatten(predicted(model)) for model in models]
    kind, size = keras.tree.flatten(predicted(ensemble))
    np.testing.assert_allclose(kind, np.mean([softmax(one[0]) for one in each], 0), atol=1e-6)
    np.testing.assert_allclose(size, np.mean([one[1] for one in each], 0), atol=1e-6)
    assert ensemble.output_names == ["kind", "size"]
    assert [tensor.name for tensor in ensemble.inputs] == ["features"]
    assert isinstance(ensemble.output, type(models[0].output))


def two_inputs(name):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    return keras.Model({"a": a, "b": b}, L.Dense(2)(L.Concatenate()([a, b])), name=name)


def test_named_inputs_stay_named():
    models = [two_inputs("one"), two_inputs("two")]
    x = {"a": X, "b": X[:, :2]}
    expected = np.mean([predicted(model, x) for model in models], 0)
    np.testing.assert_allclose(predicted(combine(models), x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"method": "weighted", "weights": [1, 2, 3]},
        {"method": "vote"},
        {"logits": True},
        {"method": "vote", "logits": "sigmoid"},
    ],
    ids=str,
)
def test_it_saves_loads_clones_and_exports_as_a_plain_model(arguments, tmp_path):
    import tensorflow as tf

    ensemble = combine(members(), **arguments)
    expected = predicted(ensemble)
    ensemble.save(tmp_path / "e.keras")
    np.testing.assert_array_equal(
        predicted(keras.saving.load_model(tmp_path / "e.keras")), expected
    )
    cloned = keras.models.clone_model(ensemble)
    cloned.set_weights(ensemble.get_weights())
    np.testing.assert_array_equal(predicted(cloned), expected)
    ensemble.export(tmp_path / "saved", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(exported.serve(X), expected, atol=1e-6)


def test_half_precision_members_are_averaged_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = members()
        ensemble = combine(models)
    finally:
        keras.config.set_dtype_policy("float32")
    assert models[0].outputs[0].dtype == "bfloat16"
    assert predicted(ensemble).dtype == np.float32


def subclassed():
    class Own(keras.Model):
        def call(self, x):
            return x

    return Own(name="own")


@pytest.mark.parametrize(
    ("models", "arguments", "culprit"),
    [
        (lambda: [], {}, "at least one member"),
        (lambda: mlp("a"), {}, "list of models"),
        (lambda: [mlp("a"), "b"], {}, "Member 1 is not a Keras model"),
        (lambda: [mlp("a"), mlp("b", units=4)], {}, "`b` has other output shapes than member `a`"),
        (lambda: [mlp("a"), keras.Sequential([L.Dense(3)], name="b")], {}, "`b`.*not built"),
        (lambda: [subclassed()], {}, "`own`.*subclassed"),
        (lambda: [mlp("a")], {"method": "median"}, "`method`.*'median'"),
        (lambda: [mlp("a")], {"weights": [1]}, "`weights` are given with `average`"),
        (lambda: [mlp("a")], {"method": "weighted"}, "`weights` are missing"),
        (lambda: [mlp("a")], {"method": "weighted", "weights": [1, 2]}, "1 finite numbers"),
        (lambda: [mlp("a")], {"method": "weighted", "weights": [-1]}, "`weights` cannot be used"),
        (lambda: [mlp("a")], {"method": "weighted", "weights": "ab"}, "`weights` cannot.*'ab'"),
        (lambda: [mlp("a")], {"method": "weighted", "weights": {0: 1}}, "`weights` cannot"),
        (lambda: [mlp("a")], {"method": "weighted", "weights": 5}, "`weights` cannot be used.*5"),
        (lambda: [mlp("a")], {"name": "x/y"}, "name.*without `/`.*'x/y'"),
        (lambda: [mlp("a")], {"logits": "tanh"}, "`logits` cannot be used.*'tanh'"),
        (lambda: [mlp("a")], {"logits": {"kind": True}}, "`logits` names output `kind`"),
    ],
)
def test_what_cannot_be_combined_is_named(models, arguments, culprit):
    with pytest.raises((MotherNetsError, GraphError), match=culprit):
        combine(models(), **arguments)


def compiled(model, loss):
    model.compile(loss=loss)
    return model


def test_logits_and_probabilities_side_by_side():
    """Each member by its own loss and last activation, whichever comes first."""
    sparse = keras.losses.SparseCategoricalCrossentropy
    first = compiled(mlp("logits", activation=None), sparse(from_logits=True))
    second = compiled(mlp("probabilities"), sparse())
    third = compiled(mlp("both"), sparse(from_logits=True))  # as Keras lets one do
    expected = np.mean([softmax(predicted(first)), predicted(second), predicted(third)], 0)
    for models in ([first, second, third], [third, second, first]):
        np.testing.assert_allclose(predicted(combine(models)), expected, atol=1e-6)


class Derived(keras.losses.BinaryCrossentropy):
    """A loss of the user's that is one of Keras'."""


class Own(keras.losses.Loss):
    def __init__(self, from_logits=True, **options):
        super().__init__(**options)
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


@pytest.mark.parametrize("loss", [Derived(from_logits=True), Own()], ids=["derived", "own"])
def test_logits_of_a_loss_of_ones_own(loss):
    models = [compiled(model, loss) for model in members(units=1, activation=None)]
    np.testing.assert_allclose(
        predicted(combine(models)), outputs(models, sigmoid).mean(0), atol=1e-6
    )
    several = [compiled(model, loss) for model in members(units=3, activation=None)]
    if isinstance(loss, Own):
        with pytest.raises(MotherNetsError, match='`logits="softmax"` or `logits="sigmoid"`'):
            combine(several)
        ensemble = combine(several, logits="sigmoid")
    else:
        ensemble = combine(several)
    np.testing.assert_allclose(predicted(ensemble), outputs(several, sigmoid).mean(0), atol=1e-6)


def raw_sigmoid(name, units):
    x = keras.Input((4,))
    return keras.Model(x, keras.ops.sigmoid(L.Dense(units)(x)), name=name)


def test_votes_behind_other_sigmoids():
    for models in (
        [raw_sigmoid(name, 3) for name in "abc"],
        members(activation="hard_sigmoid"),
        [compiled(m, "binary_crossentropy") for m in members(activation="linear")],
    ):
        votes = (outputs(models) > 0.5).mean(0)
        np.testing.assert_allclose(predicted(combine(models, "vote")), votes, atol=1e-6)


def test_names_that_inputs_outputs_and_members_want():
    def net(name, hidden):
        x = keras.Input((4,), name="image")
        return keras.Model(x, L.Dense(3, name="cls")(L.Dense(hidden)(x)), name=name)

    models = [net(name, n) for n, name in enumerate(("image", "image_2", "cls"), start=2)]
    ensemble = combine(models)
    assert [tensor.name for tensor in ensemble.inputs] == ["image"]
    assert ensemble.output_names == ["cls"]
    names = [layer.name for layer in ensemble.layers]
    assert names == ["image", "image_3", "image_2", "cls_2", "cls"]
