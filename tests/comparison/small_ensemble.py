"""Three small networks for digits."""

from __future__ import annotations

import keras_mothernets as km


def members() -> list[km.Member]:
    """Made anew each time; the first is what all have in common."""
    return [
        km.Member(km.zoo.mlp((8, 8, 1), 10, hidden, scale=1 / 255, name=name))
        for name, hidden in {"narrow": (8, 8), "wide": (16, 12), "deep": (8, 8, 8)}.items()
    ]
