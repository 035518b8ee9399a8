"""How many jobs a Ray cluster has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from keras_mothernets.errors import RunError

Amounts = Mapping[str, float]  # of what Ray calls resources, by their names


def room(asked: Amounts, nodes: Sequence[Amounts]) -> int:
    """How many jobs fit at once, if nothing else is there.

    Args:
        asked: What each asks for.
        nodes: What the nodes of the cluster have.

    Example:
        >>> room({"CPU": 2, "GPU": 0.5}, [{"CPU": 8, "GPU": 1}, {"CPU": 64}])
        2
    """
    wanted = {name: amount for name, amount in asked.items() if amount}
    # A tenth goes ten times into one, whatever floating point says.
    return sum(
        int(min(node.get(name, 0) / amount for name, amount in wanted.items()) + 1e-9)
        for node in nodes
    )


def check_room(asked: Amounts, nodes: Sequence[Amounts]) -> int:
    """The same, but some node must have room for a job, or it would wait for ever.

    Args:
        asked: What each asks for.
        nodes: What the nodes of the cluster have.

    Raises:
        RunError: None has.

    Example:
        >>> check_room({"CPU": 1, "GPU": 1}, [{"CPU": 2}])
        Traceback (most recent call last):
        ...
        keras_mothernets.errors.RunError: No node of the Ray cluster has what a job asks for.
        Expected: a node with CPU 1, GPU 1. Received: 1 node with CPU 2, GPU 0. Ask for less ...
    """
    if count := room(asked, nodes):
        return count
    kinds = Counter(_text({name: node.get(name, 0) for name in asked}) for node in nodes)
    found = [f"{number} node{'s'[: number > 1]} with {kind}" for kind, number in kinds.items()]
    raise RunError(
        "No node of the Ray cluster has what a job asks for",
        expected=f"a node with {_text({k: n for k, n in asked.items() if n})}",
        received="; ".join(found[:5]) or "no nodes",
        fix="Ask for less with `cpus`, `gpus` and `resources` of `km.Ray`, or add such a node to"
        " the cluster first",
    )


def _text(amounts: Amounts) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in amounts.items())
