"""How much slower a job runs beside others: measured in as many processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np

from keras_mothernets.planning.standard import standard_primitives
from keras_mothernets.planning.stopwatch import measure
from keras_mothernets.training.processes import cores

EVERY = 20  # of the standard primitives one in so many is measured


def sample_seconds() -> list[float]:
    """Seconds of a few of the standard layers in this process, forward and backward."""
    return [measure(one)[1] for one in standard_primitives()[::EVERY]]


def measure_workers(count: int) -> tuple[float, float]:
    """Run the same layers in several processes at once, each with its share of the cores.

    Args:
        count: Number of processes.

    Returns:
        How many times as long a layer takes there as in one process with all cores, the median
        over the layers; and the seconds until a process is ready.
    """
    alone = np.array(sample_seconds())
    threads = str(max(1, cores() // count))
    environment = os.environ | {
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    begin = time.time()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "keras_mothernets.planning.worker_probe"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    beside = np.median([one["seconds"] for one in told], axis=0)
    ready = max(one["ready"] for one in told) - begin
    return float(np.median(beside / alone)), float(ready)
