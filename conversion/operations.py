"""Keras' operations as lowering, int8 and LiteRT see them: one row for those that are alike.

An operation that no row knows is left alone in the lowering, has no say in the scales of channels,
gets a range of its own, and may stay outside of XNNPACK. To support a new one, add a row.
"""

from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers

Range = tuple[float, float]
"""The lowest and the highest value; zero lies between them."""


@dataclass(frozen=True)
class Operation:
    """A row of the table.

    Attributes:
        kinds: Classes of layers, and names of functions: those that an `Activation` applies
            (`"tanh"`) and those of `keras.ops`, as Keras calls their classes (`"Tanh"`).
        inert: Whether it does nothing in inference.
        channelwise: Whether it treats all channels alike, so that channels in another order stay in
            that order.
        pairwise: Whether LiteRT has it for two tensors only.
        fused: Whether it is an activation that a convolution of LiteRT's applies before it rounds.
        scales: How it passes on the factors by which channels are scaled (`channel_scales`):
            `"kept"`: the output's channels have their inputs' factors; `"weights"`: a kernel takes
            up any; `"joined"`: the inputs' channels lie beside each other in the output;
            `"regrouped"`: the channels of a pixel become those of several pixels or the other way
            round; `"product"`; `"none"`: all factors are 1.
        keeps_range: Whether LiteRT wants the output in the range of the input.
        range: The only range that LiteRT takes for the output.
        symmetric_input: The input that needs the zero point 0 for XNNPACK to run it in int8.
        operators: What it may be in a file; XNNPACK has kernels for all of them.
    """

    kinds: tuple[type | str, ...]
    inert: bool = False
    channelwise: bool = False
    pairwise: bool = False
    fused: bool = False
    scales: Literal["none", "kept", "weights", "joined", "regrouped", "product"] = "none"
    keeps_range: bool = False
    range: Range | None = None
    symmetric_input: int | None = None
    operators: tuple[str, ...] = ()


UNIT_RANGE: Range = (0.0, 255 / 256)
TANH_RANGE: Range = (-1.0, 127 / 128)

OPERATIONS = (
    Operation((layers.Conv2D,), scales="weights", operators=("CONV_2D",)),
    Operation((layers.DepthwiseConv2D,), scales="weights", operators=("DEPTHWISE_CONV_2D",)),
    Operation((layers.Dense,), scales="weights", operators=("FULLY_CONNECTED",)),
    Operation(("Matmul",), symmetric_input=1, operators=("BATCH_MATMUL",)),
    Operation((layers.Add,), channelwise=True, pairwise=True, scales="kept", operators=("ADD",)),
    # A function adds tensors of any shapes, and constants.
    Operation(("Add",), operators=("ADD",)),
    Operation((layers.Subtract, "Subtract"), operators=("SUB",)),
    Operation(
        (layers.Multiply,), channelwise=True, pairwise=True, scales="product", operators=("MUL",)
    ),
    Operation((layers.Concatenate,), scales="joined", operators=("CONCATENATION",)),
    Operation(
        (layers.AveragePooling2D, layers.AveragePooling1D),
        channelwise=True,
        scales="kept",
        keeps_range=True,
        operators=("AVERAGE_POOL_2D",),
    ),
    Operation(
        (layers.MaxPooling2D, layers.MaxPooling1D),
        channelwise=True,
        scales="kept",
        keeps_range=True,
        operators=("MAX_POOL_2D",),
    ),
    Operation(
        (layers.GlobalAveragePooling2D,), channelwise=True, scales="kept", operators=("MEAN",)
    ),
    Operation(
        (layers.GlobalMaxPooling2D,), channelwise=True, scales="kept", operators=("REDUCE_MAX",)
    ),
    Operation(
        (layers.ZeroPadding2D,),
        channelwise=True,
        scales="kept",
        keeps_range=True,
        operators=("PAD",),
    ),
    Operation(
        (layers.Cropping2D,),
        channelwise=True,
        scales="kept",
        keeps_range=True,
        operators=("SLICE", "STRIDED_SLICE"),
    ),
    Operation(
        (layers.UpSampling2D,), scales="kept", keeps_range=True, operators=("RESIZE_BILINEAR",)
    ),
    Operation((layers.Resizing,), keeps_range=True, operators=("RESIZE_BILINEAR",)),
    Operation((layers.Reshape,), scales="regrouped", keeps_range=True, operators=("RESHAPE",)),
    Operation((layers.Flatten,), scales="regrouped", keeps_range=True, operators=("RESHAPE",)),
    Operation((layers.Permute,), keeps_range=True, operators=("TRANSPOSE",)),
    Operation(("Take",), keeps_range=True),
    Operation(("linear",), channelwise=True, fused=True),
    Operation(("relu",), channelwise=True, fused=True, scales="kept"),
    Operation(("relu6",), channelwise=True, fused=True),
    # With a bound, a threshold or a slope; without, the lowering makes it an `Activation`.
    Operation((layers.ReLU,), channelwise=True),
    Operation(("gelu", "Gelu"), channelwise=True, operators=("GELU",)),
    Operation(("sigmoid", "Sigmoid"), channelwise=True, range=UNIT_RANGE, operators=("LOGISTIC",)),
    Operation(("tanh", "Tanh"), channelwise=True, range=TANH_RANGE, operators=("TANH",)),
    Operation(
        (layers.Softmax, "softmax", "Softmax"),
        channelwise=True,
        range=UNIT_RANGE,
        operators=("SOFTMAX",),
    ),
    Operation((layers.Activation,), channelwise=True),
    Operation(
        (
            layers.Identity,
            layers.ActivityRegularization,
            layers.Dropout,
            layers.SpatialDropout1D,
            layers.SpatialDropout2D,
            layers.SpatialDropout3D,
            layers.AlphaDropout,
            layers.GaussianDropout,
            layers.GaussianNoise,
        ),
        inert=True,
    ),
)

WEIGHTED: tuple[Any, ...] = tuple(
    kind
    for row in OPERATIONS
    if row.scales == "weights"
    for kind in row.kinds
    if isinstance(kind, type)
)
"""Layers whose weights int8 rounds."""

DELEGATED = frozenset(name for row in OPERATIONS for name in row.operators)
"""LiteRT's operators that XNNPACK should run."""

_ROWS = {kind: row for row in OPERATIONS for kind in row.kinds}
UNKNOWN = Operation(())
"""Of an operation that no row knows."""


def known(operation: Any) -> Operation:
    """Returns what is known of a layer or of an operation of `keras.ops`.

    >>> known(layers.MaxPooling2D()).keeps_range, known(layers.Activation("tanh")).range
    (True, (-1.0, 0.9921875))
    """
    if getattr(operation, "interpolation", "nearest") not in ("nearest", "bilinear"):
        return UNKNOWN  # may give values beyond those that it reads
    kinds: list[Any] = [*type(operation).__mro__, type(operation).__name__]
    if isinstance(operation, layers.Activation):
        kinds.insert(0, _function_name(operation.activation))
    return next((_ROWS[kind] for kind in kinds if kind in _ROWS), UNKNOWN)


def _function_name(function: Any) -> str:
    """Returns a function's name in Keras; nothing if it is not Keras', whatever it is called."""
    name = getattr(function, "__name__", "")
    own = (getattr(module, name, None) for module in (keras.activations, keras.ops))
    return name if any(function is x for x in own) else ""
