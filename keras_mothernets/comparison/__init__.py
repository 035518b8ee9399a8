"""COMPARE: any methods on one ensemble and one data set, at equal costs."""

from keras_mothernets.comparison.budget import budget_cost, epochs_within
from keras_mothernets.comparison.cell import Task, train_cell
from keras_mothernets.comparison.compare import Grid, compare, keep_settings
from keras_mothernets.comparison.entry import METHODS, ONE_NETWORK, Entry, network_of
from keras_mothernets.comparison.figures import draw_all
from keras_mothernets.reporting.compared import Cell, Results, Row
from keras_mothernets.reporting.compared_table import seconds_to, table, table_rows

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
    "draw_all",
    "epochs_within",
    "keep_settings",
    "network_of",
    "seconds_to",
    "table",
    "table_rows",
    "train_cell",
]
