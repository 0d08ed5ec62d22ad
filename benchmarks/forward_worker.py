"""One engine of the benchmark, in a process of its own: times one forward pass a line of input.

    KERAS_BACKEND=jax python -m benchmarks.forward_worker keras fastvit_t8 1 W.safetensors

Prints the outputs of a first forward pass as JSON, then for each line that it reads the
milliseconds of one more. Each pass is timed until its outputs are NumPy arrays.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array

SIDE = 256
CLASSES = 1000


def main(engine: str, variant: str, batch: str, weights: str) -> None:
    """Runs the command in the module's docstring; `engine` is a key of `_ENGINES`."""
    images = np.random.default_rng(0).normal(size=(int(batch), SIDE, SIDE, 3)).astype("float32")
    forward = _ENGINES[engine](variant, images, Path(weights))
    print(json.dumps(forward().tolist()), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        forward()
        print(1e3 * (time.perf_counter() - start), flush=True)


def _fused(variant: str, images: Array, weights: Path) -> Any:
    from keras_fastvit import fuse
    from keras_fastvit.applications import CONSTRUCTORS

    model = CONSTRUCTORS[variant](
        weights=weights,
        input_shape=images.shape[1:],
        classes=CLASSES,
        classifier_activation=None,
        data_format="channels_last",
        dtype="float32",
    )
    return fuse(model)


def _keras(variant: str, images: Array, weights: Path) -> Callable[[], Array]:
    from keras_fastvit.conversion.references.compiled import compiled_forward

    return compiled_forward(_fused(variant, images, weights), images)


def _keras_frozen(variant: str, images: Array, weights: Path) -> Callable[[], Array]:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    model, x = _fused(variant, images, weights), tf.constant(images)
    forward = convert_variables_to_constants_v2(
        tf.function(lambda x: model(x, training=False)).get_concrete_function(
            tf.TensorSpec(x.shape, x.dtype)
        )
    )
    return lambda: forward(x)[0].numpy()


def _timm(variant: str, images: Array, weights: Path) -> Callable[[], Array]:
    import torch

    from keras_fastvit.conversion.references import timm as timm_reference

    model = timm_reference.create_model(variant, CLASSES)
    timm_reference.load(model, weights)
    model = timm_reference.fused(model).to(memory_format=torch.channels_last)
    x = torch.from_numpy(images).permute(0, 3, 1, 2)  # a view: channels stay last in memory

    @torch.inference_mode()
    def forward() -> Array:
        return model(x).numpy()

    return forward


_ENGINES = {"keras": _keras, "keras_frozen": _keras_frozen, "timm": _timm}


if __name__ == "__main__":
    main(*sys.argv[1:])
