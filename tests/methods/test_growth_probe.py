"""GrowthProbe: its plan, its gains against what is evaluated by hand, and what it refuses."""

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.methods.growth_ranking import GrowthGain, GrowthRanking
from keras_mothernets.surgery import Place

SPARSE = "sparse_categorical_crossentropy"


def net(name="net", widths=(6, 3), **dense):
    hidden = [
        keras.layers.Dense(width, "relu", name=f"hidden_{number}", **dense)
        for number, width in enumerate(widths, 1)
    ]
    head = keras.layers.Dense(3, "softmax", name="head")
    return keras.Sequential([keras.Input((4,)), *hidden, head], name=name)


def fit(probe, data, *, epochs=4, **arguments):
    probe.compile("sgd", SPARSE, ["accuracy"], run_eagerly=True)
    arguments = {"validation_data": data, "batch_size": 20, "verbose": 0, **arguments}
    return probe.fit(*data, epochs=epochs, **arguments)


def gains_of(ranking):
    return {str(row.place): row.gains for row in ranking}


def test_the_plan_has_a_base_controls_and_a_job_for_each_place_and_seed(data):
    probe = km.GrowthProbe(net(), n_seeds=2)
    plan = probe.plan(*data, epochs=9, batch_size=20, validation_data=data)
    names = [f"hidden_{n}_{kind}" for n in (1, 2) for kind in ("wider", "deeper")]
    assert [(job.name, job.role, job.epochs, job.waits_for) for job in plan] == [
        ("net_base", "base", 9, ()),
        ("net_control_1", "control", 3, ("net_base",)),
        ("net_control_2", "control", 3, ("net_base",)),
        *((f"{name}_{n}", "member", 3, ("net_base",)) for name in names for n in (1, 2)),
    ]
    assert [job.start.kind for job in plan][:4] == ["scratch", "continue", "continue", "hatch"]
    text = str(plan)
    assert all(name in text for name in names) and "n_seeds=2" in text
    # A probe is compared with the control that sees the examples in the same order.
    seeds = {job.name: job.seed for job in plan}
    assert seeds["hidden_1_wider_1"] == seeds["net_control_1"] != seeds["net_control_2"]
    assert seeds["hidden_1_wider_2"] == seeds["net_control_2"]
    assert plan["hidden_1_wider_1"].start.seed != plan["hidden_1_wider_2"].start.seed


def test_epochs_of_the_probes_can_be_given_and_those_of_the_network(data):
    probe = km.GrowthProbe(
        km.Member(net(), "trained", epochs=0, optimizer=keras.optimizers.SGD(0.5)),
        positions=["hidden_2"], probe_epochs=2, n_seeds=1,
    )  # fmt: skip
    probe.compile("adam", SPARSE)
    plan = probe.plan(*data, epochs=5, validation_data=data)
    assert [(job.name, job.epochs) for job in plan] == [
        ("trained_base", 0), ("trained_control_1", 2),
        ("hidden_2_wider_1", 2), ("hidden_2_deeper_1", 2),
    ]  # fmt: skip
    assert all("0.5" in job.optimizer and "SGD" in job.optimizer for job in plan)


@pytest.mark.slow
def test_every_probe_starts_where_the_trained_network_stands(data):
    class Starts(keras.callbacks.Callback):
        losses: dict[str, float] = {}  # noqa: RUF012 - by job

        def on_train_begin(self, logs=None):
            self.losses[self.model.name] = self.model.evaluate(*data, verbose=0)[0]

    model = net()
    probe = km.GrowthProbe(km.Member(model, callbacks=[Starts()]), n_seeds=1)
    history = fit(probe, data, epochs=2)
    assert all(row.deviation < 1e-6 for row in history.ledger if row.role == "member")
    at_first = Starts.losses.pop("net_base")
    trained = history.history["net_base/val_loss"][-1]
    assert list(Starts.losses.values()) == pytest.approx([trained] * 5, rel=1e-5)
    assert trained < at_first


@pytest.mark.slow
def test_gains_are_what_evaluation_by_hand_gives(data):
    """Penalties grow with a network although it computes the same, so they must not count."""
    penalty = keras.regularizers.L2(0.1)
    probe = km.GrowthProbe(net(kernel_regularizer=penalty), n_seeds=2)
    history = fit(probe, data, epochs=1)
    x, y = data
    hand = []
    for model in probe.members:
        rows = keras.losses.sparse_categorical_crossentropy(y, model(x))
        hand.append(float(keras.ops.mean(rows)))
    found = gains_of(probe.ranking("gain"))
    for number, place in enumerate(
        f"hidden_{n}, {kind}" for n in (1, 2) for kind in ("wider", "deeper")
    ):
        for seed in (0, 1):
            name = f"net_control_{seed + 1}"
            plan, context = probe._run
            control = context.trained(plan[name])
            loss = float(
                keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, control(x)))
            )
            assert history.jobs[name]["val_loss"][-1] > loss + 0.1  # the penalty
            assert found[place][seed] == pytest.approx(loss - hand[2 * number + seed], abs=1e-5)


@pytest.mark.slow
def test_the_ranking_tells_what_was_added(data):
    model = net(widths=(6, 3))
    probe = km.GrowthProbe(model, n_seeds=2)
    fit(probe, data, epochs=1)
    ranking = probe.ranking()
    added = {str(row.place): (row.added_parameters, row.added_flops) for row in ranking}
    assert added == {
        "hidden_1, wider": (6 * 5 + 6 * 3, 2 * (6 * 4 + 6 * 3)),
        "hidden_1, deeper": (6 * 7, 2 * 36),
        "hidden_2, wider": (3 * 7 + 3 * 3, 2 * (3 * 6 + 3 * 3)),
        "hidden_2, deeper": (3 * 4, 2 * 9),
    }
    for row in ranking:
        assert row.gain == pytest.approx(np.mean(row.gains))
        assert row.spread == pytest.approx(np.std(row.gains, ddof=1))
        assert row.per_parameter == pytest.approx(1e3 * row.gain / row.added_parameters)
        assert row.per_flop == pytest.approx(1e6 * row.gain / row.added_flops)
    for by, column in {"parameter": "per_parameter", "flop": "per_flop", "gain": "gain"}.items():
        values = [getattr(row, column) for row in probe.ranking(by)]
        assert values == sorted(values, reverse=True)
    assert "hidden_2  wider" in str(ranking)


def test_members_are_the_grown_networks_and_make_an_ensemble(data):
    probe = km.GrowthProbe(net(), positions=[("hidden_1", "wider")], n_seeds=2)
    fit(probe, data)
    assert [model.get_layer("hidden_1").units for model in probe.members] == [12, 12]
    first, second = (np.asarray(model(data[0])) for model in probe.members)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(probe.ensemble()(data[0]), (first + second) / 2, atol=1e-6)


def residual():
    x = inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="stem")(x)
    for number in (1, 2):
        y = keras.layers.Dense(5, "relu", name=f"expand_{number}")(x)
        y = keras.layers.Dense(4, name=f"project_{number}")(y)
        x = keras.layers.Add(name=f"add_{number}")([x, y])
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="head")(x), name="net")


@pytest.mark.slow
def test_tied_widths_are_one_place_and_so_are_places_that_give_one_network(data):
    probe = km.GrowthProbe(residual(), n_seeds=1)
    fit(probe, data, epochs=1)
    places = {str(row.place) for row in probe.ranking()}
    assert {"stem + project_1 + project_2, wider", "expand_1, wider"} <= places
    assert "add_1 or add_2, deeper" in places
    [wide] = [m for m in probe.members if m.name == "stem_wider_1"]
    assert [wide.get_layer(f"{n}").units for n in ("stem", "project_1", "expand_1")] == [8, 8, 5]


@pytest.mark.slow
def test_a_run_that_was_killed_gives_the_same_ranking(data, undisturbed_and_killed):
    model = net()

    def run(callback, run_dir):
        probe = km.GrowthProbe(model, positions=["hidden_1"], n_seeds=2)
        fit(probe, data, epochs=2, callbacks=[callback], run_dir=run_dir)
        return probe.ranking()

    expected, found = undisturbed_and_killed(run, "hidden_1_deeper_2", 0)
    assert gains_of(found) == gains_of(expected)
    assert str(found) == str(expected)


def test_a_finished_run_is_ranked_again_without_training(data, tmp_path, count_fits):
    model = net()
    first = km.GrowthProbe(model, n_seeds=1)
    fit(first, data, run_dir=tmp_path)
    assert count_fits.pop(0) == "net_base" and len(count_fits) == 5
    count_fits.clear()
    again = km.GrowthProbe(model, n_seeds=1)
    fit(again, data, run_dir=tmp_path)
    assert count_fits == []
    assert gains_of(again.ranking()) == gains_of(first.ranking())


def test_held_out_data_are_asked_for_before_anything_trains(data, count_fits):
    for arguments, fragment in (
        ({"validation_data": None}, "held-out data.*Give `validation_data`"),
        ({"validation_freq": 2}, "`validation_freq` of 1. Received: 2"),
    ):
        with pytest.raises(km.DataError, match=fragment):
            fit(km.GrowthProbe(net()), data, **arguments)
    assert count_fits == []
    fit(km.GrowthProbe(net(), positions=["hidden_1"], n_seeds=1), data, epochs=1,
        validation_data=None, validation_split=0.2)  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"growth": 1.0}, "`growth`.*above 1"),
        ({"growth": True}, "`growth`"),
        ({"n_seeds": 0}, "`n_seeds`.*at least 1"),
        ({"probe_epochs": 0}, "`probe_epochs`.*at least 1"),
        ({"positions": ["head"]}, "`head` makes the output"),
        ({"positions": ["nowhere"]}, "no layer `nowhere`"),
    ],
)
def test_settings_are_checked_at_the_door(settings, fragment):
    with pytest.raises(km.MotherNetsError, match=fragment):
        km.GrowthProbe(net(), **settings)


def test_one_network_is_asked_for_and_fit_before_the_ranking():
    with pytest.raises(km.MotherNetsError, match="GrowthProbe trains one network.*list of 2"):
        km.GrowthProbe([net(), net()])
    with pytest.raises(km.MotherNetsError, match="Call `compile` and `fit` first"):
        km.GrowthProbe(net()).ranking()


def test_unknown_operations_stand_last_and_other_orders_are_refused():
    rows = [
        GrowthGain(Place((name,), "wider"), 10, flops, (gain,))
        for name, flops, gain in (("a", None, 9.0), ("b", 10, 1.0), ("c", 5, 2.0))
    ]
    ranking = GrowthRanking(rows, "flop", {Place(("d",), "deeper"): "it cannot be"})
    assert [row.place.where for row in ranking] == ["c", "b", "a"]
    assert ranking[0].spread is None
    assert "left out: d, deeper: it cannot be" in str(ranking)
    with pytest.raises(km.MotherNetsError, match="by flop, .*not known"):
        GrowthRanking(rows[:1], "flop")
    with pytest.raises(km.MotherNetsError, match='"parameter", "flop".*\'size\''):
        GrowthRanking(rows, "size")


def rank_widths(digits, widths, seed):
    """Which of three hidden layers should get wider."""
    keras.utils.set_random_seed(seed)
    names = ("first", "second", "third")
    hidden = [
        keras.layers.Dense(width, "relu", name=name)
        for width, name in zip(widths, names, strict=True)
    ]
    inside = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), *hidden]
    head = keras.layers.Dense(10, "softmax", name="head")
    model = keras.Sequential([keras.Input((8, 8, 1)), *inside, head], name="net")
    probe = km.GrowthProbe(
        model, positions=[(name, "wider") for name in names], probe_epochs=8, n_seeds=2, seed=seed
    )
    probe.compile(keras.optimizers.Adam(0.005), SPARSE, jit_compile=False, steps_per_execution=10)
    probe.fit(
        digits.x_train, digits.y_train, validation_data=(digits.x_val, digits.y_val),
        epochs=12, batch_size=32, verbose=0,
    )  # fmt: skip
    return probe.ranking(), probe.ranking("gain")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_layer_that_is_far_too_narrow_comes_out_on_top(seed):
    digits = km.datasets.load("digits", validation=0.4)
    by_parameter, by_gain = rank_widths(digits, (32, 2, 32), seed)
    for best, *others in (by_parameter, by_gain):
        assert best.place.where == "second"
        assert best.gain > 0
        assert best.per_parameter > 3 * max(row.per_parameter for row in others)


@pytest.mark.slow
def test_the_first_place_follows_the_narrow_layer():
    digits = km.datasets.load("digits", validation=0.4)
    for ranking in rank_widths(digits, (32, 32, 2), 0):
        assert ranking[0].place.where == "third"
