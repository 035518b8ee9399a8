"""COMPARE: any methods on one ensemble and one data set, at equal costs."""

from keras_mothernets.comparison.budget import budget_cost, epochs_within
from keras_mothernets.comparison.cell import Task, train_cell
from keras_mothernets.comparison.compare import Grid, compare
from keras_mothernets.comparison.entry import METHODS, ONE_NETWORK, Entry, network_of
from keras_mothernets.comparison.results import Cell, Results, Row

__all__ = [
    "METHODS",
    "ONE_NETWORK",
    "Cell",
    "Entry",
    "Grid",
    "Results",
    "Row",
    "Task",
    "budget_cost",
    "compare",
    "epochs_within",
    "network_of",
    "train_cell",
]
