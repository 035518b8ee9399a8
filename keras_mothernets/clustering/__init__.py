"""Which members share a mother."""

from keras_mothernets.clustering.clusters import Cluster, cluster
from keras_mothernets.clustering.vectors import layer_vector

__all__ = ["Cluster", "cluster", "layer_vector"]
