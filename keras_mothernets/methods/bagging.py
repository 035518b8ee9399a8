"""Bagging: every member trained on a bootstrap sample of its own."""

from __future__ import annotations

from keras_mothernets.methods.design import Design, Schedule
from keras_mothernets.methods.method import Method
from keras_mothernets.training.seeds import derive_seed


class Bagging(Method):
    """Trains every member from its own weights on a bootstrap sample of the data.

    Of arrays each member gets as many examples as there are, drawn with replacement: about
    63.2 % of all, some of them several times, the same ones in every epoch. No array is copied.
    Where data come in batches, each example gets a Poisson(1) weight instead, that follows from
    what stands in it; those of weight 0 cost time all the same.

    Args:
        members: See `Method`.
        seed: See `Method`; it decides about the samples too.

    Example:
        >>> import keras, numpy as np
        >>> nets = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name=name)
        ...         for name in "ab"]
        >>> method = Bagging(nets)
        >>> method.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
        >>> history = method.fit(x, y, epochs=1, verbose=0)
        >>> [row.examples for row in history.ledger]
        [8, 8]

    Source: Breiman, Bagging predictors (1996). On data without end: Oza and Russell, Online
    bagging and boosting (2001), but with one weight per example for all epochs.
    """

    def design(self, schedule: Schedule) -> Design:
        """One job per member, each with the seed of its sample; nobody waits."""
        jobs = tuple(
            self.member_job(
                member, schedule, bootstrap=derive_seed(self.seed, member.label, "bootstrap")
            )
            for member in self._members
        )
        return Design(jobs, {member.label: member.model for member in self._members})
