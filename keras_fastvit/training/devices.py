"""Data-parallel training on all devices of a kind, by what Keras and the backends have for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_fastvit.graph.keras_internals import layers_within


@contextmanager
def all_devices() -> Iterator[int]:
    """Within it, models are made on all accelerators, or CPU devices, and share each batch.

    On JAX by `keras.distribution.DataParallel`, on TensorFlow by `MirroredStrategy`, for which
    `synchronize` must be called on the model. On torch there is one device.

    Yields:
        How many devices there are.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        devices = keras.distribution.list_devices()
        if len(devices) > 1:
            previous = keras.distribution.distribution()
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
            try:
                yield len(devices)
            finally:
                keras.distribution.set_distribution(previous)
            return
    elif backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(found) > 1:
            with tf.distribute.MirroredStrategy([device.name for device in found]).scope():
                yield len(found)
            return
    yield 1


def idle_devices() -> int:
    """Returns how many accelerators are there that training does not use: torch's but one."""
    if keras.backend.backend() != "torch":
        return 0
    import torch

    return max(torch.cuda.device_count() - 1, 0)


def synchronize(model: keras.Model) -> None:
    """Has TensorFlow's batch normalisations take their statistics over the devices' whole batch.

    JAX does by itself, since its program is one for all devices. The layers' configurations are
    left as they are, so nothing of it is in a saved FastViT.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
