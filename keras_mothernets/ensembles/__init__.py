"""USE: what is done with trained members."""

from keras_mothernets.ensembles.calibrate import calibrate
from keras_mothernets.ensembles.combine import combine
from keras_mothernets.ensembles.equivalent import deep_ensemble_equivalent
from keras_mothernets.ensembles.export import export
from keras_mothernets.ensembles.greedy_selection import greedy_selection
from keras_mothernets.ensembles.predictions import Predictions
from keras_mothernets.ensembles.statistics import EnsembleStatistics
from keras_mothernets.ensembles.super_learner import super_learner

__all__ = [
    "EnsembleStatistics",
    "Predictions",
    "calibrate",
    "combine",
    "deep_ensemble_equivalent",
    "export",
    "greedy_selection",
    "super_learner",
]
