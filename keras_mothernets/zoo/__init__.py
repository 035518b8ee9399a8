"""Networks to make ensembles of: perceptrons, the VGG family, and the ensembles of the paper."""

from keras_mothernets.zoo.mlp import mlp
from keras_mothernets.zoo.v5 import v5
from keras_mothernets.zoo.vgg import vgg

__all__ = ["mlp", "v5", "vgg"]
