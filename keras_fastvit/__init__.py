"""FastViT for Keras 3."""

from keras_fastvit.inference_form import fuse
from keras_fastvit.model import FastViT
