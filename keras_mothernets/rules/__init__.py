"""KNOW: one rule per layer family, behind one interface."""

from keras_mothernets.rules.activation import ActivationRule
from keras_mothernets.rules.axes import Atom, Axis, Concat, Paired, Product, axis_parts
from keras_mothernets.rules.maps import Map, Maps
from keras_mothernets.rules.passing import ElementwiseRule, PassRule, PreprocessingRule
from keras_mothernets.rules.probe import probe_elementwise
from keras_mothernets.rules.registry import (
    check_rules,
    register_rule,
    registered_rules,
    rule_for,
    stock_rules,
)
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Keep,
    Refusal,
    Role,
    Rule,
    Split,
    Statistics,
    Taps,
    Value,
    static_arguments,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces

__all__ = [
    "ActivationRule",
    "Atom",
    "Axes",
    "Axis",
    "Concat",
    "Copy",
    "ElementwiseRule",
    "Keep",
    "Map",
    "Maps",
    "Paired",
    "PassRule",
    "PreprocessingRule",
    "Product",
    "Refusal",
    "Role",
    "Rule",
    "Spaces",
    "Split",
    "Statistics",
    "Taps",
    "Value",
    "axis_parts",
    "check_rules",
    "probe_elementwise",
    "register_rule",
    "registered_rules",
    "rule_for",
    "static_arguments",
    "stock_rules",
    "with_config",
]
