"""Randomness of one job, from the method's seed and the job's name, and from nothing global.

Keras itself draws from Python's `random` whenever it makes an initializer or a random layer that
was given no seed, so copying a network moves that one on; nothing here depends on what it drew.
"""

from __future__ import annotations

import hashlib

import keras


def derive_seed(seed: int, *names: object) -> int:
    """A seed of its own for everything that has a name.

    Python's `hash` differs from process to process; this one does not, so that a
    run that is taken up again, or run elsewhere, draws the same numbers.

    Args:
        seed: The seed that the user gave.
        *names: What the new seed is for, for example the job's name.

    Returns:
        A whole number of at least 0 and below 2**31.

    Example:
        >>> derive_seed(0, "vgg16") == derive_seed(0, "vgg16")
        True
        >>> derive_seed(0, "vgg16") == derive_seed(0, "vgg19")
        False
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def seed_random_layers(model: keras.Model, seed: int) -> int:
    """Give every random layer (Dropout, augmentation, noise) of a model a seed of its own.

    Keras draws the seed of a layer without one from Python's global random state, so
    that two runs of one job differ unless the process was seeded as a whole. Here
    the layers' states are set directly, and nothing is drawn. A seed
    that a layer was given by hand is replaced too: members built by one function
    would otherwise all drop the same units in the same order.

    Args:
        model: A built model; its random states are overwritten.
        seed: The job's seed.

    Returns:
        The number of random states that were set.
    """
    states = random_states(model)
    for position, state in enumerate(states):
        state.assign([derive_seed(seed, "random layer", position), 0])
    return len(states)


def random_states(model: keras.Model) -> list[keras.Variable]:
    """The states of all random layers of a model: a seed, and how often it was drawn from.

    Args:
        model: A built model.
    """
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and variable.path.endswith("seed_generator_state")
    ]
