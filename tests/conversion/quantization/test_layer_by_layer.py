"""Static int8: the file computes what was decided on, and that is near the float model."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit import fuse
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.layer_by_layer import quantize
from keras_fastvit.conversion.quantization.ranges import scale_and_zero_point
from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.schema import operators, read_graph
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.graph.rewriting import calls_of
from tests.models import images, randomize, run, tiny

pytestmark = [
    pytest.mark.single_backend,
    # It asks for statistics that only its older, other way to quantise has a use for.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
]


def small(seed=0):
    """What a FastViT is made of, on 12 pixels square, its channels of different sizes."""
    gelu = iter(layers.Activation("gelu", name=f"gelu_{i}") for i in range(9))
    x = keras.Input(batch_shape=(1, 12, 12, 3), name="image")
    y = next(gelu)(layers.Conv2D(8, 3, 2, padding="same", name="stem")(x))
    y = mixed = layers.DepthwiseConv2D(3, padding="same", name="mixer")(y)
    y = layers.Add(name="large")(
        [
            layers.DepthwiseConv2D((4, 5), padding="same", dilation_rate=(2, 1), name="large_0")(y),
            layers.DepthwiseConv2D((3, 7), padding="same", dilation_rate=(2, 1), name="large_1")(y),
        ]
    )
    y = next(gelu)(layers.Conv2D(16, 1, name="fc1")(y))
    y = layers.Add(name="sum")([mixed, layers.Conv2D(8, 1, name="fc2")(y)])
    y = layers.DepthwiseConv2D(3, padding="same", name="final")(
        layers.Concatenate(name="two")([y, y])
    )
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(y)
    gate = layers.Conv2D(6, 1, activation="relu", name="se_1")(squeezed)
    gate = layers.Conv2D(16, 1, activation="sigmoid", name="se_2")(gate)
    y = next(gelu)(layers.Multiply(name="product")([y, gate]))
    y = layers.Dense(5, name="head")(layers.GlobalAveragePooling2D(name="pool")(y))
    model = randomize(keras.Model(x, y), seed)
    rng = np.random.default_rng(seed)
    for name in ("stem", "mixer", "large_0", "large_1", "fc1", "fc2", "final"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        sizes = np.exp(rng.normal(0, 0.7, bias.shape))
        layer.set_weights(
            [kernel * sizes.reshape(kernel.shape[2:] if kernel.shape[3] == 1 else -1), bias]
        )
    return model


def calibration(model, count=48, seed=1):
    """Images whose pixels resemble their neighbours."""
    height, width, channels = model.input_shape[1:]
    coarse = images(count, height // 4, width // 4, channels, seed=seed)
    return coarse.repeat(4, 1).repeat(4, 2) + 0.5 * images(
        count, height, width, channels, seed=seed
    )


def converted(quantized, folder, x):
    """The content of a file of what was decided on, and what it gives for images."""
    from keras_fastvit.conversion.exporting.converter_process import to_int8_tflite

    content = to_int8_tflite(quantized)
    (folder / "model.tflite").write_bytes(content)
    return content, TFLiteModel(folder / "model.tflite").predict(x)


def outputs(model, x):
    return np.concatenate([run(model, x[i : i + 1]) for i in range(len(x))])


@pytest.fixture(scope="module")
def lowered_tiny():
    return lower(fuse(tiny(data_format="channels_last")))


@pytest.fixture(scope="module")
def quantized_tiny(lowered_tiny):
    """A TINY's int8 form, and how often it told that it was not done."""
    calls = []
    x = calibration(lowered_tiny, 32)
    quantized = quantize(lowered_tiny, x, progress=lambda *call: calls.append(call))
    return quantized, calls


@pytest.fixture(scope="module")
def tiny_content(quantized_tiny, lowered_tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return converted(quantized_tiny[0], folder, calibration(lowered_tiny, 32))


def quantisations(content):
    """The scales and zero points of the activations in a file, `(different ones, 2)`, sorted."""
    return _sorted(
        (tensor.scales[0], tensor.zero_points[0])
        for tensor in read_graph(content).tensors
        if tensor.dtype == "INT8" and not tensor.size
    )


def decided(quantized):
    """The same of the ranges that were decided on."""
    return _sorted(map(scale_and_zero_point, quantized.ranges.values()))


def _sorted(pairs):
    # Scales that are a float32's last digit apart are the same.
    return np.array(sorted({(float(f"{scale:.5g}"), zero_point) for scale, zero_point in pairs}))


def weights_in(content):
    """The kernels in a file, as numbers, by their shape and first values' order in the file."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0)
    read = read_graph(content)
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    found = []
    for operator in read.operators:
        if operator.name in kinds:
            tensor = read.tensors[operator.inputs[1]]
            values = graph.Buffers(tensor.buffer).DataAsNumpy().view("int8").reshape(tensor.shape)
            axis = 3 if operator.name == "DEPTHWISE_CONV_2D" else 0
            assert len(tensor.scales) == tensor.shape[axis]  # a scale for each channel
            assert not any(tensor.zero_points)
            assert values.min() >= -127
            scales = np.array(tensor.scales, "float32")
            shape = [-1 if i == axis else 1 for i in range(len(tensor.shape))]
            found.append((operator.name, values, values * scales.reshape(shape)))
    return found


def check_weights(content, model):
    """Checks that the file's weights are the model's: as given, not rounded once more."""
    expected = []
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            kernel = layer.get_weights()[0]
            if isinstance(layer, layers.DepthwiseConv2D):
                kernel = kernel.reshape(1, *kernel.shape[:2], -1)
            else:
                kernel = np.moveaxis(kernel, -1, 0)
            expected.append(kernel)
    found = weights_in(content)
    assert len(found) == len(expected)
    for _, steps, values in found:
        same = [
            x
            for x in expected
            if x.size == values.size
            and np.allclose(x.ravel(), values.ravel(), rtol=1e-5, atol=1e-7)
        ]
        assert same, values.shape
        assert np.abs(steps).max() == 127


def test_the_file_has_the_ranges_and_weights_that_were_decided_on(quantized_tiny, tiny_content):
    quantized, content = quantized_tiny[0], tiny_content[0]
    np.testing.assert_allclose(quantisations(content), decided(quantized), rtol=2e-4)
    assert len(decided(quantized)) > 50
    check_weights(content, quantized.model)
    graph = read_graph(content)
    ends = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    names = quantized.model.inputs[0].name, "head"
    for tensor, name in zip(ends, names, strict=True):
        assert tensor.dtype == "INT8"
        scale, zero_point = scale_and_zero_point(quantized.ranges[name])
        assert np.float32(tensor.scales[0]) == np.float32(scale)
        assert tensor.zero_points == (zero_point,)
    assert {tensor.dtype for tensor in graph.tensors} == {"INT8", "INT32"}


def test_a_tiny_in_int8(quantized_tiny, tiny_content, lowered_tiny):
    quantized, received = quantized_tiny[0], tiny_content[1]
    error = sqnr_db(outputs(lowered_tiny, calibration(lowered_tiny, 32)), received)
    assert error > 20
    # LiteRT's kernels round a little otherwise than the simulation does.
    assert abs(error - quantized.layers[-1].sqnr_db) < 4
    assert "GELU" not in operators(tiny_content[0])
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(operators(tiny_content[0]))


def test_the_report_and_progress_are_of_every_operation(quantized_tiny):
    quantized, calls = quantized_tiny
    nodes = [node.operation for node in calls_of(quantized.model)]
    assert [(x.name, x.kind) for x in quantized.layers] == [
        (x.name, type(x).__name__) for x in nodes
    ]
    assert all(5 < x.sqnr_db < 80 for x in quantized.layers)
    assert calls == [(i + 1, len(nodes)) for i in range(len(nodes))]
    assert set(quantized.ranges) == {quantized.model.inputs[0].name, *(x.name for x in nodes)}


@pytest.mark.parametrize("gelu", ["sigmoid", "operator"])
def test_a_file_gives_what_the_simulation_gives(gelu, tmp_path):
    model = small()
    x = calibration(model)
    quantized = quantize(model, x, gelu)
    content, received = converted(quantized, tmp_path, x)
    error = sqnr_db(outputs(model, x), received)
    assert abs(error - quantized.layers[-1].sqnr_db) < 1.5
    np.testing.assert_allclose(quantisations(content), decided(quantized), rtol=2e-4)
    check_weights(content, quantized.model)
    assert quantized.gelu == gelu
    assert ("GELU" in operators(content)) == (gelu == "operator")


def test_every_cure_together_helps():
    gains = []
    for seed in range(3):
        model = small(seed)
        x = calibration(model)
        best, worst = (quantize(model, x, without=cures) for cures in ((), TECHNIQUES))
        gains.append(best.layers[-1].sqnr_db - worst.layers[-1].sqnr_db)
        assert best.layers[-1].sqnr_db > 30
    assert np.mean(gains) > 1.5


@pytest.mark.parametrize("cure", TECHNIQUES)
def test_every_cure_can_be_left_out(cure):
    model = small()
    x = calibration(model)
    everything, less = quantize(model, x), quantize(model, x, without=[cure])
    assert everything.layers != less.layers
    if cure == "ranges":
        widths = [np.ptp(list(x.ranges.values()), axis=1).sum() for x in (everything, less)]
        assert widths[0] < widths[1]


def weights_of(form, name):
    """Of a layer of an int8 form, its activation perhaps apart."""
    apart = [layer for layer in form.layers if layer.name == name + "_linear"]
    return (apart[0] if apart else form.get_layer(name)).get_weights()


def test_without_weights_are_the_models():
    model = small()
    form = quantize(model, calibration(model), "operator", without=TECHNIQUES).model
    for layer in model.layers:
        for a, b in zip(layer.get_weights(), weights_of(form, layer.name), strict=True):
            np.testing.assert_array_equal(a, b)


def test_nothing_but_the_images_and_the_model_decides():
    model = small()
    first, second = (quantize(small(), calibration(model)) for _ in range(2))
    assert first.ranges == second.ranges
    assert first.layers == second.layers
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_model_is_left_alone():
    model, fresh = small(), small()
    names = [operation.name for operation in model.operations]
    quantize(model, calibration(model))
    for a, b in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [operation.name for operation in model.operations] == names


def test_given_ranges_are_what_the_file_has(tmp_path):
    model = small()
    x = calibration(model)
    given = {"image": (-5.0, 4.0), "mixer": (-6.5, 2.0), "fc2": (-3.0, 7.0), "head": (-4.0, 4.0)}
    quantized = quantize(model, x, "operator", ranges=given)
    content, received = converted(quantized, tmp_path, x)
    found = quantisations(content)
    for limits in given.values():
        assert np.isclose(found, scale_and_zero_point(limits), rtol=1e-4).all(1).any()
    assert quantized.ranges.keys() > given.keys()
    assert sqnr_db(outputs(model, x), received) > 18


def test_given_ranges_are_those_of_the_model_before_a_gelu_is_scaled():
    model = small()
    given = quantize(model, calibration(model), "sigmoid", ranges={"fc1": (-3.0, 5.0)})
    np.testing.assert_allclose(given.ranges["fc1"], (-3 * 1.702, 5 * 1.702), rtol=0.01)


def test_all_ranges_can_be_given_and_nothing_is_changed_by_it():
    model = small()
    x = calibration(model)
    own = quantize(model, x, "operator", without=["equalise"])
    given = quantize(model, x, "operator", ranges=own.ranges)
    for name, limits in own.ranges.items():
        np.testing.assert_allclose(given.ranges[name], limits, rtol=1e-5, atol=1e-7)
    assert abs(given.layers[-1].sqnr_db - own.layers[-1].sqnr_db) < 0.5


def unusual(x):
    """Layers that FastViT has not, but a model with a head of one's own may have."""
    act = layers.Activation("gelu", name="act")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    y = act(shared(act(shared(x))))
    y = layers.Activation("linear", name="nothing")(y)
    y = layers.LayerNormalization(name="norm")(layers.Conv2D(6, 1, name="wide")(y))
    y = layers.Conv2D(6, 3, groups=3, padding="same", activation="relu6", name="grouped")(y)
    y = layers.AveragePooling2D(2, name="average")(y)
    a, b, c = (
        layers.Conv2D(4, 1, activation=f, name=n)(y)
        for f, n in zip(("relu", "tanh", "silu"), "abc", strict=True)
    )
    y = layers.Add(name="three")([a, b, c])
    return layers.Dense(3, activation="softmax", name="last")(layers.Flatten(name="flat")(y))


def test_layers_of_other_models(tmp_path):
    inputs = keras.Input(batch_shape=(1, 12, 12, 3), name="image")
    model = randomize(keras.Model(inputs, unusual(inputs)))
    x = calibration(model)
    quantized = quantize(model, x)
    _, received = converted(quantized, tmp_path, x)
    error = sqnr_db(outputs(model, x), received)
    assert error > max(30, quantized.layers[-1].sqnr_db - 8)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_weights_before_an_activation_are_fitted_to_what_goes_into_it(activation):
    inputs = keras.Input(batch_shape=(1, 12, 12, 3), name="image")
    y = layers.Conv2D(8, 3, activation=activation, name="first")(inputs)
    model = randomize(keras.Model(inputs, layers.Conv2D(4, 3, name="last")(y)))
    x = calibration(model)
    with_refit, plain = quantize(model, x), quantize(model, x, without=["refit"])
    assert with_refit.layers[0].sqnr_db > 35
    assert with_refit.layers[-1].sqnr_db > plain.layers[-1].sqnr_db - 0.5


def test_filters_of_zeros_and_channels_that_are_always_zero(tmp_path):
    model = small()
    for name in ("fc1", "large_0", "stem"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        if name == "large_0":
            kernel[:, :, 2] = 0
        else:
            kernel[..., 2] = 0
        layer.set_weights([kernel, bias * (np.arange(bias.size) != 2)])
    x = calibration(model)
    _, received = converted(quantize(model, x), tmp_path, x)
    assert sqnr_db(outputs(model, x), received) > 25


def test_attention_that_is_not_lowered(tmp_path):
    lowered = lower(fuse(tiny(data_format="channels_last")), without=["attention"])
    x = calibration(lowered, 8)
    quantized = quantize(lowered, x, without=["ranges"])
    _, received = converted(quantized, tmp_path, x)
    assert sqnr_db(outputs(lowered, x), received) > 18


def test_a_branch_that_does_next_to_nothing_is_added_in_int8(tmp_path):
    """As at the start of a training, when layer scales are small; XNNPACK wants steps in reach."""
    x = keras.Input((8, 8, 3), name="image")
    branch = layers.Conv2D(3, 1, name="branch")
    y = x + branch(x)
    model = keras.Model(x, layers.Dense(2, name="head")(layers.Flatten()(y)), name="residual")
    branch.set_weights([1e-6 * weights for weights in randomize(model).get_layer("branch").weights])
    pixels = images(16, 8, 8, 3)
    exported = export(model, tmp_path / "model.tflite", quantize="int8", calibration=pixels)
    assert not exported.delegation.outside
    assert exported.check.sqnr_db > 35
