"""Upsampling that repeats pixels, of concatenations."""

from typing import Any

import keras
from keras import layers

from keras_fastvit.graph_rewriting import GraphRewriter


def concatenate_repeats(model: keras.Model) -> keras.Model:
    """Makes an `UpSampling2D` that repeats pixels two concatenations of the map with itself.

    Behind each other in a pixel's channels, C values twice are two pixels of a row that is twice as
    wide; behind each other in a row, all its values twice are two rows. Detectors' feature pyramids
    add a level to the finer one in this way. Keras repeats by LiteRT's operator TILE, for which
    XNNPACK has no kernel: it cuts a model into pieces, two more a level.
    """
    return _ConcatenateRepeats().rewrite(model)


class _ConcatenateRepeats(GraphRewriter):
    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not isinstance(operation, layers.UpSampling2D) or operation.interpolation != "nearest":
            return super().call(operation, args, kwargs)
        (x,) = args
        name, dtype = operation.name, operation.dtype_policy
        _, height, width, channels = x.shape
        down, right = operation.size

        def repeated(x: Any, times: int, what: str) -> Any:
            concatenate = layers.Concatenate(name=f"{name}_{what}_repeat", dtype=dtype)
            return concatenate([x] * times) if times > 1 else x

        def reshaped(x: Any, shape: tuple[int, ...], name: str) -> Any:
            return layers.Reshape(shape, name=name, dtype=dtype)(x)

        x = repeated(x, right, "column")
        x = reshaped(x, (height, width * right * channels), f"{name}_rows")
        x = repeated(x, down, "row")
        return reshaped(x, (height * down, width * right, channels), name)
