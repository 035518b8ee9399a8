"""What every test starts from."""

from __future__ import annotations

import os
import signal

# Before TensorFlow is imported: its start-up notices would drown what pytest says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import pytest  # noqa: E402

# The examples in docstrings are collected from all modules, and two of one name would collide.
collect_ignore_glob = ["*conftest.py"]


def pytest_make_parametrize_id(config: object, val: object, argname: str) -> str | None:
    """Name objects without their address, so that every worker collects the same tests."""
    if callable(val):
        return getattr(val, "__name__", type(val).__name__)
    return None


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """Who runs tests in the background of a shell may have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was measured on this device before is none of the tests' business."""
    os.environ["KERAS_MOTHERNETS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _fresh_keras() -> None:
    """Forget the graphs and automatic names of the test before, and fix the seeds."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
