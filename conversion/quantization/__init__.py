"""Static int8: calibration, ranges, rounding of weights, and the error of every layer."""

from keras_fastvit.moved import forwarding

__getattr__ = forwarding(__name__)
