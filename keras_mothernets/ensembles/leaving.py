"""Which members can go: the fewest whose mean is as good as that of all."""

from __future__ import annotations

import numpy as np

# Up to so many members all their subsets are looked at; of more, one way down from all of them.
MOST_TRIED_OUT = 14
ROUNDING = 1e-12  # relative


def fewest_as_good(products: np.ndarray, within: float) -> np.ndarray:
    """The smallest subset whose equal mean has a squared error near that of all members.

    Up to 14 members it is the smallest there is, and of several the best. With more, the member
    whose leaving helps most or harms least leaves, again and again until one is left, and the last
    subset that is good enough counts: m^2 steps for m members, and not always the smallest.

    Args:
        products: Mean products of the members' errors, (members, members); their number of
            examples plays no part from here on.
        within: How much larger the squared error may be, a fraction of that of all members.

    Returns:
        Positions of those that stay, ascending.

    Example:
        >>> products = np.diag([1.0, 1.0, 4.0])  # of errors that have nothing in common
        >>> fewest_as_good(products, within=0.0).tolist()
        [0, 1]
    """
    most = products.mean() * (1.0 + within + ROUNDING)
    few = len(products) <= MOST_TRIED_OUT
    return _try_all(products, most) if few else _go_down(products, most)


def _try_all(products: np.ndarray, most: float) -> np.ndarray:
    count = len(products)
    subsets = (np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1  # (subsets, members)
    sizes = subsets.sum(axis=1)
    errors = ((subsets @ products) * subsets).sum(axis=1) / sizes**2
    good = np.flatnonzero(errors <= most)
    best = good[np.lexsort((errors[good], sizes[good]))[0]]
    return np.flatnonzero(subsets[best])


def _go_down(products: np.ndarray, most: float) -> np.ndarray:
    own = np.diag(products)
    stay = np.arange(len(products))
    fewest = stay
    shared = products.sum(axis=1)  # with all that are still there
    total = shared.sum()
    while len(stay) > 1:
        without = total - 2.0 * shared[stay] + own[stay]
        leaver = stay[np.argmin(without)]
        total = without.min()
        shared = shared - products[leaver]
        stay = stay[stay != leaver]
        if total <= most * len(stay) ** 2:
            fewest = stay
    return fewest
