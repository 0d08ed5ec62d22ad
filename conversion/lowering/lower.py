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
from keras_fastvit.conversion.lowering.upsampling import repeat_pixels

REWRITES: dict[str, Callable[[keras.Model], keras.Model]] = {
    "batch_norm": fold_batch_norms,
    # Before the others: the einsums that it replaces hide that a map is a single pixel.
    "attention": split_heads,
    "depth_multiplier": split_depth_multipliers,
    "depthwise": split_depthwise,
    "strided_depthwise": split_strided_depthwise,
    "upsampling": repeat_pixels,
}
"""All rewrites by name, in the order in which they are applied."""

TARGETS: dict[str, tuple[str, ...]] = {
    # Everything that XNNPACK gains from; measured, see each rewrite.
    "cpu": (
        *("batch_norm", "attention", "depth_multiplier", "depthwise", "strided_depthwise"),
        "upsampling",
    ),
    # Not measured. A GPU computes 49 taps in one pass over memory, which is what it waits for;
    # a sum of three convolutions is five passes. It refuses tensors with five axes, which
    # pixels are otherwise repeated in.
    "gpu": ("batch_norm", "attention", "depth_multiplier", "upsampling"),
    # Not measured. A Snapdragon's NPU takes 459 ms for one strided 7×7 convolution of depth
    # multiplier 2, and 0.68 ms for one of multiplier 1 (litert-torch issue 1211), which it
    # computes as it is.
    "npu": ("batch_norm", "attention", "depth_multiplier", "upsampling"),
}
"""Which rewrites are for which hardware."""


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
        target: The hardware, one of `TARGETS`.
        without: Names of rewrites (`REWRITES`) to leave out.

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
    if target not in TARGETS:
        raise ValueError(f"`target` must be one of {', '.join(TARGETS)}. Received: {target!r}")
    unknown = [name for name in without if name not in REWRITES]
    if unknown or isinstance(without, str):
        raise ValueError(
            f"`without` must be names of rewrites, {', '.join(REWRITES)}. "
            f"Received: without={without!r}"
        )
    lowered = static_graph(model, image_size)
    for name in TARGETS[target]:
        if name not in without:
            lowered = REWRITES[name](lowered)
    return lowered
