"""Quantisation-aware fine-tuning: a model learns to compute in int8 what it computes in float.

`export` takes over the weights and the ranges that were learnt. The command is
`keras-fastvit train --quantization-aware N` (`conversion/commands/train.py`).

Where post-training int8 loses nothing there is nothing to win. Labels would teach the model its
task anew, from what it has mostly learnt by heart. The float model's outputs tell of every image
what int8 should give, are as good on images without labels, and are what the export is held to.
So the loss is the mean squared difference of the logits, the noise that `export` reports.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_fastvit.architecture.fake_quantization import INT8_LEVELS
from keras_fastvit.arrays import Array
from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.lowering.targets import get_target
from keras_fastvit.conversion.quantization.calibration import read_calibration
from keras_fastvit.conversion.quantization.fake_quantized_form import (
    fake_quantized,
    is_fake_quantized,
)
from keras_fastvit.conversion.quantization.layer_by_layer import quantize
from keras_fastvit.graph.keras_internals import layers_within
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.graph.rewriting import GraphRewriter
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT
from keras_fastvit.training.distillation import Imitation

LEARNING_RATE = 1e-4
"""At the start; it falls to zero as a cosine does."""

BATCH_SIZE = 32


def fine_tune(
    model: keras.Model,
    data: Array | keras.utils.PyDataset,
    calibration: Array,
    epochs: int = 3,
    learning_rate: float = LEARNING_RATE,
    *,
    image_size: int | tuple[int, int] | None = None,
    target: str = "cpu",
    levels: int = INT8_LEVELS,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> keras.Model:
    """Trains a model's lowered inference form with fake quantisation, to give what the model gives.

    Training starts from what post-training quantisation decides on (`quantization.quantize`), and
    learns weights, biases and ranges.

    Args:
        model: An inference form (`keras_fastvit.fuse`) that can be exported; left as it is.
        data: Normalised images: float32 `(images, height, width, channels)`, or batches of them,
            also as the first of a tuple, whose rest is not used.
        calibration: Normalised images, float32, as `data`: at least 16.
        epochs: How often to go through the data.
        learning_rate: Of Adam at the start.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.
        target: What will run the file; see `targets.TARGETS`.
        levels: How many steps a filter's largest weight has. Fewer than int8's, such as 7 for 4
            bits, show what fewer bits would do.
        callbacks: For `fit`.
        verbose: For `fit`.

    Returns:
        A model that computes what its int8 file will, for batches of any size: of Keras' layers and
        `keras_fastvit.architecture.fake_quantization`'s, not compiled. It ends in a softmax if the
        model does.

    Raises:
        ValueError: If the model is no inference form, has layers whose weights int8 rounds
            otherwise, or has NaN in it; if the images have, or are of another shape.
        FloatingPointError: If the loss is no number.

    Example:
    >>> image = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    >>> model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    >>> images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    >>> trained = fine_tune(model, images, images, epochs=1)
    >>> trained.output_shape, is_fake_quantized(trained)
    ((None, 4), True)
    """
    if is_fake_quantized(model):
        raise ValueError(
            "Expected a float model to start from. Received: "
            f"model '{model.name}' with fake quantisation"
        )
    logits, activation = to_logits(model)
    # Before lowering, which permutes axes: only the model itself must have its channels last.
    shape = input_shape(logits, image_size)
    lowered = lower(logits, image_size, target)
    for layer in layers_within(lowered):
        layer.dtype_policy = "float32"  # as a phone computes
    _check_images(calibration, shape, "calibration")
    images = read_calibration(calibration, shape, DEFAULT_CROP_PCT).images
    student = fake_quantized(
        quantize(lowered, images, get_target(target).gelu, levels=levels), levels
    )
    if isinstance(data, np.ndarray):
        _check_images(data, shape, "data")
        steps = -(-len(data) // BATCH_SIZE)
    else:
        steps = len(data)
    trainer = Imitation(student, GraphRewriter().rewrite(logits), name=student.name)
    trainer.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, max(epochs * steps, 1))
        ),
        keras.losses.MeanSquaredError(),
        # On TensorFlow, XLA's depthwise convolutions are many times slower than its own on CPU.
        jit_compile=keras.backend.backend() == "jax",
    )
    trainer.fit(
        data,
        batch_size=BATCH_SIZE if isinstance(data, np.ndarray) else None,
        epochs=epochs,
        callbacks=[*callbacks, _FiniteLoss()],
        verbose=verbose,
    )
    if activation == "linear":
        return student
    softmax = keras.layers.Softmax(name=activation)
    return keras.Model(student.inputs, softmax(student.outputs[0]), name=student.name)


def _check_images(images: Array, shape: tuple[int, ...], name: str) -> None:
    wrong = np.count_nonzero(~np.isfinite(images))
    if images.shape[1:] != shape[1:] or wrong:
        raise ValueError(
            f"`{name}` must be normalised images of shape {shape[1:]}. Received: an array of shape "
            f"{images.shape} with {wrong} NaN or infinite values"
        )


class _FiniteLoss(keras.callbacks.Callback):
    """Ends a training whose loss is no number."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(
                "The loss must be a finite number; a lower learning rate may help. "
                f"Received: loss={loss} in step {batch + 1}"
            )
