"""Networks to make ensembles of: families by width and depth, and the ensembles of the paper."""

from keras_mothernets.zoo.d5 import d5
from keras_mothernets.zoo.densenet import densenet
from keras_mothernets.zoo.mlp import mlp
from keras_mothernets.zoo.mobilenet import mobilenet
from keras_mothernets.zoo.r10 import r10
from keras_mothernets.zoo.resnet import resnet
from keras_mothernets.zoo.v5 import v5
from keras_mothernets.zoo.v100 import v25, v100
from keras_mothernets.zoo.vgg import vgg
from keras_mothernets.zoo.vit import vit
from keras_mothernets.zoo.wide_resnet import wide_resnet
from keras_mothernets.zoo.wrn5 import wrn5

__all__ = [
    "d5",
    "densenet",
    "mlp",
    "mobilenet",
    "r10",
    "resnet",
    "v5",
    "v25",
    "v100",
    "vgg",
    "vit",
    "wide_resnet",
    "wrn5",
]
