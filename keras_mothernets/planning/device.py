"""The device that a cost was measured on, in words and as the name of a file."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import tensorflow as tf

from keras_mothernets.training.processes import cores
from keras_mothernets.training.train_job import device_text

CACHE = "KERAS_MOTHERNETS_CACHE"


def device_here() -> str:
    """What jobs run on here, such that another text means other times.

    Processor or accelerator, number of cores and of TensorFlow's threads, and its version.
    """
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    threads = threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or cores())
    parts = [device_text(), _processor(), f"{cores()} cores", f"{threads} threads"]
    return ", ".join([*parts, f"TensorFlow {tf.__version__}"])


def cache_folder() -> Path:
    """Where measured costs are kept: `$KERAS_MOTHERNETS_CACHE`, or a folder in the user's cache."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "keras_mothernets")


def file_of(device: str) -> Path:
    """The file with the costs of a device."""
    return cache_folder() / f"costs {re.sub(r'[^A-Za-z0-9.]+', '-', device).strip('-')}.json"


def _processor() -> str:
    """The name of the processor's model."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
