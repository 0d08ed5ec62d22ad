"""The source of a file: a model's inference form, without the softmax at its end."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from keras_fastvit import fuse
from keras_fastvit.conversion.exporting.request import Request
from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.conversion.operations import Range
from keras_fastvit.conversion.quantization.fake_quantized_form import int8_form_of
from keras_fastvit.graph.inlining import inline
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.images.labels import check_labels


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        logits: The inference form, in plain Keras layers; an int8 form if it was trained as one.
        activation: What has been taken off its end, `"softmax"`, or `"linear"`.
        shape: The file's input, `(1, height, width, channels)`.
        ranges: By operation, the ranges that quantisation-aware training has learnt; None without.
    """

    logits: keras.Model
    activation: str
    shape: tuple[int, int, int, int]
    ranges: Mapping[str, Range] | None


def source_of(
    model: keras.Model, image_size: int | tuple[int, int] | None, request: Request
) -> Source:
    """Returns what a model's file is made from.

    Raises:
        ValueError: If the model cannot be exported, the size does not fit it, or the labels do not
            fit its output.
    """
    ranges = None
    if request.trained:
        fused, ranges = int8_form_of(model, image_size)
    else:
        fused = inline(fuse(model))
    shape = input_shape(fused, image_size)
    logits, activation = to_logits(fused)
    if request.labels is not None:
        if len(logits.outputs) > 1:
            raise ValueError(
                "Labels name the classes of a classifier, which has one output. Received: "
                f"{len(request.labels)} labels for a model with {len(logits.outputs)} outputs"
            )
        check_labels(request.labels, logits.outputs[0].shape, of_pixels=True)
    return Source(logits, activation, shape, ranges)
