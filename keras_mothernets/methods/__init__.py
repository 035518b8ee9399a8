"""WHAT: one file per way to get a trained ensemble; each says which jobs it makes."""

from keras_mothernets.methods.bagging import Bagging
from keras_mothernets.methods.full_data import FullData
from keras_mothernets.methods.method import Method
from keras_mothernets.methods.mothernets import MotherNets

__all__ = ["Bagging", "FullData", "Method", "MotherNets"]
