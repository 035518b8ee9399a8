"""Full data: every member trained from its own weights on all the data."""

from __future__ import annotations

from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.method import Method


class FullData(Method):
    """Trains every member on its own: the yardstick of every other method.

    Args:
        members: See `Method`.
        seed: See `Method`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="tiny")
        >>> method = FullData([model])
        >>> method.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=2, verbose=0)
        >>> len(history.history["tiny/loss"])
        2

    Source: the baseline "full data" of Wasay et al., MotherNets (MLSys 2020), section 3.
    """

    def design(self, schedule: Schedule) -> Design:
        """One job per member; nobody waits."""
        jobs = tuple(self.member_job(member, schedule) for member in self._members)
        return Design(jobs, {member.label: member.model for member in self._members})
