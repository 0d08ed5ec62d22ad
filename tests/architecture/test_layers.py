"""Every layer on its own: configuration, shapes, training, inference form, refusals."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import layers as keras_layers
from keras import ops

from keras_fastvit import fuse
from keras_fastvit.architecture import blocks, layers
from keras_fastvit.architecture.blocks import (
    Attention,
    AttentionBlock,
    ConvFFN,
    Downsample,
    RepMixer,
    RepMixerBlock,
)
from keras_fastvit.architecture.layers import (
    ConditionalPositionalEncoding,
    ConvBN,
    Dropout,
    DropPath,
    FastViTLayer,
    LayerNorm,
    LayerScale,
    MobileOneBlock,
    SqueezeExcite,
)
from keras_fastvit.graph.keras_internals import layers_within
from tests.models import DATA_FORMATS, count, gradients, images, randomize, relative_difference, run

TOLERANCE = 1e-5


class Case(NamedTuple):
    """A layer and the number of channels that it is called with."""

    cls: type[keras.Layer]
    channels: int
    arguments: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def make(self, data_format: str = "channels_last", **kwargs: Any) -> keras.Layer:
        if issubclass(self.cls, FastViTLayer):
            kwargs["data_format"] = data_format
        return self.cls(**self.arguments, **kwargs)

    def build(self, data_format: str = "channels_last", **kwargs: Any) -> keras.Layer:
        """A layer with random weights."""
        layer = self.make(data_format, **kwargs)
        shape = (None, None, None, self.channels)
        layer.build(shape if data_format == "channels_last" else (None, shape[-1], None, None))
        return randomize(layer)

    def __str__(self) -> str:
        arguments = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.cls.__name__}({arguments})"


# Together they call all that a backend computes for any layer: on every backend.
EVERYWHERE = [
    Case(Dropout, 4, {"rate": 0.5}),
    Case(DropPath, 4, {"rate": 0.5}),
    Case(LayerNorm, 4),
    Case(ConvBN, 4, {"filters": 6, "kernel_size": 1, "strides": 2}),
    Case(ConvBN, 4, {"filters": 12, "kernel_size": 7, "strides": 2, "depthwise": True}),
    Case(ConvBN, 4, {"filters": 4, "kernel_size": 5, "strides": 3, "depthwise": True}),
    Case(MobileOneBlock, 3, {"filters": 6, "kernel_size": 3, "strides": 2}),
    Case(
        MobileOneBlock,
        16,
        {"filters": 32, "kernel_size": 3, "depthwise": True, "squeeze_excite": True},
    ),
    Case(ConditionalPositionalEncoding, 4, {"kernel_size": 5}),
    Case(Downsample, 4, {"filters": 8, "squeeze_excite": True, "activation": True}),
    Case(RepMixerBlock, 4, {"mlp_ratio": 2, "drop_path_rate": 0.5, "layer_scale_init_value": 0.5}),
    Case(
        AttentionBlock, 32, {"mlp_ratio": 2, "drop_path_rate": 0.5, "layer_scale_init_value": 0.5}
    ),
    Case(AttentionBlock, 32, {"mlp_ratio": 2, "norm_type": "layer_norm"}),
]
CASES = [
    *EVERYWHERE,
    Case(Dropout, 4, {"rate": 0.0}),
    Case(LayerScale, 4, {"init_value": 0.3}),
    Case(ConvBN, 4, {"filters": 6, "kernel_size": 3}),
    Case(SqueezeExcite, 8, {"ratio": 0.25}),
    Case(MobileOneBlock, 4, {"filters": 4, "kernel_size": 1}),
    Case(MobileOneBlock, 4, {"filters": 4, "kernel_size": 3, "depthwise": True}),
    Case(MobileOneBlock, 4, {"filters": 4, "kernel_size": 3, "strides": 2, "depthwise": True}),
    Case(MobileOneBlock, 4, {"filters": 4, "kernel_size": 3, "activation": False}),
    Case(MobileOneBlock, 3, {"filters": 6, "kernel_size": 3, "strides": 2, "scale_branch": False}),
    Case(Downsample, 4, {"filters": 8}),
    Case(Downsample, 4, {"filters": 4}),
    Case(Downsample, 4, {"filters": 8, "activation": True}),
    Case(RepMixer, 4, {"kernel_size": 5, "layer_scale_init_value": 0.5}),
    Case(ConvFFN, 4, {"hidden_filters": 6}),
    Case(Attention, 64),
]
NORMALIZED = (ConvBN, MobileOneBlock, Downsample, RepMixer, ConvFFN, RepMixerBlock, AttentionBlock)


def each(cases: list[Case]) -> pytest.MarkDecorator:
    """Gives a test these cases, those that are not for every backend on the first alone."""
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, marks=[] if case in EVERYWHERE else [pytest.mark.single_backend])
            for case in cases
        ],
        ids=str,
    )


each_case = each(CASES)
with_statistics = each([case for case in CASES if case.cls in NORMALIZED])
each_data_format = pytest.mark.parametrize("data_format", DATA_FORMATS)


def in_format(x: np.ndarray, data_format: str) -> np.ndarray:
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


@pytest.mark.single_backend
def test_every_layer_has_a_case() -> None:
    found = {
        value
        for module in (layers, blocks)
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, keras.Layer)
        and value.__module__ == module.__name__
    }
    assert {case.cls for case in CASES} == found - {FastViTLayer}


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.single_backend
@each_case
def test_config_round_trip(case: Case) -> None:
    layer = case.build("channels_first", name="mine", dtype="mixed_bfloat16", trainable=False)
    inner = layers_within(layer, include_self=False)
    for sublayer in inner[-1:]:
        sublayer.trainable = True
    config = layer.get_config()
    # Without a constructor of its own, a class may show that of Keras: `*args, **kwargs`.
    own = set(inspect.signature(case.cls).parameters) - {"args", "kwargs"}
    assert own - {"overrides"} <= set(config)
    assert ("overrides" in config) is bool(inner)  # only where there is something to say
    for name, value in case.arguments.items():
        assert config[name] == value

    for twin in (
        case.cls.from_config(config),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
    ):
        assert type(twin) is case.cls
        assert twin.get_config() == config
        if not twin.built:
            twin.build((None, case.channels, None, None))
        assert twin.get_config() == config
        paths = [weight.path for weight in layer.weights]
        assert [weight.path for weight in twin.weights] == paths
        assert not twin.trainable_weights


@pytest.mark.single_backend
@each_case
def test_classes_are_found_in_files(case: Case, tmp_path: Path) -> None:
    """A file names them `keras_fastvit>…`, which needs no `custom_objects`."""
    inputs = keras.Input((9, 8, case.channels))
    model = keras.Model(inputs, case.make()(inputs))
    randomize(model).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[1]) is case.cls
    for mine, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(theirs))


@pytest.mark.single_backend
def test_the_default_data_format_is_keras() -> None:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        assert LayerScale().data_format == "channels_first"
    finally:
        keras.config.set_image_data_format(before)
    assert LayerScale().data_format == before


@pytest.mark.single_backend
@each_case
def test_precision_reaches_every_sublayer(case: Case) -> None:
    layer = case.build(dtype="mixed_bfloat16")
    for sublayer in layer._flatten_layers():
        assert sublayer.dtype_policy.name == "mixed_bfloat16", sublayer.path
    assert all(weight.dtype == "float32" for weight in layer.weights if weight.name != "seed_state")


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.single_backend
@each_data_format
@each_case
def test_output_shapes(case: Case, data_format: str) -> None:
    layer = case.build(data_format)
    for height, width in ((7, 10), (8, 5)):
        x = in_format(images(2, height, width, case.channels), data_format)
        shape = run(layer, x).shape
        assert layer.compute_output_shape(x.shape) == shape
        assert tuple(layer(keras.KerasTensor(x.shape)).shape) == shape
    # What is not known beforehand is None, the rest is not.
    symbolic = in_format(np.array([None, None, None, case.channels])[None], "channels_last")[0]
    if data_format == "channels_first":
        symbolic = symbolic[[0, 3, 1, 2]]
    channels = shape[-1 if data_format == "channels_last" else 1]
    expected = [channels if size is not None else None for size in symbolic]
    assert list(layer.compute_output_shape(tuple(symbolic))) == expected


@each_case
def test_data_formats_agree(case: Case) -> None:
    last, first = case.build("channels_last"), case.build("channels_first")
    # Neither side equals a number of channels: there Keras 3.15 on TensorFlow adds a
    # convolution's bias along the width if channels come first.
    x = images(2, 11, 9, case.channels)
    expected = np.moveaxis(run(last, x), -1, 1)
    received = run(first, np.moveaxis(x, -1, 1))
    assert relative_difference(received, expected) < TOLERANCE
    assert first.compute_output_shape((2, case.channels, 11, 9)) == received.shape


# --- training -----------------------------------------------------------------------------------


@with_statistics
def test_statistics_move_in_training_only(case: Case) -> None:
    layer, x = case.build(), images(4, 8, 8, case.channels) * 3 + 1
    statistics = [weight for weight in layer.weights if weight.name.startswith("moving_")]
    assert statistics
    before = [ops.convert_to_numpy(weight).copy() for weight in statistics]
    run(layer, x)
    for weight, old in zip(statistics, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
    run(layer, x, training=True)
    for weight, old in zip(statistics, before, strict=True):
        assert not np.array_equal(ops.convert_to_numpy(weight), old), weight.path


@with_statistics
def test_a_frozen_layer_keeps_its_statistics(case: Case) -> None:
    """Also one that is frozen from the start, as when its model is loaded."""
    x = images(4, 8, 8, case.channels) * 3 + 1
    for layer in (case.build(), case.build(trainable=False)):
        layer.trainable = False
        statistics = [weight for weight in layer.weights if weight.name.startswith("moving_")]
        before = [ops.convert_to_numpy(weight).copy() for weight in statistics]
        run(layer, x, training=True)
        for weight, old in zip(statistics, before, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
        layer.trainable = True
        assert count(layer.trainable_weights) == count(case.build().trainable_weights)


def test_batch_norm_follows_pytorchs_constants() -> None:
    layer = Case(ConvBN, 2, {"filters": 2, "kernel_size": 1}).build()
    layer.conv.kernel.assign(np.eye(2)[None, None])
    layer.bn.moving_mean.assign([1.0, 2.0])
    layer.bn.moving_variance.assign([0.0, 1.0])
    layer.bn.gamma.assign([1.0, 1.0])
    layer.bn.beta.assign([0.0, 0.0])
    x = np.array([[3.0, 6.0], [5.0, 6.0]], "float32").reshape(1, 1, 2, 2)
    np.testing.assert_allclose(run(layer, x)[0, 0, 0], [2e5**0.5 * 2**0.5, 4 / 1.00001**0.5])
    run(layer, x, training=True)
    # A tenth of the batch's mean, nine tenths of the old one.
    np.testing.assert_allclose(ops.convert_to_numpy(layer.bn.moving_mean), [1.3, 2.4], rtol=1e-6)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    layer, x = DropPath(0.25, seed=1), 1 + images(4000, 2, 1, 3) / 9
    factors = run(layer, x, training=True) / x
    per_sample = factors.reshape(4000, -1)
    assert np.allclose(per_sample, per_sample[:, :1])
    kept = per_sample[:, 0] > 0
    np.testing.assert_allclose(per_sample[kept, 0], 1 / 0.75, rtol=1e-6)
    # Five standard deviations of a binomial share.
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)
    np.testing.assert_array_equal(run(layer, x), x)


def test_dropout_drops_single_values() -> None:
    layer, x = Dropout(0.5, seed=1), np.ones((100, 8, 8, 3), "float32")
    dropped = run(layer, x, training=True)
    assert set(np.unique(dropped)) == {0, 2}
    assert 0 < (dropped[0] == 0).mean() < 1
    np.testing.assert_array_equal(run(layer, x), x)


@pytest.mark.parametrize("cls", [Dropout, DropPath])
def test_rate_zero_drops_nothing_but_keeps_its_state(cls: type[Dropout]) -> None:
    layer, x = cls(0.0), images()
    np.testing.assert_array_equal(run(layer, x, training=True), x)
    assert len(layer.variables) == len(cls(0.5).variables) == 1
    assert layer.get_config()["rate"] == 0


@pytest.mark.parametrize("cls", [RepMixerBlock, AttentionBlock])
def test_a_dropped_branch_leaves_the_rest(cls: type[FastViTLayer]) -> None:
    layer = Case(cls, 32, {"mlp_ratio": 1, "drop_path_rate": 0.9}).build()
    for sublayer in layer._flatten_layers():
        sublayer.trainable = False  # Batch statistics would mix the samples.
    x = images(64, 4, 4, 32)
    dropped = run(layer, x, training=True)
    rest = run(layer.token_mixer, x) if cls is RepMixerBlock else x
    untouched = np.abs(dropped - rest).reshape(64, -1).max(1) < 1e-5
    # The RepMixer has no drop path; attention has one and the ConvFFN another: 0.9 and 0.9².
    expected = 0.9 if cls is RepMixerBlock else 0.81
    assert abs(untouched.mean() - expected) < 0.25
    assert not untouched.all()


@pytest.mark.parametrize("side", [32, 64])
def test_gradient_of_a_strided_1x1_kernel(side: int) -> None:
    """oneDNN's own writes outside of its memory at these shapes, and may end the process."""
    layer = Case(ConvBN, 3, {"filters": 8, "kernel_size": 1, "strides": 2}).build()
    model = keras.Sequential([keras.Input((side, side, 3)), layer])
    x = images(2, side, side, 3)
    weights = images(2, side // 2, side // 2, 8, seed=1)
    layer.bn.trainable = False
    direction = ops.convert_to_tensor(weights)
    for _ in range(20):
        (gradient,) = gradients(model, x, lambda y: ops.sum(y * direction))
    scale = ops.convert_to_numpy(layer.bn.gamma) / np.sqrt(
        ops.convert_to_numpy(layer.bn.moving_variance) + 1e-5
    )
    expected = np.einsum("bhwi,bhwo->io", x[:, ::2, ::2], weights * scale)
    assert relative_difference(gradient[0, 0], expected) < TOLERANCE


# --- what the layers compute --------------------------------------------------------------------


def test_gelu_is_exact() -> None:
    """The tanh form differs by up to 4.7e-4."""
    layer = Case(MobileOneBlock, 1, {"filters": 1, "kernel_size": 1}).build()
    for sublayer, value in ((layer.conv_kxk.bn, 1.0), (layer.identity, 0.0)):
        sublayer.gamma.assign([value])
        sublayer.beta.assign([0.0])
        sublayer.moving_mean.assign([0.0])
        sublayer.moving_variance.assign([1 - 1e-5])
    layer.conv_kxk.conv.kernel.assign(np.ones((1, 1, 1, 1)))
    x = np.linspace(-4, 4, 81, dtype="float32").reshape(1, 9, 9, 1)
    from math import erf

    expected = np.array([v / 2 * (1 + erf(v / 2**0.5)) for v in x.ravel().astype(float)])
    for form in (layer, inference_form(layer, x.shape)):
        np.testing.assert_allclose(run(form, x).ravel(), expected, atol=2e-6)


def test_attention_beside_numpy() -> None:
    layer, x = Case(Attention, 64).build(), images(2, 3, 4, 64)
    tokens = x.reshape(2, 12, 64).astype("float64")
    qkv = tokens @ ops.convert_to_numpy(layer.qkv.kernel).astype("float64")
    # PyTorch's layout of the joint projection: (3, heads, 32).
    query, key, value = qkv.reshape(2, 12, 3, 2, 32).transpose(2, 0, 3, 1, 4)
    logits = query @ key.swapaxes(-1, -2) / np.sqrt(32)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    attended = weights / weights.sum(-1, keepdims=True) @ value
    attended = attended.transpose(0, 2, 1, 3).reshape(2, 12, 64)
    projected = attended @ ops.convert_to_numpy(layer.proj.kernel)
    expected = (projected + ops.convert_to_numpy(layer.proj.bias)).reshape(2, 3, 4, 64)
    assert relative_difference(run(layer, x), expected) < TOLERANCE


def test_squeeze_excite_beside_numpy() -> None:
    layer, x = Case(SqueezeExcite, 8, {"ratio": 0.25}).build(), images(2, 3, 4, 8)
    weights = [ops.convert_to_numpy(weight) for weight in layer.weights]
    hidden = np.maximum(x.mean((1, 2)) @ weights[0][0, 0] + weights[1], 0)
    excited = 1 / (1 + np.exp(-(hidden @ weights[2][0, 0] + weights[3])))
    assert hidden.shape == (2, 2)
    assert relative_difference(run(layer, x), x * excited[:, None, None]) < TOLERANCE


@each_data_format
def test_layer_norm_beside_numpy(data_format: str) -> None:
    """Over channels; of a variance so small that epsilon, 1e-5 in PyTorch, matters."""
    layer = Case(LayerNorm, 32).build(data_format)
    x = 3 + images(2, 3, 4, 32) * 0.003
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    gamma, beta = (ops.convert_to_numpy(weight) for weight in layer.weights)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    received = run(layer, in_format(x, data_format))
    assert relative_difference(received, in_format(expected, data_format)) < 1e-4


def test_channel_attention_of_a_downsampling_is_before_its_activation() -> None:
    arguments = {"filters": 8, "squeeze_excite": True, "activation": True}
    layer, x = Case(Downsample, 4, arguments).build(), images(2, 9, 6, 4)
    summed = run(layer.large_conv, x) + run(layer.small_conv, x)
    excited = run(layer.large_se, summed)
    assert layer.large_se.fc1.filters == 2  # a quarter
    expected = run(layer.pointwise, ops.convert_to_numpy(keras.activations.gelu(excited)))
    assert relative_difference(run(layer, x), expected) < TOLERANCE


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "channels", "branches"),
    [
        ({"filters": 4, "kernel_size": 3}, 4, {"conv_kxk", "conv_scale", "identity"}),
        ({"filters": 4, "kernel_size": 1}, 4, {"conv_kxk", "identity"}),
        ({"filters": 8, "kernel_size": 3, "depthwise": True}, 4, {"conv_kxk", "conv_scale"}),
        ({"filters": 4, "kernel_size": 3, "strides": 2}, 4, {"conv_kxk", "conv_scale"}),
        ({"filters": 8, "kernel_size": 1}, 4, {"conv_kxk"}),
        ({"filters": 4, "kernel_size": 3, "scale_branch": False}, 4, {"conv_kxk", "identity"}),
    ],
)
def test_branches(arguments: dict[str, Any], channels: int, branches: set[str]) -> None:
    layer = Case(MobileOneBlock, channels, arguments).build()
    assert {weight.path.split("/")[1] for weight in layer.weights} == branches


@pytest.mark.single_backend
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_kernels_start_as_pytorchs(size: int, depthwise: bool) -> None:
    """Uniform in ±1 / sqrt(fan_in), of which a depthwise kernel's is its own area."""
    channels = 64
    layer = ConvBN(channels, size, depthwise=depthwise)
    layer.build((None, 8, 8, channels))
    bound = 1 / np.sqrt(size * size * (1 if depthwise else channels))
    kernel = ops.convert_to_numpy(layer.conv.kernel)
    assert 0.9 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
    assert abs(kernel.mean()) < 0.2 * bound


# --- inference form -----------------------------------------------------------------------------


def inference_form(layer: Any, shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape[1:])
    return keras.Model(inputs, layer.fuse()(inputs))


@each_data_format
@each_case
def test_inference_form_computes_the_same(case: Case, data_format: str) -> None:
    """In a user's own graph, called by keyword: positions are not the only way."""
    layer = case.build(data_format)
    x = in_format(images(2, 11, 9, case.channels), data_format)
    run(layer, x, training=True)
    inputs = keras.Input(x.shape[1:])
    (name, *_) = inspect.signature(layer.call).parameters
    fused = fuse(keras.Model(inputs, layer(**{name: inputs})))
    assert relative_difference(run(fused, x), run(layer, x)) < TOLERANCE
    for sublayer in fused.layers:
        assert type(sublayer).__module__.startswith("keras."), sublayer
        assert not isinstance(sublayer, keras_layers.BatchNormalization), sublayer


def test_a_folded_layer_norm_has_no_weights() -> None:
    layer = Case(AttentionBlock, 32, {"norm_type": "layer_norm"}).build()
    fused = inference_form(layer, (1, 8, 8, 32))
    (norm,) = [x for x in fused.layers if isinstance(x, keras_layers.LayerNormalization)]
    assert not norm.weights
    query = next(x for x in fused.layers if x.name.endswith("_query"))
    assert query.bias is not None


@each_case
def test_inference_form_is_a_copy(case: Case) -> None:
    """Its weights are its own, and the same at each call of it."""
    layer, x = case.build(), images(2, 11, 9, case.channels)
    expected = run(layer, x)
    form = layer.fuse()
    inputs = [keras.Input(x.shape[1:]), keras.Input(x.shape[1:])]
    fused = keras.Model(inputs, [form(image) for image in inputs])
    left, right = run(fused, [x, x])
    np.testing.assert_array_equal(left, right)
    assert fused.count_params() == inference_form(layer, x.shape).count_params()
    for weight in fused.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_array_equal(run(layer, x), expected)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "case", [case for case in CASES if not issubclass(case.cls, Dropout)], ids=str
)
def test_an_unbuilt_layer_has_no_inference_form(case: Case) -> None:
    with pytest.raises(ValueError, match=rf"Only a built layer.*Received: .*{case.cls.__name__}"):
        case.make().fuse()


@pytest.mark.single_backend
@pytest.mark.parametrize(
    "case", [case for case in CASES if issubclass(case.cls, FastViTLayer)], ids=str
)
def test_an_unknown_data_format_is_refused(case: Case) -> None:
    with pytest.raises(ValueError, match=r"Received: data_format='channels'$"):
        case.make("channels")


def test_quantised_weights_do_not_fold() -> None:
    layer = Case(Attention, 32).build()
    layer.qkv.quantize("int8")
    with pytest.raises(ValueError, match=r"fuse first.*Received: layer '.*qkv'.*int8"):
        layer.fuse()


REFUSED = [
    (lambda: Attention(name="a").build((None, 8, 8, 48)), r"'a'.*of 32.*\(None, 8, 8, 48\)"),
    (
        lambda: ConvBN(6, 3, depthwise=True, name="c").build((None, 8, 8, 4)),
        r"'c'.*multiple.*Received: filters=6, input_shape=\(None, 8, 8, 4\)",
    ),
    (lambda: LayerScale(name="s").build((None, 8, 8, None)), r"'s'.*channels.*8, None\)"),
    (lambda: Downsample(6).build((None, 8, 8, 4)), r"multiple.*Received: filters=6"),
    (
        lambda: AttentionBlock(norm_type="rms_norm"),
        r"'batch_norm' or 'layer_norm'. Received: norm_type='rms_norm'",
    ),
]


@pytest.mark.single_backend
@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_shapes_that_do_not_fit_are_refused(build: Callable[[], None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
