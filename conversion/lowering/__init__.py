"""Rewriting a fused model into operations that a phone's runtime runs fast; exact."""

from keras_fastvit.moved import forwarding

__getattr__ = forwarding(__name__)
