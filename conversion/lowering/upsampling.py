"""Upsampling by repeated pixels, of operations that every runtime has."""

from typing import Any

import keras
from keras import layers

from keras_fastvit.architecture.layers import InferenceForm
from keras_fastvit.graph.rewriting import GraphRewriter


def repeat_pixels(model: keras.Model) -> keras.Model:
    """Makes `UpSampling2D` with `interpolation="nearest"` concatenations and reshapes.

    A pixel's channels beside a copy of them are two pixels, and a row beside a copy of it two rows:
    reshapes that move nothing make them so. TensorFlow's own repetition is a tensor of five axes,
    which GPU delegates refuse, and broadcasts, which XNNPACK leaves to the interpreter.
    """
    return _RepeatPixels().rewrite(model)


class _RepeatPixels(GraphRewriter):
    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nearest = getattr(operation, "interpolation", None) == "nearest"
        if not isinstance(operation, layers.UpSampling2D) or not nearest:
            return super().call(operation, args, kwargs)
        shape = args[0].shape
        return self.form(lambda: _repetition(operation, shape), operation, shape)(*args)


def _repetition(upsampling: layers.UpSampling2D, shape: tuple[int, ...]) -> InferenceForm:
    _, height, width, channels = shape
    rows, columns = upsampling.size
    row = width * columns * channels
    dtype = upsampling.dtype_policy

    def named(suffix: str) -> dict[str, Any]:
        return {"name": f"{upsampling.name}_{suffix}", "dtype": dtype}

    pixels = layers.Concatenate(**named("pixels"))
    as_rows = layers.Reshape((height, 1, row), **named("as_rows"))
    repeated = layers.Concatenate(**named("rows"))
    as_map = layers.Reshape(
        (height * rows, width * columns, channels), name=upsampling.name, dtype=dtype
    )
    return lambda x: as_map(repeated([as_rows(pixels([x] * columns))] * rows))
