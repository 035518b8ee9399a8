"""The best epoch of a job by a metric of the validation: found, and given back at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.fresh import with_inner
from keras_mothernets.training.job import Job


class KeepBest(keras.callbacks.EarlyStopping):
    """`EarlyStopping` for which an epoch without a number is no candidate, and nothing to tell.

    Keras warns after every epoch without validation, and takes NaN for the best if it comes
    first, since nothing is less than NaN.
    """

    def get_monitor_value(self, logs: dict[str, Any] | None = None) -> float | None:
        """The value of an epoch, `None` if the epoch is passed over."""
        value = (logs or {}).get(self.monitor)
        return None if value is None or math.isnan(value) else value


def keep_best(
    job: Job,
    callbacks: Sequence[keras.callbacks.Callback],
    optimizer: keras.optimizers.Optimizer,
) -> list[keras.callbacks.Callback]:
    """What finds a job's best epoch and gives its weights back; nothing if that is not asked for.

    An optimizer with `use_ema` puts the average of all steps into the network at the end. No
    epoch was validated with it, so it stays, and there is only the patience to watch.

    Args:
        job: The job.
        callbacks: The user's callbacks; an `EarlyStopping` among them that restores the best
            weights decides.
        optimizer: The job's optimizer.

    Example:
        >>> job = Job("a", "member", "a", epochs=9, monitor="val_loss")
        >>> [callback.patience for callback in keep_best(job, [], keras.optimizers.SGD())]
        [9]
    """
    if not job.monitor or any(map(_restores_best, callbacks)):
        return []
    patience = job.epochs if job.patience is None else job.patience
    averages = any(getattr(each, "use_ema", False) for each in with_inner(optimizer))
    return [KeepBest(job.monitor, patience=patience, restore_best_weights=not averages)]


def kept_epoch(callbacks: Sequence[keras.callbacks.Callback]) -> int | None:
    """The epoch whose weights a training ended with, from 0; `None` for the last one.

    Args:
        callbacks: The callbacks of the training, after it. Of those of Keras, `EarlyStopping`
            alone goes back to an earlier epoch; what others do to the weights is not known.
    """
    epoch = None
    for callback in callbacks:
        if _restores_best(callback) and callback.best_weights is not None:
            epoch = callback.best_epoch
    return epoch


def give_back_best(callbacks: Sequence[keras.callbacks.Callback], model: keras.Model) -> None:
    """Give a network the weights of its best epoch, where a training did not come to its end.

    Args:
        callbacks: The callbacks of the training.
        model: The network; left as it is if no callback would go back to an earlier epoch.
    """
    for callback in callbacks:
        if _restores_best(callback) and callback.best_weights is not None:
            model.set_weights(callback.best_weights)


def check_monitor(monitor: str, model: keras.Model) -> None:
    """A job must have the metric, and Keras must know whether more of it is better.

    Args:
        monitor: Name of the metric, "" for none.
        model: A compiled model with all the metrics of the job, computed once.

    Raises:
        MotherNetsError: It is not so.
    """
    if not monitor:
        return
    names = list(model.get_metrics_result())
    names += [f"val_{name}" for name in names]
    if monitor not in names:
        raise MotherNetsError(
            f"`monitor` names a metric that is not there: `{monitor}`",
            expected=f"one of {', '.join(f'`{name}`' for name in names)}",
            fix="Add the metric in `compile`, or give `monitor=None` to keep the last epoch",
        )
    finder = KeepBest(monitor)
    finder.set_model(model)
    finder.on_train_begin()
    try:
        finder.on_epoch_end(0, {monitor: 0.0})
    except ValueError as error:
        raise MotherNetsError(
            f"`monitor`: Keras does not know whether more or less of `{monitor}` is better",
            expected="`val_loss`, or a metric of Keras' own of a network with one output",
            fix=f"Give the callback `EarlyStopping({monitor!r}, mode=..., patience=...,"
            " restore_best_weights=True)`, which goes before `monitor`",
        ) from error


def _restores_best(callback: keras.callbacks.Callback) -> bool:
    is_one = isinstance(callback, keras.callbacks.EarlyStopping)
    return is_one and bool(callback.restore_best_weights)
