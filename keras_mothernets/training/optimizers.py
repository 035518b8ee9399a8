"""Optimizers that depend on the length of a job, as values that a plan can print and compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training.job import Job

LEARNING_RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}
WARM_UP = 0.1  # part of the steps that a job trains


@dataclass(frozen=True)
class OptimizerOfJob:
    """Makes a job's optimizer; give it to `compile(optimizer=...)`.

    The learning rate rises over the first tenth of the job's own steps and falls as a cosine to
    zero at the end of its schedule, however long that is: each member is annealed, and a mother
    as far as she is trained (see `mother_part` of `km.MotherNets`).

    Args:
        name: "sgd" (with Nesterov momentum 0.9), "adam" or "adamw".
        learning_rate: The highest learning rate.
        weight_decay: Decoupled weight decay, multiplied by the learning rate in each step;
            biases and the parameters of BatchNormalization are left out.
        constant: Keep the learning rate as it is.

    Example:
        >>> job = Job("vgg16", "member", "vgg16", epochs=2, batch_size=32, steps_per_epoch=50)
        >>> optimizer = OptimizerOfJob("sgd", 0.1, 5e-4)(job)
        >>> rate = keras.optimizers.schedules.deserialize(optimizer.get_config()["learning_rate"])
        >>> [round(float(rate(step)), 4) for step in (0, 10, 55, 100)]
        [0.0, 0.1, 0.05, 0.0]
    """

    name: str
    learning_rate: float
    weight_decay: float = 0.0
    constant: bool = False

    def __call__(self, job: Job) -> keras.optimizers.Optimizer:
        """Make a new optimizer for one job.

        Raises:
            MotherNetsError: The job's number of steps is not known, and a schedule needs it.
        """
        rate: Any = self.learning_rate if self.constant else self._schedule(job)
        common = {"learning_rate": rate, "weight_decay": self.weight_decay or None}
        if self.name == "sgd":
            optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **common)
        else:
            classes = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
            optimizer = classes[self.name](**common)
        if self.weight_decay:
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer

    def _schedule(self, job: Job) -> keras.optimizers.schedules.LearningRateSchedule:
        if job.steps is None or job.trained_steps is None:
            raise MotherNetsError("A schedule needs data of known length", fix="Use --constant")
        warm_up = round(job.trained_steps * WARM_UP)
        return keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, job.steps - warm_up),
            warmup_target=self.learning_rate,
            warmup_steps=warm_up,
        )

    def get_config(self) -> dict[str, Any]:
        """The settings; by them plans are compared."""
        return {"optimizer": self.name, **{k: v for k, v in asdict(self).items() if k != "name"}}
