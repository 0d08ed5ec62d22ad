"""The mean intersection over union of a segmentation model, on scenes of any size."""

from collections.abc import Iterable

import keras
import numpy as np
from keras import ops
from PIL import Image

from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.training.segmentation.ade20k import CLASSES, IGNORED, Scenes
from keras_fastvit.training.segmentation.scene_augmentation import fitted_size

STRIDE = 32
"""Sides of images are multiples of it, that of the pyramid's coarsest level."""


def input_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Returns the width and height that a scene is evaluated at.

    Its short side is fitted to `side`, then each side is rounded up to a multiple of 32.

    >>> input_size((683, 512), 512), input_size((300, 400), 512)
    ((704, 512), (512, 704))
    """
    width, height = (-(-pixels // STRIDE) * STRIDE for pixels in fitted_size(size, side))
    return width, height


def mean_iou(
    model: keras.Model,
    scenes: Scenes,
    places: Iterable[int],
    side: int,
    normalization: str = "imagenet",
) -> float:
    """Mean over the classes of intersection over union, of all labelled pixels of all scenes.

    At one scale and without mirroring, as mmsegmentation does for PoolFormer: a scene is resized
    as `input_size` says, and the logits are resized back, bilinearly, to the size that it has in
    the data set, where its classes are compared with the labels. Classes that neither occur nor
    are predicted do not count. mmsegmentation resizes twice, to the short side and to the
    multiple, here it is done at once; and Pillow's filter averages where a picture shrinks.

    On JAX a program is compiled for each size: minutes for a data set.

    Args:
        model: Gives logits `(batch, height, width, classes)` of images with any sides that are
            multiples of 32. It is compiled anew.
        scenes: To evaluate on.
        places: Indices of the scenes, each once.
        side: Short side of the images in pixels.
        normalization: How they are normalised; see `preprocess_input`.

    Returns:
        In 0..1.

    Raises:
        OSError, ValueError: If a scene cannot be read.
    """
    # In a graph of TensorFlow's, Keras' bilinear upsampling must know the size.
    model.compile(
        run_eagerly=keras.backend.backend() == "tensorflow",
        jit_compile=keras.backend.backend() == "jax",
    )
    metric = keras.metrics.MeanIoU(CLASSES, ignore_class=IGNORED)
    for place in places:
        image, labels = scenes.read(place)
        pixels = image.resize(input_size(image.size, side), Image.Resampling.BILINEAR)
        images = preprocess_input(np.asarray(pixels)[None], "channels_last", normalization)
        logits = ops.image.resize(
            model.predict_on_batch(images), labels.shape, "bilinear", data_format="channels_last"
        )
        metric.update_state(labels, ops.argmax(logits[0], axis=-1))
    return float(metric.result())
