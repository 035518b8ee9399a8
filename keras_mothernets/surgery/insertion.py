"""What can be put into a network without changing its function, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keras_mothernets.graph import Chain, Node, Region
from keras_mothernets.rules import ActivationRule, Refusal, Value, rule_for

Item = Node | Region

# Activations with f(0) = 0 and a slope there, behind which a zeroed layer still learns.
_ALIVE_AT_ZERO = frozenset(
    {"linear", "gelu", "silu", "tanh", "softsign", "elu", "selu", "celu", "leaky_relu", "mish"}
)


@dataclass(frozen=True)
class Side:
    """What insertion into one network depends on at a place.

    Args:
        signable: Width of the layer that made the tensor if negated copies can
            still be added to it, else 0.
        paired: Whether the tensor stands there as pairs f(x), f(-x).
    """

    signable: int = 0
    paired: bool = False


@dataclass(frozen=True)
class RegionInsertion:
    """How a region is made an identity.

    Args:
        through: Number of the branch that carries the tensor on.
        identities: Nodes of that branch and whether they work on pairs f(x), f(-x).
        zeroed: For each other branch of a sum the node whose output is made zero.
    """

    through: int
    identities: tuple[tuple[Item, bool], ...]
    zeroed: tuple[Node, ...]


def insert(item: Item, value: Value, side: Side, channels: int | None) -> Side | Refusal:
    """What becomes of a network's side if an item is inserted as an identity there.

    Args:
        item: The call or region that only this network has.
        value: What is known of the numbers that flow there.
        side: The network's side so far.
        channels: Width of the mother's tensor there, None if not settled yet.
    """
    if isinstance(item, Region):
        if side.paired:
            return Refusal("pairs of an activation must be read by the next weights")
        found = insert_region(item, value, channels)
        return found if isinstance(found, Refusal) else Side()
    rule = rule_for(item)
    if rule.is_transparent:
        return side
    if isinstance(rule, ActivationRule):
        return _insert_activation(item, rule, value, side, channels)
    reason = rule.cannot_insert(item)
    if reason is not None:
        return reason
    if rule.is_linear:
        width = int(item.config[str(rule.width)])
        if channels is not None and width < channels:
            return Refusal(f"it has {width} channels, but {channels} must pass")
        return Side(signable=width)
    if side.paired:
        return Refusal("pairs of an activation must be read by the next weights")
    return side if rule.carries_sign else Side()


def after(node: Node, side: Side) -> Side:
    """A network's side behind a call that is matched."""
    rule = rule_for(node)
    if rule.is_linear:
        grouped = node.config.get("groups", 1) != 1
        return Side(signable=0 if grouped else int(node.config[str(rule.width)]))
    return side if rule.carries_sign or rule.is_transparent else Side()


def insert_region(region: Region, value: Value, channels: int | None) -> RegionInsertion | Refusal:
    """How a whole region becomes an identity: one branch passes on, the others give nothing."""
    if region.merge is None:
        return Refusal("it has no cut points, so it is kept whole")
    merge = rule_for(region.merge).merge
    if merge not in ("sum", "concat"):
        return Refusal(f"{region.merge.kind} is not an identity whatever its branches give")
    if merge == "concat" and not joins_channels(region.merge):
        return Refusal("it makes another axis than that of the channels longer")
    reason = Refusal("none of its branches can pass the tensor on unchanged")
    shortest = min(len(branch.items) for branch in region.branches)
    for through, branch in enumerate(region.branches):
        identities = insert_chain(branch, value, channels)
        if isinstance(identities, Refusal) or (through and is_scaled(region.merge)):
            continue
        others = [b for number, b in enumerate(region.branches) if number != through]
        zeroed = [zero_point(other) for other in others] if merge == "sum" else []
        refused = [point for point in zeroed if isinstance(point, Refusal)]
        if not refused:
            nodes = tuple(point for point in zeroed if isinstance(point, Node))
            return RegionInsertion(through, tuple(identities), nodes)
        # A shortcut is what was meant to pass the tensor on: its reason tells most.
        if len(branch.items) == shortest:
            reason = refused[0]
    return reason


def insert_chain(
    chain: Chain, value: Value, channels: int | None
) -> list[tuple[Item, bool]] | Refusal:
    """Make every item of a chain an identity; for each whether it works on pairs."""
    side = Side()
    done: list[tuple[Item, bool]] = []
    for item in chain.items:
        found = insert(item, value, side, channels)
        if isinstance(found, Refusal):
            return found
        done.append((item, found.paired and not side.paired))
        side = found
    return Refusal("it ends within pairs of an activation") if side.paired else done


def is_scaled(merge: Node) -> bool:
    """Whether a sum scales its inputs, all but the first."""
    rule = rule_for(merge)
    return rule.merge == "sum" and not rule.commutes(merge)


def joins_channels(merge: Node) -> bool:
    """Whether a concatenation runs along channels: the last axis, or the first of images."""
    axis, rank = rule_for(merge).channel_axis(merge), len(merge.output_shapes[0])
    return axis == rank - 1 or (axis == 0 and rank > 2)


def zero_point(chain: Chain) -> Node | Refusal:
    """The node of a branch that is set to zero so that the branch gives zero and still learns.

    It is the last one with weights. Nothing that stops the gradient at zero may
    follow it, and no second factor in series is zeroed.
    """
    for node in _backwards(chain):
        if isinstance(node, Refusal):
            return node
        rule = rule_for(node)
        if node.activation is not None:
            if node.activation.name not in _ALIVE_AT_ZERO:
                return Refusal(f"{node.activation} behind its last weights stops learning at zero")
        elif rule.zeros(node):
            return node
        elif not (rule.is_transparent or rule.keeps_zero):
            return Refusal(f"`{node.name}` behind its last weights does not keep zero")
    return Refusal("a branch without weights cannot be made zero")


def _backwards(chain: Chain) -> Iterator[Node | Refusal]:
    """The nodes of a chain from its end; a gate x * g(x) is zero where x is, so it is passed."""
    for item in reversed(chain.items):
        if isinstance(item, Node):
            yield item
        elif item.merge is None or rule_for(item.merge).merge != "product":
            yield Refusal(f"its last weights stand inside the region that ends in `{item.name}`")
        elif all(branch.items for branch in item.branches):
            yield Refusal(f"the gate `{item.name}` has no branch that passes its input on")


def _insert_activation(
    node: Node, rule: ActivationRule, value: Value, side: Side, channels: int | None
) -> Side | Refusal:
    activation = node.activation
    assert activation is not None
    if side.paired:
        return Refusal("pairs of an activation must be read by the next weights")
    if not rule.changes(node, value):
        return Side()
    if activation.mixes_channels or activation.pair_constant() is None:
        return Refusal(f"{activation} changes what flows there, and no pair of it is linear")
    needed = 2 * (channels or 1)
    if side.signable < needed:
        return Refusal(
            f"{activation} changes what flows there, and a pair of it needs {needed} channels in"
            f" the layer before, which has {side.signable or 'none to spare'}"
        )
    return Side(paired=True)
