"""The plan of a hatching: for every variable of a member, where each number comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras

from keras_mothernets.errors import SurgeryError, naming
from keras_mothernets.graph import Architecture, counted, read, text_table
from keras_mothernets.member import Member, as_model
from keras_mothernets.rules import (
    Copy,
    Keep,
    Maps,
    Role,
    Split,
    Taps,
    check_rules,
    rule_for,
)
from keras_mothernets.surgery.alignment import align
from keras_mothernets.surgery.correspondence import (
    Correspondence,
    Step,
    correspond,
    step_roles,
)


@dataclass(frozen=True)
class VariablePlan:
    """Where one variable of a member comes from.

    Args:
        name: The variable's name inside its layer, for example `"kernel"`.
        shape: Its shape in the member.
        source: The variable of the mother it grows from, `"identity"` if it is
            part of an inserted identity, `"constant"` if the mother's layer lacks it,
            `"initial"` or `"zero"` on a new branch that gives nothing yet.
        roles: What happens along each axis.
        shared: Number of the mother's numbers that it holds, copies not counted.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    roles: tuple[Role, ...]
    shared: int


@dataclass(frozen=True)
class LayerPlan:
    """Where one layer of a member comes from: the step at its first call, and its variables."""

    step: Step
    variables: tuple[VariablePlan, ...]

    @property
    def name(self) -> str:
        """The member's layer."""
        return self.step.member.layer.name

    @property
    def is_inserted(self) -> bool:
        """Whether the mother has no such layer."""
        return self.step.how != "matched"


@dataclass(frozen=True)
class HatchPlan:
    """How a member is hatched: plain, printable, and computed before anything is built.

    Args:
        mother: Name of the mother.
        member: Name of the member.
        layers: One entry per layer of the member that has variables or is inserted.
        correspondence: The steps from which it was made.
        maps: The index maps of all channel axes.
        seed: The seed of copies and splits.

    Example:
        >>> small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="small")
        >>> make_plan(read(small), read(small)).inherited
        1.0
    """

    mother: str
    member: str
    layers: tuple[LayerPlan, ...]
    correspondence: Correspondence
    maps: Maps
    seed: int

    @cached_property
    def inherited(self) -> float:
        """Share of the member's parameters that are the mother's, copies not counted, 0 to 1."""
        total = self.correspondence.member.num_params
        shared = sum(variable.shared for layer in self.layers for variable in layer.variables)
        return shared / total if total else 1.0

    @property
    def inserted(self) -> tuple[str, ...]:
        """Names of the member's layers that the mother lacks."""
        names = [layer.step.member.name for layer in self.layers if layer.is_inserted]
        return tuple(dict.fromkeys(names))

    def __str__(self) -> str:
        rows = [_row(layer, self.maps) for layer in self.layers]
        head = (
            f"{self.member} from {self.mother}: inherits {100 * self.inherited:.1f} % of its"
            f" parameters, inserts {counted(len(self.inserted), 'layer')}"
        )
        return f"{head}\n{text_table(('layer', 'does', 'comes from', 'how'), rows)}"


def make_plan(
    mother: Architecture, member: Architecture, *, seed: int = 0, copies: bool = True
) -> HatchPlan:
    """Plan how `member` is hatched from `mother`.

    Raises:
        GraphError: A layer has no rule.
        SurgeryError: The member cannot be grown from the mother.
    """
    for architecture in (mother, member):
        with naming(f"`{architecture.name}`"):
            check_rules(architecture)
    pairs = align(mother, member, grow_only=True).pairs
    return plan_pairs(correspond(mother, member, pairs), seed=seed, copies=copies)


def plan_pairs(correspondence: Correspondence, *, seed: int = 0, copies: bool = True) -> HatchPlan:
    """Plan a hatching along a correspondence that is known."""
    mother, member = correspondence.mother, correspondence.member
    with naming(f"`{member.name}` from `{mother.name}`"):
        maps = correspondence.spaces.maps(seed, copies=copies)
    layers: dict[tuple[str, ...], LayerPlan] = {}
    extra: list[LayerPlan] = []
    for step in correspondence.steps:
        path = step.member.layer.path
        if step.member.layer.variables and not step.member.fused:
            layers.setdefault(path, LayerPlan(step, _variable_plans(step)))
        elif step.how != "matched":
            extra.append(LayerPlan(step, ()))
    order = {id(step): number for number, step in enumerate(correspondence.steps)}
    found = sorted([*layers.values(), *extra], key=lambda layer: order[id(layer.step)])
    return HatchPlan(mother.name, member.name, tuple(found), correspondence, maps, seed)


def explain(mother: keras.Model | Member, member: keras.Model | Member) -> HatchPlan:
    """Tell how a member would be hatched from a mother, without doing it.

    Args:
        mother: A built Functional or Sequential model, or `km.Member`.
        member: Another one, at least as large.

    Returns:
        A `HatchPlan`; `str()` of it has one row per layer of the member: from
        where it comes, and how.

    Raises:
        GraphError: One of the two cannot be read, or has a layer without a rule.
        SurgeryError: The member cannot be grown from the mother.

    Example:
        >>> def net(units, name):
        ...     hidden, head = keras.layers.Dense(units, "relu"), keras.layers.Dense(2)
        ...     return keras.Sequential([keras.Input((4,)), hidden, head], name=name)
        >>> plan = explain(net(3, "small"), net(5, "large"))
        >>> round(plan.inherited, 2), plan.inserted
        (0.62, ())

    Source: Wasay et al. 2020, hatching; the paper describes the transformation
    of each layer, the plan as a value is ours.
    """
    return make_plan(read(as_model(mother)), read(as_model(member)))


def _variable_plans(step: Step) -> tuple[VariablePlan, ...]:
    if step.how in ("fresh", "zeroed"):
        return _fresh_variables(step)
    roles = step_roles(step)
    _check_variables(step, roles)
    plans = []
    for name, shape in step.member.layer.variables.items():
        source, shared = "constant", 0
        if step.how == "inserted":
            source = "identity"
        elif name in step.mother.layer.variables:
            source = f"{step.mother.layer.name}/{name}"
            shared = math.prod(step.mother.layer.variables[name])
        plans.append(VariablePlan(name, shape, source, roles[name], shared))
    return tuple(plans)


def _check_variables(step: Step, roles: Mapping[str, object]) -> None:
    """All variables of the mother's must have a place in the member, and all of the member a role.

    Raises:
        SurgeryError: They have not; only a rule of somebody's own can be the cause.
    """
    variables = step.member.layer.variables
    lost = [name for name in step.mother.layer.variables if name not in variables]
    unknown = [name for name in variables if name not in roles]
    if step.how == "matched" and (lost or unknown):
        raise SurgeryError(
            f"Layer `{step.member.layer.name}` ({step.member.kind}): "
            + (
                f"variable `{lost[0]}` of the smaller network's has no counterpart"
                if lost
                else f"its rule gives variable `{unknown[0]}` no roles"
            ),
            expected=f"variables {list(variables)}",
            received=f"{list(step.mother.layer.variables) if lost else list(roles)}",
            fix="Mend the rule, or give the layers inside names of their own",
        )


def _fresh_variables(step: Step) -> tuple[VariablePlan, ...]:
    zeros = rule_for(step.member).zeros(step.member) if step.how == "zeroed" else ()
    return tuple(
        VariablePlan(
            name, shape, "zero" if name in zeros else "initial", tuple(Keep() for _ in shape), 0
        )
        for name, shape in step.member.layer.variables.items()
    )


def _row(layer: LayerPlan, maps: Maps) -> tuple[str, str, str, str]:
    source = "-" if layer.is_inserted else layer.step.mother.layer.name
    return layer.step.member.name, layer.step.member.kind, source, _how(layer, maps)


def _how(layer: LayerPlan, maps: Maps) -> str:
    if layer.step.how == "zeroed":
        return "new branch, kept at zero here"
    if layer.step.how == "fresh":
        return "new branch"
    if layer.is_inserted:
        pairs = not layer.variables and layer.step.inputs != layer.step.outputs
        return "inserted on pairs f(x), f(-x)" if pairs else "inserted as an identity"
    notes = [note for variable in layer.variables for note in _notes(variable.roles, maps)]
    notes += [f"{v.name} constant" for v in layer.variables if v.source == "constant"]
    return ", ".join(dict.fromkeys(notes)) or "copied"


def _notes(roles: Sequence[Role], maps: Maps) -> list[str]:
    notes = []
    for role in roles:
        if isinstance(role, Taps) and role.offset:
            notes.append("kernel enlarged")
        if isinstance(role, (Copy, Split)):
            channels = maps[role.axis]
            if channels is not None and len(channels.index) > channels.size:
                verb = "outputs" if isinstance(role, Copy) else "inputs"
                notes.append(f"{verb} {channels.size} > {len(channels.index)}")
    return notes
