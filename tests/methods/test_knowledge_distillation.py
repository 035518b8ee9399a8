"""Distillation: gradients against a hand count, teachers, and what is computed how often."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_mothernets as km
from keras_mothernets.training.job import Lesson

SPARSE = "sparse_categorical_crossentropy"
SGD = keras.optimizers.SGD
RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 4)).astype("float32")
Y = RNG.integers(0, 3, 12)
WEIGHTS = RNG.uniform(0.5, 2.0, 12).astype("float32")


def linear(name, units=3, activation=None, scale=1.0):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation=activation)], name=name
    )
    rng = np.random.default_rng(len(name))
    model.set_weights([rng.normal(size=(4, units)) * scale, rng.normal(size=units)])
    return model


def step(member, teacher, *, loss, y=Y, rate=1.0, temperature=3.0, alpha=0.7, **arguments):
    """The change of the weights in one step of plain SGD on all examples."""
    method = km.KnowledgeDistillation(
        [member], teacher=teacher, temperature=temperature, alpha=alpha
    )
    method.compile(SGD(rate), loss, run_eagerly=True)
    method.fit(X, y, epochs=1, batch_size=len(X), verbose=0, **arguments)
    pairs = zip(member.get_weights(), method.members[0].get_weights(), strict=True)
    return [before - after for before, after in pairs]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def logits(model):
    kernel, bias = (np.asarray(weight, "float64") for weight in model.get_weights())
    return X @ kernel + bias


def chained(per_logit):
    """Gradients of kernel and bias from those of the logits, of a mean over examples."""
    return [X.T @ per_logit / len(X), per_logit.mean(0)]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("gives", ["logits", "probabilities"])
def test_the_gradient_is_that_of_the_published_loss(gives, weights):
    activation = None if gives == "logits" else "softmax"
    student, teacher = linear("student", activation=activation), linear("t", activation=activation)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=gives == "logits")
    found = step(student, teacher, loss=loss, sample_weight=weights)
    z, v, temperature, alpha = logits(student), logits(teacher), 3.0, 0.7
    hard = softmax(z) - np.eye(3)[Y]
    soft = temperature * (softmax(z / temperature) - softmax(v / temperature))  # T^2 / T
    per_logit = ((1 - alpha) * hard + alpha * soft) * (1 if weights is None else weights[:, None])
    for ours, theirs in zip(found, chained(per_logit), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_gradient_with_a_sigmoid_per_unit():
    student, teacher = linear("student", activation="sigmoid"), linear("t", activation="sigmoid")
    y = np.eye(3, dtype="float32")[Y]
    found = step(student, teacher, loss="binary_crossentropy", y=y)
    z, v, temperature, alpha = logits(student), logits(teacher), 3.0, 0.7
    hard = (sigmoid(z) - y) / 3  # Keras takes the mean over units
    soft = temperature * (sigmoid(z / temperature) - sigmoid(v / temperature)) / 3
    for ours, theirs in zip(found, chained((1 - alpha) * hard + alpha * soft), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_teacher_that_gives_probabilities_teaches_one_that_gives_logits():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    given = [step(linear("student"), linear("t", activation=act), loss=loss)
             for act in (None, "softmax")]  # fmt: skip
    for ours, theirs in zip(*given, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_without_a_share_of_the_teacher_it_is_training_on_the_labels():
    student = linear("student", activation="softmax")
    found = step(student, linear("t", activation="softmax"), loss=SPARSE, alpha=0.0)
    method = km.FullData([student])
    method.compile(SGD(1.0), SPARSE, run_eagerly=True)
    method.fit(X, Y, epochs=1, batch_size=12, verbose=0)
    pairs = zip(student.get_weights(), method.members[0].get_weights(), strict=True)
    for ours, (before, after) in zip(found, pairs, strict=True):
        np.testing.assert_allclose(ours, before - after, rtol=1e-5, atol=1e-7)


def test_with_the_teacher_alone_labels_do_not_matter():
    def change(y):
        student, teacher = (linear(name, activation="softmax") for name in ("student", "t"))
        return step(student, teacher, loss=SPARSE, y=y, alpha=1.0)

    for ours, theirs in zip(change(Y), change((Y + 1) % 3), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_what_regularizers_add_counts_whole():
    def regularized(name):
        layer = keras.layers.Dense(3, activation="softmax", kernel_regularizer="l2")
        return keras.Sequential([keras.Input((4,)), layer], name=name)

    member = regularized("student")
    other = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")], name="student"
    )
    other.set_weights(member.get_weights())
    teacher = linear("t", activation="softmax")
    with_it, without = (step(each, teacher, loss=SPARSE)[0] for each in (member, other))
    np.testing.assert_allclose(with_it - without, 0.02 * member.get_weights()[0], atol=1e-6)


def nets(mlp):
    return [mlp("small", (3,)), mlp("large", (9,)), mlp("middle", (5,), dropout=0.3)]


def fitted(members, data, **arguments):
    method = km.KnowledgeDistillation(members, seed=1)
    method.compile("adam", SPARSE, ["accuracy"], run_eagerly=True)
    return method, method.fit(*data, epochs=3, batch_size=20, verbose=0, **arguments)


def test_the_largest_member_teaches_and_speaks_once(mlp, data, monkeypatch):
    asked = []
    predict = keras.Model.predict

    def counted(model, *arguments, **settings):
        asked.append(model.name)
        return predict(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "predict", counted)
    method, history = fitted(nets(mlp), data, validation_data=data, monitor=None)
    assert asked == ["large"]
    assert [(row.job, row.waits_for) for row in history.ledger] == [
        ("large", ""), ("small", "large"), ("middle", "large"),
    ]  # fmt: skip
    assert [model.name for model in method.members] == ["small", "large", "middle"]
    assert all(type(model).__module__.startswith("keras.") for model in method.members)
    small = method.members[0].evaluate(*data, verbose=0, return_dict=True)
    assert small["loss"] == pytest.approx(history.jobs["small"]["val_loss"][-1], rel=1e-5)
    method.ensemble().evaluate(*data, verbose=0)


def test_the_teacher_is_trained_as_with_full_data(mlp, data):
    members = nets(mlp)
    method, history = fitted(members, data)
    full = km.FullData(members, seed=1)
    full.compile("adam", SPARSE, ["accuracy"], run_eagerly=True)
    alone = full.fit(*data, epochs=3, batch_size=20, verbose=0).ledger
    np.testing.assert_equal(method.members[1].get_weights(), full.members[1].get_weights())
    # What the teacher says to a student is not the student's work.
    assert {row.job: row.flops for row in history.ledger} == {row.job: row.flops for row in alone}
    assert all(row.flops for row in alone)


def test_a_given_teacher_is_no_member_and_belongs_to_the_plan(mlp, data, tmp_path):
    teacher, member = mlp("wise", (9,)), mlp("small", (3,))

    def run():
        method = km.KnowledgeDistillation([member], teacher=teacher)
        method.compile("sgd", SPARSE, run_eagerly=True)
        return method, method.fit(*data, epochs=1, verbose=0, run_dir=tmp_path)

    method, history = run()
    assert [row.job for row in history.ledger] == ["small"]
    assert len(method.members) == 1
    teacher.set_weights([weight + 1 for weight in teacher.get_weights()])
    with pytest.raises(km.RunError, match="lesson"):
        run()


@pytest.mark.slow
def test_a_killed_student_goes_on_with_the_same_numbers(mlp, data, undisturbed_and_killed):
    def run(callback, run_dir):
        keras.utils.set_random_seed(3)
        method, history = fitted(nets(mlp), data, callbacks=[callback], run_dir=run_dir)
        return [model.get_weights() for model in method.members], history.history

    expected, found = undisturbed_and_killed(run, "middle", 2)
    np.testing.assert_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_students_come_back_as_what_they_were(mlp, data):
    members = nets(mlp)
    method, _ = fitted(members, data)
    assert [type(model) for model in method.members] == [type(model) for model in members]


def test_sample_weights_may_stand_in_a_column():
    def change(weights):
        student, teacher = (linear(name, activation="softmax") for name in ("student", "t"))
        return step(student, teacher, loss=SPARSE, sample_weight=weights)

    for ours, theirs in zip(change(WEIGHTS), change(WEIGHTS[:, None]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_a_teacher_of_other_outputs_is_refused(count_fits):
    member, teacher = linear("student", activation="softmax"), linear("t", activation="sigmoid")
    with pytest.raises(km.MotherNetsError, match="`student`: .*teacher.*softmax.*sigmoid"):
        step(member, teacher, loss=SPARSE)
    assert count_fits == []


REFUSED = {
    "streams": (
        SPARSE, (tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), None), "needs arrays",
    ),
    "regression": ("mse", (X, np.ones((12, 3))), "needs probabilities or logits"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_distilled_is_refused_before_anything_trains(name, count_fits):
    loss, data, message = REFUSED[name]
    activation = "softmax" if loss == SPARSE else None
    members = [linear(member, activation=activation) for member in ("a", "bb")]
    method = km.KnowledgeDistillation(members)
    method.compile("sgd", loss)
    with pytest.raises(km.MotherNetsError, match=f"Member `bb`: .*{message}"):
        method.fit(*data, epochs=1, verbose=0)
    assert count_fits == []


class LearnsFromASibling(km.MotherNets):
    """A method of one's own: hatched members learn from each other."""

    def design(self, schedule):
        made = super().design(schedule)
        mother, first, second = made.jobs
        lesson = Lesson(first.name, first.network)
        return replace(made, jobs=(mother, first, replace(second, lesson=lesson)))


def test_a_job_that_begins_from_one_network_learns_from_no_other(mlp, count_fits):
    method = LearnsFromASibling([mlp("one", (8, 12)), mlp("two", (12, 8))])
    method.compile("sgd", SPARSE)
    with pytest.raises(km.MotherNetsError, match="begins from one network and learns from another"):
        method.fit(X, Y, epochs=2, verbose=0)
    assert count_fits == []


def test_two_outputs_are_refused(count_fits):
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(3, "softmax", name=name)(inputs) for name in "ab"]
    models = [keras.Model(inputs, outputs, name=name) for name in ("one", "two")]
    method = km.KnowledgeDistillation(models)
    method.compile("sgd", [SPARSE, SPARSE])
    with pytest.raises(km.MotherNetsError, match="networks of one output"):
        method.fit(X, {"a": Y, "b": Y}, epochs=1, verbose=0)
    assert count_fits == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "`temperature`"),
        ({"temperature": float("nan")}, "`temperature`"),
        ({"alpha": 1.5}, "`alpha`.*at most 1"),
        ({"alpha": "half"}, "`alpha`"),
        ({"teacher": linear("other", units=4)}, "other"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(km.MotherNetsError, match=message):
        km.KnowledgeDistillation([linear("a")], **settings)
