"""Each rewrite of the lowering on its own: exact, and of small kernels and few operations."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit import fuse
from keras_fastvit.architecture.blocks import AttentionBlock
from keras_fastvit.conversion.lowering.attention import split_heads
from keras_fastvit.conversion.lowering.depth_multiplier import split_depth_multipliers
from keras_fastvit.conversion.lowering.depthwise import MAX_TAPS, split_depthwise
from keras_fastvit.conversion.lowering.strided_depthwise import split_strided_depthwise
from keras_fastvit.conversion.lowering.upsampling import repeat_pixels
from keras_fastvit.graph.rewriting import origin
from tests.lowered_models import check, depthwise, image, kinds, noise, of_type, precision, taps
from tests.models import randomize, run

__all__ = ["precision"]  # applies to every test here

# Where all taps meet data and where some do not, odd and even, square and not.
SIDES = [
    *((side, side) for side in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16)),
    *((1, 9), (9, 1), (2, 3), (3, 8), (8, 3), (4, 2), (2, 13), (16, 5), (7, 12)),
]


def every_part_meets_data(model: keras.Model) -> bool:
    """Whether no convolution gives the same everywhere, for which int8 has no scale."""
    convs = of_type(model, layers.DepthwiseConv2D)
    outputs = keras.Model(model.input, [conv.output for conv in convs])
    by_conv = run(outputs, noise(model))
    biases = [ops.convert_to_numpy(conv.bias) if conv.use_bias else 0 for conv in convs]
    return all(
        np.abs(y - bias).max() > 1e-3
        for y, bias in zip(keras.tree.flatten(by_conv), biases, strict=True)
    )


@pytest.mark.single_backend
@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_depthwise(sides: tuple[int, int]) -> None:
    model = depthwise(*sides, 3)
    lowered = check(split_depthwise(model), model)
    assert set(kinds(lowered)) <= {"DepthwiseConv2D", "Add"}
    assert max(taps(lowered)) <= MAX_TAPS
    # Taps that never meet data are left out, and what fits one kernel is one.
    reached = np.prod([min(7, 2 * side - 1) for side in sides])
    assert sum(taps(lowered)) == reached
    assert len(taps(lowered)) == (1 if reached <= MAX_TAPS else 2 if reached < 49 else 3)
    assert every_part_meets_data(lowered)
    assert lowered.operations[-1].name == "conv"


@pytest.mark.single_backend
@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_strided_depthwise(sides: tuple[int, int], multiplier: int) -> None:
    model = depthwise(*sides, 3, strides=2, depth_multiplier=multiplier)
    lowered = check(split_strided_depthwise(model), model)
    assert max(taps(lowered)) <= MAX_TAPS
    assert len(taps(lowered)) <= 3
    assert every_part_meets_data(lowered)
    for conv in of_type(lowered, layers.DepthwiseConv2D):
        assert conv.depth_multiplier == multiplier
        before, _ = origin(conv.input)
        # XNNPACK computes a padding in passing if nothing else reads it.
        assert isinstance(before, keras.layers.InputLayer) or len(before._outbound_nodes) == 1
    if min(sides) >= 5:
        assert sorted(taps(lowered)) == [7, 21, 21]
    assert lowered.operations[-1].name == "conv"


@pytest.mark.single_backend
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("sides", [(1, 1), (2, 5), (9, 10)], ids=str)
def test_other_depthwise_kernels_stay_right(
    sides: tuple[int, int], size: int, strides: int
) -> None:
    model = depthwise(*sides, 3, strides=strides, size=size)
    check(split_depthwise(model), model)
    check(split_strided_depthwise(model), model)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("strides", "kwargs"),
    [
        (1, {"activation": "relu"}),
        (1, {"dilation_rate": 2}),
        (2, {"activation": "relu"}),
    ],
)
def test_depthwise_convolutions_that_are_left_as_they_are(
    strides: int, kwargs: dict[str, Any]
) -> None:
    model = depthwise(13, 9, 3, strides=strides, **kwargs)
    for rewrite in (split_depthwise, split_strided_depthwise):
        assert taps(check(rewrite(model), model)) == [49]


@pytest.mark.single_backend
def test_depthwise_without_bias_or_padding() -> None:
    for strides, rewrite in ((1, split_depthwise), (2, split_strided_depthwise)):
        model = depthwise(9, 9, 3, strides=strides, use_bias=False)
        assert not any(
            c.use_bias
            for c in of_type(check(rewrite(model), model), layers.Layer)
            if isinstance(c, layers.DepthwiseConv2D)
        )
    inputs = image(12, 9, 3)
    model = randomize(keras.Model(inputs, layers.DepthwiseConv2D(7, 2)(inputs)))
    assert max(taps(check(split_strided_depthwise(model), model))) <= MAX_TAPS


@pytest.mark.single_backend
def test_a_depthwise_convolution_of_two_maps() -> None:
    """Each size has the taps that meet data there; maps of one size share theirs."""
    inputs = image(18, 18, 3)
    conv, pool = layers.DepthwiseConv2D(7, padding="same"), layers.GlobalMaxPooling2D()
    maps = [inputs, layers.AveragePooling2D(9)(inputs), layers.ReLU()(inputs)]
    model = randomize(keras.Model(inputs, layers.Concatenate()([pool(conv(x)) for x in maps])))
    assert sorted(taps(check(split_depthwise(model), model))) == [8, 9, 20, 21]


@pytest.mark.single_backend
def test_a_padding_that_others_read_too() -> None:
    inputs = image(9, 12, 4)
    padded = layers.ZeroPadding2D(3)(inputs)
    convs = [layers.DepthwiseConv2D(7, 2, depth_multiplier=m)(padded) for m in (1, 2)]
    outputs = [layers.GlobalMaxPooling2D()(x) for x in [*convs, padded]]
    model = randomize(keras.Model(inputs, layers.Concatenate()(outputs)))
    lowered = check(split_strided_depthwise(split_depth_multipliers(model)), model)
    # Quantisation goes by names: each is of one tensor.
    assert all(len(operation._inbound_nodes) == 1 for operation in lowered.operations)


@pytest.mark.single_backend
@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (8, 8)], ids=str)
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("multiplier", [2, 3])
def test_depth_multiplier(sides: tuple[int, int], strides: int, multiplier: int) -> None:
    """Without a layer that takes the channels in another order, they are put back in theirs."""
    model = depthwise(*sides, 4, strides=strides, depth_multiplier=multiplier)
    lowered = check(split_depth_multipliers(model), model)
    expected = ["Concatenate", "DepthwiseConv2D", "Take"] + ["ZeroPadding2D"] * (strides - 1)
    assert kinds(lowered) == expected
    (conv,) = of_type(lowered, layers.DepthwiseConv2D)
    assert (conv.name, conv.depth_multiplier) == ("conv", 1)


def downsampling(x: Any) -> Any:
    return layers.Conv2D(6, 1, activation="gelu")(x)


def squeeze_and_excite(x: Any) -> Any:
    """The head of a FastViT."""
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(y))
    x = layers.Activation("gelu")(layers.Multiply()([x, y]))
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


def two_readers(x: Any) -> Any:
    pooled = layers.MaxPooling2D()(x)
    wide, narrow = layers.Conv2D(3, 2, padding="same")(x), layers.Dense(3)(pooled)
    return layers.Concatenate()([layers.GlobalMaxPooling2D()(y) for y in (wide, narrow)])


def same_order_twice(x: Any) -> Any:
    return layers.Conv2D(2, 1)(layers.Add()([layers.ReLU()(x), x]))


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "reader", [downsampling, squeeze_and_excite, two_readers, same_order_twice]
)
def test_readers_take_the_channels_as_they_come(reader: Callable[[Any], Any]) -> None:
    model = depthwise(8, 6, 4, depth_multiplier=2)
    model = randomize(keras.Model(model.input, reader(model.output)))
    lowered = check(split_depth_multipliers(model), model)
    assert kinds(lowered) == sorted([*kinds(model), "Concatenate"])


@pytest.mark.single_backend
def test_a_reader_of_two_orders() -> None:
    inputs = image(5, 5, 4)
    half = layers.Conv2D(2, 1)(inputs)
    reader = layers.Conv2D(3, 1)
    split = [layers.DepthwiseConv2D(3, depth_multiplier=8 // x.shape[-1]) for x in (inputs, half)]
    outputs = [reader(conv(x)) for conv, x in zip(split, (inputs, half), strict=True)]
    model = randomize(keras.Model(inputs, layers.Add()(outputs)))
    assert "Take" not in kinds(check(split_depth_multipliers(model), model))


def flattened(x: Any) -> Any:
    return layers.Dense(3)(layers.Flatten()(x))


def grouped(x: Any) -> Any:
    return layers.Conv2D(8, 3, groups=2)(x)


def with_a_factor_a_channel(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.Multiply()([x, layers.Rescaling([0.5] * 4 + [2.0] * 4)(x)]))


def normalized(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.BatchNormalization()(x))


def with_one_channel(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.Multiply()([x, layers.Conv2D(1, 1)(x)]))


def by_an_operation(x: Any) -> Any:
    return layers.Conv2D(3, 1)(ops.sin(x)) + ops.mean(x, axis=-1, keepdims=True)


def depthwise_again(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))


def with_a_map_of_no_kernel(x: Any) -> Any:
    return layers.Conv2D(3, 1)(layers.Add()([x, layers.Flatten()(x)[:, None, None, :8]]))


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "reader",
    [
        flattened,
        grouped,
        with_a_factor_a_channel,
        normalized,
        with_one_channel,
        by_an_operation,
        depthwise_again,
        with_a_map_of_no_kernel,
    ],
)
def test_readers_that_need_the_order(reader: Callable[[Any], Any]) -> None:
    model = depthwise(8, 6, 4, depth_multiplier=2)
    model = randomize(keras.Model(model.input, reader(model.output)))
    lowered = check(split_depth_multipliers(model), model)
    assert "Take" in kinds(lowered)


def attention(*sides: int, channels: int = 64) -> keras.Model:
    inputs = image(*sides, channels)
    block = AttentionBlock(2, layer_scale_init_value=0.5, name="block")
    return fuse(randomize(keras.Model(inputs, block(inputs))))


@pytest.mark.single_backend
@pytest.mark.parametrize("sides", [(1, 2), (3, 3), (7, 4), (8, 8)], ids=str)
@pytest.mark.parametrize("channels", [32, 96])
def test_attention(sides: tuple[int, int], channels: int) -> None:
    model = attention(*sides, channels=channels)
    lowered = check(split_heads(model), model)
    assert max(len(operation.output.shape) for operation in lowered.operations) == 4
    found = kinds(lowered)
    assert [found.count(kind) for kind in ("Reshape", "Permute", "Matmul", "Softmax")] == [
        4,
        4,
        2,
        1,
    ]
    assert not of_type(lowered, layers.EinsumDense)
    assert {"block_token_mixer_query", "block_token_mixer_proj"} <= {
        operation.name for operation in lowered.operations
    }


@pytest.mark.single_backend
def test_attention_to_one_token_is_its_value() -> None:
    model = attention(1, 1)
    lowered = split_heads(model)
    check(lowered, model)
    assert not {"Matmul", "Softmax", "Permute"} & set(kinds(lowered))


@pytest.mark.single_backend
def test_attention_that_is_looked_into() -> None:
    model = attention(3, 4)
    (softmax,) = (x for x in model.operations if type(x).__name__ == "Softmax")
    outputs = layers.Concatenate()([layers.Flatten()(y) for y in (softmax.output, model.output)])
    model = keras.Model(model.input, outputs)
    check(split_heads(model), model)


@pytest.mark.single_backend
def test_attention_to_another_map_is_left_alone() -> None:
    """What is attended to must be what attends."""
    model = attention(3, 4)
    x = model.input
    flat, other = model.get_layer("block_token_mixer_tokens"), layers.Activation("tanh")(x)
    key, value = (model.get_layer(f"block_token_mixer_{name}") for name in ("key", "value"))
    logits = ops.einsum(
        "bhwnd,bknd->bnhwk", model.get_layer("block_token_mixer_query")(x), key(flat(other))
    )
    mixed = ops.einsum("bnhwk,bknd->bhwnd", ops.softmax(logits), value(flat(other)))
    model = keras.Model(x, model.get_layer("block_token_mixer_proj")(mixed))
    assert of_type(check(split_heads(model), model), layers.EinsumDense)


@pytest.mark.single_backend
def test_einsums_of_others_are_left_alone() -> None:
    inputs = image(3, 4, 8)
    projected = layers.EinsumDense("bhwc,cnd->bhwnd", (None, None, 2, 4))(inputs)
    outputs = layers.EinsumDense("bhwnd,ndc->bhwc", (None, None, 8))(projected)
    model = randomize(keras.Model(inputs, outputs))
    assert kinds(check(split_heads(model), model)) == ["EinsumDense", "EinsumDense"]


@pytest.mark.single_backend
@pytest.mark.parametrize("size", [(2, 2), (1, 3), (4, 1)], ids=str)
@pytest.mark.parametrize("sides", [(1, 1), (3, 2), (5, 8)], ids=str)
def test_repeated_pixels(sides: tuple[int, int], size: tuple[int, int]) -> None:
    inputs = image(*sides, 3)
    upsampling = layers.UpSampling2D(size, name="larger")
    model = keras.Model(inputs, upsampling(inputs))
    lowered = check(repeat_pixels(model), model)
    assert set(kinds(lowered)) == {"Concatenate", "Reshape"}
    assert all(len(x.output.shape) == 4 for x in lowered.operations)
    assert lowered.operations[-1].name == "larger"


@pytest.mark.single_backend
def test_smooth_upsampling_stays() -> None:
    inputs = image(3, 2, 3)
    model = keras.Model(inputs, layers.UpSampling2D(2, interpolation="bilinear")(inputs))
    assert kinds(check(repeat_pixels(model), model)) == ["UpSampling2D"]
