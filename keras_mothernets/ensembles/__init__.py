"""USE: what is done with trained members."""

from keras_mothernets.ensembles.combine import combine

__all__ = ["combine"]
