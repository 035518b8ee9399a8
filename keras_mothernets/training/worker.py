"""A process that trains the jobs it is told to, one after the other.

    python -m keras_mothernets.training.worker NUMBER

`Processes` starts it. NUMBER is that of an open connection, through which come the folder of a
package and of the run, and then names of jobs. It ends at once when its standard input ends, as
it does when the process that started it is killed: what it has kept stays.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import tensorflow as tf

from keras_mothernets.training.job_runner import JobRunner, WorkerStore
from keras_mothernets.training.packing import Package, unpack


def main(number: int) -> None:
    """Take up the package, and train what is asked for.

    Args:
        number: Of the connection.
    """
    threading.Thread(target=_end_with_input, daemon=True).start()
    with Connection(number) as connection:
        try:
            _serve(connection)
        except (EOFError, ConnectionError):  # nobody listens any more
            os._exit(1)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def _serve(connection: Connection) -> None:
    package, run, threads = connection.recv()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    plan, context = unpack(Package.read(Path(package)))
    runner = JobRunner(plan, context, WorkerStore(Path(run), plan), connection.send)
    while True:
        connection.send(runner.run(connection.recv()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
