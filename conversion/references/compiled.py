"""A model's forward pass, compiled the way each Keras backend compiles best."""

from collections.abc import Callable

import keras
import numpy as np

from keras_fastvit.arrays import Array


def compiled_forward(model: keras.Model, images: Array) -> Callable[[], Array]:
    """Returns a function that runs a model on these images, ready on the device, in inference mode.

    TensorFlow: a `tf.function` of one static shape, the weights in variables. JAX: `jax.jit`, the
    weights as arguments. torch: eagerly under `torch.inference_mode()`.

    Args:
        model: With one input and one output.
        images: Batch of a fixed shape.
    """
    return _COMPILERS[keras.config.backend()](model, images)


def _in_tensorflow(model: keras.Model, images: Array) -> Callable[[], Array]:
    import tensorflow as tf

    x = tf.constant(images)
    forward = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(x.shape, x.dtype)
    )
    return lambda: forward(x).numpy()


def _in_jax(model: keras.Model, images: Array) -> Callable[[], Array]:
    import jax

    state = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    x = jax.numpy.asarray(images)
    forward = jax.jit(lambda *args: model.stateless_call(*args, training=False)[0])
    return lambda: np.asarray(forward(*state, x))


def _in_torch(model: keras.Model, images: Array) -> Callable[[], Array]:
    import torch

    x = torch.from_numpy(images)

    @torch.inference_mode()
    def forward() -> Array:
        return model(x, training=False).cpu().numpy()

    return forward


_COMPILERS = {"tensorflow": _in_tensorflow, "jax": _in_jax, "torch": _in_torch}
