"""CHANGE: hatch members, widen, deepen and enlarge kernels, and prove that nothing changed."""

from keras_mothernets.graph import clone
from keras_mothernets.surgery.alignment import align
from keras_mothernets.surgery.correspondence import Correspondence, correspond
from keras_mothernets.surgery.deepen import deepen
from keras_mothernets.surgery.edit import enlarge_kernels, widen
from keras_mothernets.surgery.given import copy_given, lost_layers
from keras_mothernets.surgery.growing import Grown, grow_each
from keras_mothernets.surgery.hatch import apply_plan, can_hatch, check_new_channels, hatch
from keras_mothernets.surgery.narrow import narrow
from keras_mothernets.surgery.pairs import TASTES, Alignment, Taste
from keras_mothernets.surgery.places import Place
from keras_mothernets.surgery.plan import HatchPlan, explain, make_plan, plan_pairs
from keras_mothernets.surgery.search import meet, shared_params
from keras_mothernets.surgery.verify import deviation_on, max_deviation
from keras_mothernets.surgery.weaving import keep_common
from keras_mothernets.surgery.widths import settle_widths

__all__ = [
    "TASTES",
    "Alignment",
    "Correspondence",
    "Grown",
    "HatchPlan",
    "Place",
    "Taste",
    "align",
    "apply_plan",
    "can_hatch",
    "check_new_channels",
    "clone",
    "copy_given",
    "correspond",
    "deepen",
    "deviation_on",
    "enlarge_kernels",
    "explain",
    "grow_each",
    "hatch",
    "keep_common",
    "lost_layers",
    "make_plan",
    "max_deviation",
    "meet",
    "narrow",
    "plan_pairs",
    "settle_widths",
    "shared_params",
    "widen",
]
