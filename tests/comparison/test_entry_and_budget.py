"""Methods as one writes them, and the epochs that a budget is worth to each."""

from __future__ import annotations

import re

import pytest
from small_ensemble import members

import keras_mothernets as km
from keras_mothernets.comparison import METHODS, Entry, budget_cost, epochs_within, network_of
from keras_mothernets.comparison.budget import cost_of
from keras_mothernets.graph import forward_flops
from keras_mothernets.methods.design import Schedule


@pytest.mark.parametrize(
    ("text", "title", "words"),
    [
        ("fulldata", "FullData", ""),
        (" mothernets(n_clusters=2, tree=True) ", "MotherNets", "n_clusters=2, tree=True"),
        ("geometric(rates=(0.1, 0.01))", "FastGeometricEnsemble", "rates=(0.1, 0.01)"),
        ("bagging(learning_rate=0.2)", "Bagging", "learning_rate=0.2"),
    ],
)
def test_entries_are_read(text: str, title: str, words: str) -> None:
    entry = Entry.parse(text)
    assert (entry.title, entry.words) == (title, words)
    assert Entry.parse(str(entry)) == entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boosting", "There is no method `boosting`. Expected: one of mothernets, fulldata"),
        ("mothernets(clusters=2)", "`mothernets` has no argument `clusters`"),
        ("bagging(seed=3)", "`bagging` has no argument `seed`"),
        ("mothernets(2)", "A method cannot be read"),
        ("mothernets(n_clusters=two)", "A method cannot be read"),
        ("mothernets(", "A method cannot be read"),
        ("fulldata(learning_rate='high')", "`learning_rate` must be a finite number"),
        ("fulldata(learning_rate=0)", "`learning_rate` must be a finite number of at least 0, and"),
        ("mothernets(member_share=-1)", "`member_share` must be a finite number"),
        ("", "A method cannot be read"),
        ("__import__('os').abort()", "A method cannot be read"),
    ],
)
def test_what_is_no_entry(text: str, message: str) -> None:
    with pytest.raises(km.MotherNetsError, match=re.escape(message)):
        Entry.parse(text)


def test_what_a_method_refuses_is_told_with_its_entry() -> None:
    with pytest.raises(km.MotherNetsError, match=r"`mothernets\(n_clusters=9\)`: `n_clusters` is"):
        Entry.parse("mothernets(n_clusters=9)").make(members(), seed=0)
    with pytest.raises(km.MotherNetsError, match="There is no member `x`"):
        Entry.parse("snapshots(network='x')").make(members(), seed=0)


def test_a_method_of_one_network_takes_the_one_nearest_to_the_mean_cost() -> None:
    ensemble = members()
    costs = [forward_flops(member.model) for member in ensemble]
    mean = sum(costs) / 3
    chosen = network_of(ensemble)
    assert min(costs, key=lambda cost: abs(cost - mean)) == forward_flops(chosen.model)
    method = Entry.parse("snapshots(network='wide')").make(ensemble, seed=0)
    assert method.member_names == ["wide_1", "wide_2", "wide_3"]
    assert len(Entry.parse("snapshots(n_members=2)").make(ensemble, seed=0).member_names) == 2


def test_the_rates_of_geometric_cycles_follow_the_learning_rate() -> None:
    made = Entry.parse("geometric").make(members(), seed=0, learning_rate=0.1)
    assert made.rates == pytest.approx((0.05, 0.0005))
    own = Entry.parse("geometric(rates=(0.2, 0.1))").make(members(), seed=0, learning_rate=0.1)
    assert own.rates == (0.2, 0.1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gets_as_many_epochs_as_come_nearest_to_the_budget(name: str) -> None:
    ensemble = members()
    entry = Entry.parse(name)
    method = entry.make(ensemble, seed=0)
    cost = budget_cost(ensemble, 20)
    epochs = epochs_within(entry, method, cost, fewest=entry.fewest_epochs(ensemble))

    def at(number: int) -> int:  # a count of its own, job by job
        entry.set_epochs(method, number)
        design = method.design(Schedule(number, 1, 1, "val_loss"))
        return sum(job.epochs * forward_flops(design.networks[job.network]) for job in design.jobs)

    assert cost == 20 * sum(forward_flops(member.model) for member in ensemble)
    distances = {number: abs(at(number) - cost) for number in (epochs - 1, epochs, epochs + 1)}
    assert distances[epochs] == min(distances.values())
    assert 0.9 < at(epochs) / cost < 1.1
    if name in ("fulldata", "bagging", "distillation"):
        assert epochs == 20


def test_the_share_of_members_is_kept_whatever_the_epochs() -> None:
    entry = Entry.parse("mothernets(member_share=0.25)")
    method = entry.make(members(), seed=0)
    epochs = epochs_within(entry, method, budget_cost(members(), 20))
    assert method.member_epochs == max(1, round(0.25 * epochs))


def test_every_level_of_mothers_has_an_epoch() -> None:
    ensemble = members()
    entry = Entry.parse("mothernets(chain=1, tree=True, n_clusters=2)")
    assert entry.fewest_epochs(ensemble) == 3
    method = entry.make(ensemble, seed=0)
    cost = budget_cost(ensemble, 20)
    assert epochs_within(entry, method, cost, fewest=entry.fewest_epochs(ensemble)) > 3


def test_a_budget_that_is_too_small_is_refused() -> None:
    entry = Entry.parse("geometric")
    with pytest.raises(km.MotherNetsError, match="The budget is too small for `geometric`"):
        epochs_within(entry, entry.make(members(), seed=0), budget_cost(members(), 1))


def test_members_with_epochs_of_their_own_do_not_keep_the_search_going() -> None:
    ensemble = [km.Member(member.model, epochs=3) for member in members()]
    entry = Entry.parse("fulldata")
    assert epochs_within(entry, entry.make(ensemble, seed=0), budget_cost(ensemble, 20)) in (1, 2)


def test_what_cannot_be_counted_is_named() -> None:
    with pytest.raises(km.MotherNetsError, match="What `odd` costs is not known"):
        import keras

        class Odd(keras.layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

            def call(self, x):
                return keras.ops.matmul(x, self.kernel)

        odd = keras.Sequential([keras.Input((4,)), Odd()], name="odd")
        cost_of([km.FullData([odd]).design(Schedule(1, 1, 1)).jobs[0]], {"odd": odd})
