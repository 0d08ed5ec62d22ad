"""Weights: by name, from files of PyTorch and of Keras, and loaded strictly."""
