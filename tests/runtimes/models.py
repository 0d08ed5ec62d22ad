"""The models whose files run in other runtimes: one of each kind, with attention and without."""

from functools import cache

import numpy as np
import pytest

from keras_fastvit import FastViT, FastViTT8
from keras_fastvit.weights.torch_state import load_torch_state
from tests.reference import fixtures

on_t8, on_sa12 = map(pytest.mark.xdist_group, ("t8", "sa12"))
"""A variant's tests run in one process, so that each file is exported once."""

VARIANTS = (
    pytest.param("fastvit_t8", marks=on_t8),
    pytest.param("fastvit_sa12", marks=on_sa12),
)


@cache
def model(variant: str) -> FastViT:
    """T8 as it ships, for Fashion-MNIST; another variant with weights made from their names."""
    if variant == "fastvit_t8":
        return FastViTT8(weights="fashion_mnist", classes=10, input_shape=(64, 64, 3))
    made = FastViT(variant, input_shape=(64, 64, 3))
    weights = fixtures.load("timm", variant).weights()
    # Small branches beside the skip, as training leaves them: with large ones, a rounding of one
    # step grows to ten.
    for name, array in weights.items():
        if array.shape[1:] == (1, 1) and array.ndim == 3:
            weights[name] = array * np.float32(0.1)
    load_torch_state(made, weights, "fixture")
    return made
