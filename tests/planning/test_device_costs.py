"""Costs of a device: what is measured when, what is put together, and its file."""

import json
import os
from collections import Counter

import keras
import pytest
from made_costs import OVERHEADS, networks, seconds_of

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.graph import read
from keras_mothernets.planning import device_costs
from keras_mothernets.planning.device_costs import DeviceCosts
from keras_mothernets.planning.primitive import primitives_of


def test_a_step_is_the_sum_of_its_layers(costs):
    network = primitives_of(read(networks()[1]), 32)
    costs.meet([network])
    wanted = sum(count * seconds_of(one.sizes) for one, count in network.items())
    assert costs.step(network).training == pytest.approx(wanted, rel=1e-9)
    assert costs.step(network).forward == pytest.approx(wanted / 4, rel=1e-9)


def test_without_measuring_the_law_tells(costs):
    network = primitives_of(read(networks()[2]), 48)
    wanted = sum(count * seconds_of(one.sizes) for one, count in network.items())
    assert costs.step(network).training == pytest.approx(wanted, rel=0.2)
    assert costs.seen == []


def test_what_makes_up_most_of_a_step_is_measured_first_and_nothing_twice(costs):
    network = primitives_of(read(networks()[2]), 64)
    costs.meet([network])
    told = [network[one] * seconds_of(one.sizes) for one in costs.seen]
    assert len(told) == len(network) and told == sorted(told, reverse=True)
    costs.meet([network])
    assert len(costs.seen) == len(network)


def test_with_no_time_only_new_kinds_are_measured_at_a_few_sizes(costs):
    def net(size):
        hidden = [keras.layers.Dense(size), keras.layers.LayerNormalization()]
        return primitives_of(read(keras.Sequential([keras.Input((size,)), *hidden])), 16)

    costs.meet([net(size) for size in range(8, 40)], seconds=0)
    kinds = Counter(one.kind for one in costs.seen)
    assert kinds == {"LayerNormalization": device_costs.ENOUGH}
    sizes = sorted(one.sizes.channels_in for one in costs.seen)
    assert sizes[0] == 8 and sizes[-1] == 39  # spread out


def test_unknown_kinds_are_an_error(costs):
    odd = keras.Sequential([keras.Input((4,)), keras.layers.LayerNormalization()])
    with pytest.raises(MotherNetsError, match="not known how long `LayerNorm.*Call `meet`"):
        costs.step(primitives_of(read(odd), 8))


def test_the_file_gives_back_all_that_is_known(costs):
    costs.know_workers(2)
    costs.optimizer(keras.optimizers.Adam())
    again = DeviceCosts.here()
    assert again.is_measured and again.overheads == OVERHEADS
    assert again.to_json() == costs.to_json()
    assert again.slower == {2: 1.5} and again.worker_start == 4.0
    again.know_workers(8)  # more than there are cores share these
    assert again.slower[8] == pytest.approx(1.5 * 8 / max(2, len(os.sched_getaffinity(0))))


@pytest.mark.parametrize("damage", ["cut", "changed", "newer", "no object"])
def test_a_file_that_cannot_be_used_is_told_of_and_measured_anew(costs, damage):
    text = costs.path.read_text()
    if damage == "newer":
        values = {**costs.to_json(), "version": 99}
        costs.path.write_bytes(device_costs.checked_json(values))
    else:
        damaged = {"cut": text[:200], "changed": text.replace("0.5", "0.6", 1), "no object": "[]"}
        costs.path.write_text(damaged[damage])
    with pytest.warns(UserWarning, match="cannot be read.*Delete the file"):
        here = DeviceCosts.here()
    assert not here.is_measured
    assert here.measure().is_measured  # and the file is whole again
    assert DeviceCosts.here().is_measured


def test_a_folder_that_cannot_be_written_is_only_warned_of(costs, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(device_costs, "write_atomically", full)
    with pytest.warns(UserWarning, match="cannot be kept"):
        costs.save()
    costs.save()  # told once
    assert costs.is_measured


def test_the_file_is_plain_and_names_the_device(costs):
    values = json.loads(costs.path.read_text())
    assert values["device"] == costs.device and "TensorFlow" in costs.device
    assert costs.path.name.startswith("costs ") and "/" not in costs.path.name
