"""Networks to make ensembles of: families by width and depth, and the ensembles of the paper."""

from keras_mothernets.zoo.densenet import densenet
from keras_mothernets.zoo.mlp import mlp
from keras_mothernets.zoo.mobilenet import mobilenet
from keras_mothernets.zoo.resnet import resnet
from keras_mothernets.zoo.v5 import v5
from keras_mothernets.zoo.vgg import vgg
from keras_mothernets.zoo.vit import vit
from keras_mothernets.zoo.wide_resnet import wide_resnet

__all__ = ["densenet", "mlp", "mobilenet", "resnet", "v5", "vgg", "vit", "wide_resnet"]
