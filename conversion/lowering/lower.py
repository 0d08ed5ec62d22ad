"""`lower(model)`: an inference form, rewritten into operations that a phone's runtime is fast at.

Everything stays a graph of plain Keras layers that computes the same, exactly in real arithmetic.
"""

from collections.abc import Callable, Collection

import keras

from keras_fastvit.conversion.lowering.attention import split_heads
from keras_fastvit.conversion.lowering.batch_norm import fold_batch_norms
from keras_fastvit.conversion.lowering.depth_multiplier import split_depth_multipliers
from keras_fastvit.conversion.lowering.depthwise import split_depthwise
from keras_fastvit.conversion.lowering.static_graph import static_graph
from keras_fastvit.conversion.lowering.strided_depthwise import split_strided_depthwise
from keras_fastvit.conversion.lowering.targets import REWRITES, get_target
from keras_fastvit.conversion.lowering.upsampling import repeat_pixels

_FUNCTIONS: dict[str, Callable[[keras.Model], keras.Model]] = {
    "batch_norm": fold_batch_norms,
    "attention": split_heads,
    "depth_multiplier": split_depth_multipliers,
    "depthwise": split_depthwise,
    "strided_depthwise": split_strided_depthwise,
    "upsampling": repeat_pixels,
}
"""What each of `REWRITES` does."""


def lower(
    model: keras.Model,
    image_size: int | tuple[int, int] | None = None,
    target: str = "cpu",
    without: Collection[str] = (),
) -> keras.Model:
    """Returns a model that computes the same as an inference form, and faster on a phone.

    An operation of the result that computes what one of the model did has its name; what is new
    is named after what it was made for: `stage_0_block_1_mlp_conv_rows_135`. Nested models are
    dissolved, and layers that do nothing in inference left out. The model is left as it is.

    Args:
        model: An inference form (`keras_fastvit.fuse`), or any functional or Sequential model of
            plain Keras layers, channels last, with one image as its input.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.
        target: The hardware: `"cpu"`, `"gpu"` or `"npu"`; see `targets.TARGETS`.
        without: Names of rewrites to leave out, of `targets.REWRITES`.

    Returns:
        A `keras.Model` with a static input `(1, height, width, channels)`. Saved as `.keras`, it
        loads without this package.

    Raises:
        ValueError: If the model is not as above, if the image size is missing or does not fit,
            or if the target or a rewrite is unknown.

    Example:
    >>> from keras_fastvit import FastViTT8, fuse
    >>> fused = fuse(FastViTT8(weights=None, input_shape=(None, None, 3)))
    >>> lower(fused, image_size=(256, 192)).input_shape
    (1, 256, 192, 3)
    """
    rewrites = get_target(target).rewrites
    unknown = [name for name in without if name not in REWRITES]
    if unknown or isinstance(without, str):
        raise ValueError(
            f"`without` must be names of rewrites, {', '.join(REWRITES)}. "
            f"Received: without={without!r}"
        )
    lowered = static_graph(model, image_size)
    for name in REWRITES:
        if name in rewrites and name not in without:
            lowered = _FUNCTIONS[name](lowered)
    return lowered
