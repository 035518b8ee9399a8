"""Deep ensembles for Keras at a fraction of their training time.

The public names stand in `__all__`. Each is imported when it is first used, so that
`keras-mothernets --help` answers without waiting for TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_mothernets import datasets, zoo
    from keras_mothernets.clustering import Cluster, cluster
    from keras_mothernets.ensembles import (
        EnsembleStatistics,
        Predictions,
        calibrate,
        combine,
        deep_ensemble_equivalent,
        export,
        greedy_selection,
        super_learner,
    )
    from keras_mothernets.errors import (
        DataError,
        GraphError,
        MotherNetsError,
        RunError,
        SurgeryError,
    )
    from keras_mothernets.member import Member
    from keras_mothernets.methods import (
        AdaptiveMotherNets,
        Bagging,
        FastGeometricEnsemble,
        FullData,
        GrowthProbe,
        KnowledgeDistillation,
        MotherNets,
        SnapshotEnsemble,
        TreeNets,
    )
    from keras_mothernets.mothernet import mothernet
    from keras_mothernets.planning import measure_device
    from keras_mothernets.reporting import plot_architecture, plot_hatching, report
    from keras_mothernets.rules import Rule, register_rule
    from keras_mothernets.surgery import (
        can_hatch,
        deepen,
        enlarge_kernels,
        explain,
        hatch,
        max_deviation,
        widen,
    )
    from keras_mothernets.training import Local, Processes, Ray, TensorBoard

__version__ = "0.1.0"

__all__ = [
    "AdaptiveMotherNets",
    "Bagging",
    "Cluster",
    "DataError",
    "EnsembleStatistics",
    "FastGeometricEnsemble",
    "FullData",
    "GraphError",
    "GrowthProbe",
    "KnowledgeDistillation",
    "Local",
    "Member",
    "MotherNets",
    "MotherNetsError",
    "Predictions",
    "Processes",
    "Ray",
    "Rule",
    "RunError",
    "SnapshotEnsemble",
    "SurgeryError",
    "TensorBoard",
    "TreeNets",
    "calibrate",
    "can_hatch",
    "cluster",
    "combine",
    "datasets",
    "deep_ensemble_equivalent",
    "deepen",
    "enlarge_kernels",
    "explain",
    "export",
    "greedy_selection",
    "hatch",
    "max_deviation",
    "measure_device",
    "mothernet",
    "plot_architecture",
    "plot_hatching",
    "register_rule",
    "report",
    "super_learner",
    "widen",
    "zoo",
]

# Where each name comes from; the imports above say the same to type checkers (a test compares).
_HOMES = {
    "clustering": ("Cluster", "cluster"),
    "ensembles": (
        "EnsembleStatistics",
        "Predictions",
        "calibrate",
        "combine",
        "deep_ensemble_equivalent",
        "export",
        "greedy_selection",
        "super_learner",
    ),
    "errors": ("DataError", "GraphError", "MotherNetsError", "RunError", "SurgeryError"),
    "member": ("Member",),
    "methods": (
        "AdaptiveMotherNets",
        "Bagging",
        "FastGeometricEnsemble",
        "FullData",
        "GrowthProbe",
        "KnowledgeDistillation",
        "MotherNets",
        "SnapshotEnsemble",
        "TreeNets",
    ),
    "mothernet": ("mothernet",),
    "planning": ("measure_device",),
    "reporting": ("plot_architecture", "plot_hatching", "report"),
    "rules": ("Rule", "register_rule"),
    "training": ("Local", "Processes", "Ray", "TensorBoard"),
    "surgery": (
        "can_hatch",
        "deepen",
        "enlarge_kernels",
        "explain",
        "hatch",
        "max_deviation",
        "widen",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _HOME_OF:
        return importlib.import_module(f"{__name__}.{name}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `keras_mothernets.mothernet` the function, although a submodule has that name too.

    Python sets a submodule as an attribute of its package when it is first imported, whoever
    imports it, which would hide the function of the same name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "mothernet" and isinstance(value, ModuleType):
            value = value.mothernet
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
