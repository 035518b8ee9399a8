"""WHAT: one file per way to get a trained ensemble; each says which jobs it makes."""

from keras_mothernets.methods.adaptive import AdaptiveMotherNets
from keras_mothernets.methods.bagging import Bagging
from keras_mothernets.methods.fast_geometric_ensemble import FastGeometricEnsemble
from keras_mothernets.methods.full_data import FullData
from keras_mothernets.methods.growth_probe import GrowthProbe
from keras_mothernets.methods.knowledge_distillation import KnowledgeDistillation
from keras_mothernets.methods.method import Method
from keras_mothernets.methods.mothernets import MotherNets
from keras_mothernets.methods.snapshot_ensemble import SnapshotEnsemble
from keras_mothernets.methods.tree_nets import TreeNets

__all__ = [
    "AdaptiveMotherNets",
    "Bagging",
    "FastGeometricEnsemble",
    "FullData",
    "GrowthProbe",
    "KnowledgeDistillation",
    "Method",
    "MotherNets",
    "SnapshotEnsemble",
    "TreeNets",
]
