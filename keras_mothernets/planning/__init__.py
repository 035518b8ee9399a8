"""PREDICT: what a plan will take, and what to plan for a budget."""

from keras_mothernets.planning.device_costs import DeviceCosts
from keras_mothernets.planning.known import forecast_if_known, learn, measure_device, untouched
from keras_mothernets.planning.predict import Network, Predictor, ReadNetworks

__all__ = [
    "DeviceCosts",
    "Network",
    "Predictor",
    "ReadNetworks",
    "forecast_if_known",
    "learn",
    "measure_device",
    "untouched",
]
