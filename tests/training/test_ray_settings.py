"""What `km.Ray` says before there is any cluster; Ray need not be installed for that."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_mothernets as km
from keras_mothernets.training.ray_crew import environment
from keras_mothernets.training.ray_room import check_room, room


def fit(executor):
    method = km.FullData([keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="a")])
    method.compile("sgd", "mse")
    method.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=1, verbose=0, executor=executor)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": 3}, "`address` must be that of a Ray cluster"),
        ({"cpus": 0.5}, "`cpus` must be a whole number"),
        ({"gpus": 2}, "`gpus` must be a finite number from 0 to 1"),
        ({"resources": ["oven"]}, "`resources` must be a dict"),
        ({"resources": {"oven": -1}}, "`resources.'oven'.` must be a finite number"),
        ({"resources": {"GPU": 1}}, "`resources` cannot have `GPU`"),
        ({"tries": 0}, "`tries` must be a whole number"),
    ],
)
def test_settings_are_checked(settings, said):
    with pytest.raises(km.MotherNetsError, match=said):
        km.Ray(**settings)


def test_ray_is_asked_for_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(km.MotherNetsError, match=r"pip install 'keras-mothernets\[ray\]'"):
        fit(km.Ray())


def test_a_cluster_that_cannot_be_reached_is_named(monkeypatch):
    def init(address, **_):
        raise ConnectionError(f"Nobody is at {address}")

    module = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", module)
    with pytest.raises(km.RunError, match="`auto` cannot be reached.*Nobody is at.*ray start"):
        fit(km.Ray("auto"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", place)
        with pytest.raises(km.RunError, match=f"`{place}` cannot be reached.*refused"):
            fit(km.Ray())


def test_a_job_must_fit_into_one_node():
    nodes = [{"CPU": 8.0, "GPU": 1.0, "memory": 1e9}, {"CPU": 3.0}, {"CPU": 3.0}]
    assert room({"CPU": 1, "GPU": 0}, nodes) == 14
    assert room({"CPU": 3, "GPU": 0}, nodes) == 4
    assert room({"CPU": 1, "GPU": 0.1}, [{"CPU": 20, "GPU": 0.3}]) == 3
    with pytest.raises(km.RunError, match="1 node with CPU 8, GPU 1; 2 nodes with CPU 3, GPU 0"):
        check_room({"CPU": 9, "GPU": 0}, nodes)


def test_the_environment_of_a_job(monkeypatch):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    cpu = environment({"CPU": 2, "GPU": 0})
    assert cpu["TF_DETERMINISTIC_OPS"] == "1"
    assert cpu["TF_NUM_INTRAOP_THREADS"] == cpu["TF_NUM_INTEROP_THREADS"] == "2"
    assert cpu["CUDA_VISIBLE_DEVICES"] == ""
    shares = environment({"CPU": 1, "GPU": 0.5})
    assert shares["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert "CUDA_VISIBLE_DEVICES" not in environment({"CPU": 1, "GPU": 1})
