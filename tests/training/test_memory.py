"""The peak of a job's memory: what it holds now, not what was held before it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mothernets.training import memory
from keras_mothernets.training.memory import PeakMemory

LARGE = 256 * 2**20
NEAR = 64 * 2**20


def held_and_freed():
    np.ones(LARGE, "uint8")


@pytest.fixture
def _counted():
    if PeakMemory().bytes is None:
        pytest.skip("nobody counts memory here")


@pytest.mark.usefixtures("_counted")
def test_what_was_held_for_a_moment_counts():
    peak = PeakMemory()
    before = peak.bytes
    held_and_freed()
    assert abs(peak.bytes - before - LARGE) < NEAR


@pytest.mark.usefixtures("_counted")
def test_what_was_held_before_does_not_count():
    earlier = PeakMemory()
    held_and_freed()
    assert earlier.bytes - PeakMemory().bytes > LARGE - NEAR


@pytest.mark.usefixtures("_counted")
def test_the_larger_peak_of_two_processes_counts():
    peak = PeakMemory()
    now = peak.bytes
    peak.include(1)
    assert peak.bytes >= now
    peak.include(2**60)
    assert peak.bytes == 2**60
    peak.include(None)
    assert peak.bytes is None


@pytest.mark.parametrize("files", [{}, {"clear_refs": ""}, {"clear_refs": "", "status": "no\n"}])
def test_where_nobody_counts_nothing_is_told(files, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path / "missing" if not files else tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert PeakMemory().bytes is None


def test_the_numbers_of_linux_are_kilobytes(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROCESS", tmp_path)
    (tmp_path / "status").write_text("VmPeak:\t  900 kB\nVmHWM:\t   12 kB\nVmRSS:\t  8 kB\n")
    assert PeakMemory().bytes == 12 * 1024
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_on_gpus_tensorflow_is_asked_and_the_fullest_counts(monkeypatch):
    peaks = {"/device:GPU:0": 3 * 2**30, "/device:GPU:1": 5 * 2**30}
    forgotten = []
    gpus = [tf.config.LogicalDevice(name, "GPU") for name in peaks]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "reset_memory_stats", forgotten.append)
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda gpu: {"current": 1, "peak": peaks[gpu]}
    )
    assert PeakMemory().bytes == 5 * 2**30
    assert forgotten == list(peaks)


def test_a_gpu_that_keeps_no_account_tells_nothing(monkeypatch):
    gpu = tf.config.LogicalDevice("/device:GPU:7", "GPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [gpu])
    assert PeakMemory().bytes is None
