"""Keras' internals that this package needs: nothing else imports `keras.src`."""

from keras.src.models.functional import Functional
from keras.src.ops.nn import Softmax
from keras.src.ops.numpy import Einsum
from keras.src.saving import saving_lib

__all__ = ["Einsum", "Functional", "Softmax", "saving_lib"]
