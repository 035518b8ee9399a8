"""TensorBoard logs, a folder for each job."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.job import Job


class TensorBoard:
    """Callbacks for `fit` that log every job for TensorBoard, in a folder of its own.

    `tensorboard --logdir PATH` then shows all jobs of a run side by side. It does not change what
    is trained, so a run can begin without and go on with it.

    Args:
        path: Folder of all logs.
        **settings: As in `keras.callbacks.TensorBoard`.

    Raises:
        MotherNetsError: TensorBoard is not installed, or the path is none.

    Example:
        >>> method.fit(x, y, epochs=9, callbacks=km.TensorBoard("logs"))  # doctest: +SKIP
        >>> method.fit(x, y, epochs=9, callbacks=lambda job: [mine(), km.TensorBoard("logs")(job)])
        ... # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], **settings: Any) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MotherNetsError(
                "TensorBoard is not installed",
                fix="Install it: `pip install 'keras-mothernets[tensorboard]'`",
            )
        if not isinstance(path, (str, os.PathLike)):
            raise MotherNetsError("`path` must be that of a folder for logs", received=repr(path))
        self.path = Path(path)
        self.settings = settings

    def __call__(self, job: Job) -> keras.callbacks.Callback:
        """The callback of a job."""
        return keras.callbacks.TensorBoard(str(self.path / job.name), **self.settings)
