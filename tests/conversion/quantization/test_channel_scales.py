"""Scaled channels: the model stays what it is, and no tensor needs a wider range."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit import fuse
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.channel_scales import (
    LARGEST,
    apply_scales,
    channel_scales,
    without_weights,
)
from keras_fastvit.conversion.quantization.int8_form import (
    GELU_SLOPE,
    int8_form,
    is_gelu_gate,
)
from keras_fastvit.conversion.quantization.layer_by_layer import (
    _EQUALISING_IMAGES,
    _largest_values,
    _scaled,
    quantize,
)
from keras_fastvit.graph.rewriting import calls_of
from tests.models import images, randomize, relative_difference, run, tiny

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def lowered():
    return lower(fuse(tiny(data_format="channels_last")))


def model_of(function, shape=(8, 8, 3)):
    x = keras.Input(batch_shape=(1, *shape))
    return randomize(keras.Model(x, function(x)))


def conv(name, filters=4, **kwargs):
    return layers.Conv2D(filters, 3, padding="same", name=name, **kwargs)


def gelu(name):
    return layers.Activation("gelu", name=name)


def outputs(model, count=3):
    x = images(count, *model.input_shape[1:])
    return np.concatenate([run(model, x[i : i + 1]) for i in range(count)])


def scaled(model, gelu="operator"):
    """The int8 form with scaled channels, and the factors."""
    calibration = images(4, *model.input_shape[1:])
    return _scaled(model, calibration, gelu, False)


def check(model):
    """Checks that the form with the scales that it finds computes the same; returns these."""
    form, scales = scaled(model)
    assert relative_difference(outputs(form), outputs(model)) < 1e-5
    assert all(np.all(factors >= 1) for factors in scales.values())
    return scales


def with_sigmoid_gelu(model):
    """The model with `x · sigmoid(1.702 x)` in the place of GELU."""

    def clone(layer):
        copy = type(layer).from_config(layer.get_config())
        if isinstance(layer, layers.Activation) and layer.activation is keras.activations.gelu:
            copy.activation = lambda x: x * keras.ops.sigmoid(1.702 * x)
        return copy

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def test_a_scaled_model_computes_the_same(lowered):
    scales = check(lowered)
    # The parts of a large kernel, what they add up to, and the squeeze-and-excite head's ReLU.
    free = [name for name, factors in scales.items() if factors.max() > 1]
    assert {"stage_1_block_0_mlp_conv", "stage_1_block_0_mlp_conv_rows_135"} <= set(free)
    assert {"stage_1_downsample_large_conv_rows_6_crop", "final_conv_se_fc1"} <= set(free)
    fixed = [name for name, factors in scales.items() if np.all(factors == 1)]
    assert {lowered.inputs[0].name, "head", "stage_3_block_0_token_mixer_key"} <= set(fixed)


def test_gelu_by_a_sigmoid(lowered):
    form, scales = scaled(lowered, "sigmoid")
    expected = outputs(with_sigmoid_gelu(lowered))
    assert relative_difference(outputs(form), expected) < 1e-5
    assert relative_difference(outputs(lowered), expected) > 1e-4
    gates = [node for node in calls_of(form) if is_gelu_gate(node.operation)]
    assert len(gates) == sum(
        getattr(x, "activation", 0) is keras.activations.gelu for x in lowered.operations
    )
    for gate in gates:
        source = gate.input_tensors[0]._keras_history.operation.name
        assert np.all(scales[source] == GELU_SLOPE)
        assert np.all(scales[gate.operation.name] == 1)
        assert np.all(scales[gate.operation.name.removesuffix("_gelu_gate")] == GELU_SLOPE)


@pytest.mark.parametrize("kind", ["operator", "sigmoid"])
def test_no_range_is_widened_and_channels_fill_it(lowered, kind):
    form, scales = scaled(lowered, kind)
    calibration = images(4, 64, 64, 3)
    before, after = _largest_values(lowered, calibration), _largest_values(form, calibration)
    filled = 0
    for name, values in before.items():
        if name not in scales or np.all(scales[name] == GELU_SLOPE):
            continue
        # The values of the model with sigmoids are not quite those of the model.
        assert after[name].max() <= (1.001 if kind == "operator" else 1.05) * values.max()
        filled += np.mean(after[name] > 0.9 * values.max()) - np.mean(values > 0.9 * values.max())
    assert filled > 3


def test_one_channel_more_fills_the_range_of_one_of_the_tensors_that_share_its_factor():
    model = model_of(lambda x: conv("b")(layers.Add(name="sum")([conv("a1")(x), conv("a2")(x)])))
    scales = check(model)
    for name in ("a1", "a2"):
        np.testing.assert_array_equal(scales[name], scales["sum"])
    largest = _largest_values(model, images(4, 8, 8, 3))
    room = np.min([largest[x].max() / largest[x] for x in ("a1", "a2", "sum")], axis=0)
    np.testing.assert_allclose(scales["sum"], room, rtol=1e-5)


def test_factors_without_known_values_are_one():
    model = model_of(lambda x: conv("b")(conv("a")(x)))
    assert np.all(channel_scales(model, {})["a"] == 1)
    assert np.all(channel_scales(model, {"b": np.ones(4)})["a"] == 1)
    found = channel_scales(model, {"a": np.array([1.0, 2, 4, 0])})["a"]
    np.testing.assert_allclose(found, [4, 2, 1, LARGEST])


def test_a_unit_that_is_silent_on_the_images_looked_at_is_not_cut_off_when_it_fires():
    x = keras.Input(batch_shape=(1, 4, 4, 3))
    rest = layers.GlobalAveragePooling2D(name="pool")(x)
    rest = layers.Dense(3, activation="relu", name="hidden")(rest)
    model = keras.Model(x, layers.Dense(4, name="last")(rest))
    model.get_layer("hidden").set_weights([np.eye(3), np.zeros(3)])
    randomize(model.get_layer("last"))
    # The last channel is below zero on the first images, whose values the factors are made from.
    calibration = np.abs(images(200, 4, 4, 3))
    calibration[:_EQUALISING_IMAGES, ..., 2] *= -1
    (*_, last) = quantize(model, calibration).layers
    assert last.name == "last"
    assert last.sqnr_db > 30


def concatenated(x):
    a, b = conv("a")(x), conv("b", 3, activation="relu")(x)
    both = layers.Concatenate(name="both")([a, b, a])
    return layers.Dense(2, name="last")(layers.GlobalAveragePooling2D(name="pool")(both))


def test_concatenated_channels_keep_their_factors():
    scales = check(model_of(concatenated))
    expected = np.concatenate([scales["a"], scales["b"], scales["a"]])
    np.testing.assert_array_equal(scales["both"], expected)
    np.testing.assert_array_equal(scales["pool"], expected)
    assert scales["a"].max() > 1
    assert scales["b"].max() > 1


def test_rows_that_are_concatenated_have_no_factors():
    model = model_of(lambda x: conv("b")(layers.Concatenate(1)([conv("a")(x), conv("c")(x)])))
    scales = check(model)
    assert np.all(scales["a"] == 1)
    assert np.all(scales["c"] == 1)


@pytest.mark.parametrize("gate_first", [True, False])
def test_a_gate_has_no_factors_and_what_it_multiplies_keeps_them(gate_first):
    def squeeze(x):
        a = conv("a")(x)
        pool = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(a)
        gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(pool)
        pair = [gate, a] if gate_first else [a, gate]
        return conv("b")(layers.Multiply(name="product")(pair))

    scales = check(model_of(squeeze))
    assert np.all(scales["gate"] == 1)
    assert scales["a"].max() > 1
    for name in ("pool", "product"):
        np.testing.assert_array_equal(scales[name], scales["a"])


@pytest.mark.parametrize(
    "activation", ["relu6", "sigmoid", "tanh", "silu", "elu", "hard_sigmoid", "leaky_relu"]
)
def test_what_does_not_let_factors_pass_gets_none(activation):
    fused = model_of(lambda x: conv("b")(conv("a", activation=activation)(x)))
    kernel, bias = fused.get_layer("a").get_weights()
    fused.get_layer("a").set_weights([kernel * [1, 3, 10, 20], bias])
    assert np.all(check(fused)["a"] == 1)
    apart = model_of(lambda x: conv("b")(layers.Activation(activation)(conv("a")(x))))
    assert np.all(check(apart)["a"] == 1)


def test_a_relu_lets_factors_pass():
    fused = check(model_of(lambda x: conv("b")(conv("a", activation="relu")(x))))
    apart = check(model_of(lambda x: conv("b")(layers.Activation("relu")(conv("a")(x)))))
    assert fused["a"].max() > 1
    assert apart["a"].max() > 1


@pytest.mark.parametrize(
    "layer",
    [
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        layers.Conv2D(6, 3, groups=2),
        layers.Dense(5),
        layers.Conv2DTranspose(5, 3),
        layers.MaxPooling2D(2),
        layers.AveragePooling2D(2, padding="same"),
        layers.Flatten(),
        layers.LayerNormalization(),
        layers.UpSampling2D(2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_between_others_compute_the_same(layer):
    check(model_of(lambda x: layers.Dense(3)(layer(conv("a")(x)))))


def test_sums_and_products_of_many_or_broadcast_tensors():
    def function(x):
        a, b, c, d = (conv(name)(x) for name in "abcd")
        one = conv("e", 1)(x)
        product = layers.Multiply()([a, b, c])
        return conv("last")(layers.Add()([product, d, a, one]))

    check(model_of(function))


@pytest.mark.parametrize("kind", ["operator", "sigmoid"])
def test_a_layer_that_is_called_twice(kind):
    shared, activation = conv("shared", 3), gelu("gelu")

    def function(x):
        return conv("last")(activation(shared(activation(shared(conv("first", 3)(x))))))

    model = model_of(function)
    form, _ = scaled(model, kind)
    reference = with_sigmoid_gelu(model) if kind == "sigmoid" else model
    assert relative_difference(outputs(form), outputs(reference)) < 1e-5
    names = [operation.name for operation in form.operations]
    assert len(set(names)) == len(names)
    assert all(len(operation._inbound_nodes) == 1 for operation in form.operations)
    assert sum(map(is_gelu_gate, form.operations)) == (2 if kind == "sigmoid" else 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: conv("b")(gelu("g")(x)),
        lambda x: gelu("g")(conv("a")(x)),
        lambda x: conv("b")(gelu("g")(layers.Add()([conv("a", 3)(x), x]))),
        lambda x: conv("b")(gelu("g")(layers.LayerNormalization()(conv("a")(x)))),
        lambda x: conv("b")(layers.Reshape((12, 8, 4))(gelu("g")(conv("a", 6)(x)))),
    ],
    ids=["input", "output", "residual", "normalisation", "reshape"],
)
def test_a_gelu_that_cannot_be_scaled_gets_weights_that_can(function):
    model = model_of(function)
    assert without_weights(int8_form(model, "operator")) == frozenset()
    form, _ = scaled(model, "sigmoid")
    assert without_weights(form) == frozenset()
    assert sum(map(is_gelu_gate, form.operations)) == 1
    identities = [x for x in form.operations if isinstance(x, layers.DepthwiseConv2D)]
    assert 1 <= len(identities) <= 2
    reference = with_sigmoid_gelu(model)
    assert relative_difference(outputs(form), outputs(reference)) < 1e-5
    quantized = quantize(model, images(16, *model.input_shape[1:]))
    assert quantized.gelu == "sigmoid"
    assert min(layer.sqnr_db for layer in quantized.layers) > 25


def test_the_model_is_left_alone(lowered):
    before = [np.array(weight) for weight in lowered.get_weights()]
    scaled(lowered, "sigmoid")
    for old, new in zip(before, lowered.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_biases_are_scaled_and_layers_without_do_without():
    model = model_of(lambda x: conv("b", use_bias=False)(conv("a")(x)))
    kernel, bias = model.get_layer("a").get_weights()
    second = model.get_layer("b").get_weights()[0]
    factors = np.array([1.0, 2, 4, 8])
    scales = channel_scales(model, {})
    apply_scales(model, {**scales, "a": factors})
    np.testing.assert_allclose(model.get_layer("a").get_weights()[0], kernel * factors)
    np.testing.assert_allclose(model.get_layer("a").get_weights()[1], bias * factors)
    received = model.get_layer("b").get_weights()[0]
    np.testing.assert_allclose(received, second / factors[:, None])


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_factors_pass_an_upsampling(interpolation):
    def function(x):
        larger = layers.UpSampling2D(2, interpolation=interpolation, name="larger")
        return conv("b")(larger(conv("a")(x)))

    model = lower(model_of(function))
    scales = check(model)
    assert scales["a"].max() > 1
    np.testing.assert_array_equal(scales["larger"], scales["a"])


@pytest.mark.parametrize(("filters", "shape"), [(3, (8, 4, 6)), (6, (8, 16, 3))])
def test_factors_pass_a_reshape_of_whole_pixels(filters, shape):
    model = model_of(lambda x: conv("b")(layers.Reshape(shape, name="r")(conv("a", filters)(x))))
    scales = check(model)
    assert scales["a"].max() > 1
    a, b = scales["a"].reshape(-1, 3), scales["r"].reshape(-1, 3)
    assert np.all(a == a[0])
    assert np.all(b == a[0])


def test_factors_do_not_pass_a_reshape_that_cuts_pixels():
    model = model_of(lambda x: conv("b")(layers.Reshape((12, 8, 4))(conv("a", 6)(x))))
    assert np.all(check(model)["a"] == 1)
