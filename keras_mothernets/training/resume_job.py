"""A job under way, taken up after the last epoch that its checkpoint knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets.training.callback_states import CallbackStates
from keras_mothernets.training.checkpoint import Checkpoint
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.distillation import as_student
from keras_mothernets.training.distribute import scope_of
from keras_mothernets.training.job import Job
from keras_mothernets.training.start_job import Started
from keras_mothernets.training.store import empty_like


def resume_job(job: Job, context: RunContext) -> Started | None:
    """The network of a job as its checkpoint has it, compiled.

    Nothing is hatched again: the architecture is that of the network given now, and all its
    variables come from the checkpoint.

    Args:
        job: The job.
        context: What the jobs of the run share.

    Returns:
        `None` if there is no checkpoint that can be used; of one that cannot, a warning tells.
    """
    file = context.store.checkpoint(job)
    checkpoint = None if file is None else file.read()
    if file is None or checkpoint is None:
        return None
    with scope_of(context.distribute):
        model = empty_like(context.networks[job.network], job.name)
        if job.lesson is not None:
            model = as_student(model, job, context)
        context.compile_to_train(job, model)
        model.optimizer.build(model.trainable_variables)
    try:
        checkpoint.check_fits(model)
    except ValueError as error:
        file.warn_unusable(error)
        return None
    checkpoint.put_into(model)
    return Started(model, checkpoint.deviation, checkpoint.hatch_seconds, checkpoint)


def first_epoch(job: Job, checkpoint: Checkpoint | None) -> int:
    """The epoch, from 0, that Keras is to begin with; as many as there are if none is to come."""
    if checkpoint is None:
        return 0
    return job.epochs if checkpoint.stopped else len(checkpoint.epochs)


class GoOn(keras.callbacks.Callback):
    """Undoes what the other callbacks do because they think that the training begins.

    `EarlyStopping` forgets the best weights then, and others set a first learning rate. So this
    one stands behind them, and gives back once more what the checkpoint has.

    Args:
        checkpoint: What the job goes on from.
        states: The other callbacks.
    """

    def __init__(self, checkpoint: Checkpoint, states: CallbackStates) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.states = states

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give it back."""
        self.checkpoint.put_into(self.model)
        self.states.give(self.checkpoint.callbacks)
        self.model.stop_training = self.checkpoint.stopped


class LastLogs(keras.callbacks.Callback):
    """Tells the callbacks behind it how the last epoch ended, when none is left to train.

    Keras then ends the training without logs, which some callbacks read.

    Args:
        epochs: What Keras said at the end of each epoch.
    """

    def __init__(self, epochs: Sequence[dict[str, float]]) -> None:
        super().__init__()
        self.epochs = epochs

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Put the logs into the dict that all callbacks are given."""
        if logs is not None and not logs:
            logs.update(self.epochs[-1])
