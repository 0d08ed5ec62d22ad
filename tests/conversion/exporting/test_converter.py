"""The process that converts: each precision's file, errors, progress, and other backends."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit.conversion.exporting import converter
from keras_fastvit.conversion.exporting.converter import Conversion, convert
from keras_fastvit.conversion.exporting.converter_process import reason, to_tflite
from keras_fastvit.conversion.quantization.layer_report import LayerError
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.schema import operators, read_graph
from keras_fastvit.evaluation.metrics import sqnr_db
from tests.models import images, randomize, relative_difference, run

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).parents[3]


def small():
    """A model whose file is little but weights."""
    x = keras.Input(batch_shape=(1, 8, 8, 3), name="image")
    y = layers.Activation("gelu", name="gelu")(layers.Conv2D(32, 3, name="first")(x))
    y = layers.Conv2D(64, 3, name="second")(layers.DepthwiseConv2D(3, name="wide")(y))
    y = layers.Dense(1000, name="third")(layers.GlobalAveragePooling2D(name="pool")(y))
    return randomize(keras.Model(x, layers.Dense(5, name="head")(y), name="small"))


def predictions(content, folder, x):
    (folder / "model.tflite").write_bytes(content)
    return TFLiteModel(folder / "model.tflite").predict(x)


def outputs(model, x):
    return np.concatenate([run(model, x[i : i + 1]) for i in range(len(x))])


@pytest.fixture(scope="module")
def int8():
    """A model in int8, from both processes, and what was told of the progress."""
    model, x, calibration = small(), images(16, 8, 8, 3), images(40, 8, 8, 3, seed=1)
    calls = {True: [], False: []}

    def converted(here: bool) -> Conversion:
        def tell(done: int, total: int) -> None:
            calls[here].append((done, total))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(converter, "_can_run_here", lambda: here)
            return convert(model, x, "int8", calibration, progress=tell)

    return model, x, converted(True), converted(False), [*calls.values()]


def test_int8(int8, tmp_path):
    model, x, converted, _, _ = int8
    graph = read_graph(converted.content)
    assert {tensor.dtype for tensor in graph.tensors} == {"INT8", "INT32"}
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == ["INT8", "INT8"]
    assert list(converted.outputs) == ["output"]
    received = converted.outputs["output"]
    np.testing.assert_allclose(received, outputs(model, x), rtol=1e-5, atol=1e-5)
    assert received.dtype == np.float32
    assert sqnr_db(received, predictions(converted.content, tmp_path, x)) > 25


def assert_equal(first: Conversion, second: Conversion) -> None:
    assert first.content == second.content
    assert (first.layers, first.gelu) == (second.layers, second.gelu)
    for name, values in first.outputs.items():
        np.testing.assert_array_equal(values, second.outputs[name])


def test_int8_from_another_process_is_the_same(int8):
    assert_equal(*int8[2:4])


def test_float32_from_another_process_is_the_same(monkeypatch):
    model, x = small(), images(16, 8, 8, 3)
    here = convert(model, x)
    monkeypatch.setattr(converter, "_can_run_here", lambda: False)
    assert_equal(here, convert(model, x))


def test_every_layers_error_and_the_progress_come_back(int8):
    converted, calls = int8[2], int8[4]
    assert all(isinstance(layer, LayerError) for layer in converted.layers)
    names = [layer.name for layer in converted.layers]
    expected = ["first", "gelu_gelu_gate", "gelu", "wide", "second", "pool", "third", "head"]
    assert names == expected
    assert calls == [[(i + 1, len(names)) for i in range(len(names))]] * 2


def test_where_it_is_converted(monkeypatch):
    import tensorflow as tf

    assert converter._can_run_here()
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        assert not converter._can_run_here()
    with monkeypatch.context() as patch:
        patch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
        assert not converter._can_run_here()
    with monkeypatch.context() as patch:
        patch.setattr(tf.config, "functions_run_eagerly", lambda: True)
        assert not converter._can_run_here()
    for configure in (keras.config.set_dtype_policy, keras.config.set_floatx):
        configure("mixed_float16" if configure is keras.config.set_dtype_policy else "float64")
        try:
            assert not converter._can_run_here()
        finally:
            configure("float32")
            keras.config.set_dtype_policy("float32")


QUIET = """
import os, sys
import keras, numpy as np, tensorflow
from keras import layers
from keras_fastvit.conversion.exporting import converter, converter_process

assert converter._can_run_here()
x = keras.Input(batch_shape=(1, 8, 8, 3), name="image")
model = keras.Model(x, layers.Dense(5)(layers.Conv2D(6, 3, activation="gelu")(x)))
images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
sys.stdout.flush(), sys.stderr.flush()
screen = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.dup2(screen, 1), os.dup2(screen, 2)
for quantize in ("none", "dynamic", "int8"):
    converter.convert(model, images, quantize, images)
assert os.fstat(1).st_ino == os.fstat(2).st_ino == os.fstat(screen).st_ino
"""


def test_nothing_of_tensorflows_reaches_the_screen(tmp_path):
    quiet = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MIN_VLOG_LEVEL", "GLOG_minloglevel")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    path = tmp_path / "screen"
    subprocess.run([sys.executable, "-c", QUIET, path], env=environment, cwd=ROOT, check=True)
    assert path.read_text() == ""


def test_options_of_int8_arrive(tmp_path):
    x = images(4, 8, 8, 3)
    inputs = keras.Input(batch_shape=(1, 8, 8, 3), name="image")
    y = layers.Activation("gelu", name="gelu")(layers.Conv2D(8, 3, name="first")(inputs))
    y = layers.Softmax(name="softmax")(layers.Conv2D(8, 1, name="second")(y))
    model = randomize(keras.Model(inputs, layers.Conv2D(4, 3, name="last")(y)))
    default = convert(model, x, "int8", images(20, 8, 8, 3))
    other = convert(
        model,
        x,
        "int8",
        images(20, 8, 8, 3),
        gelu="operator",
        float_softmax=False,
        without=["refit", "ranges"],
    )
    assert "GELU" not in operators(default.content)
    assert operators(other.content) == {"CONV_2D": 3, "GELU": 1, "SOFTMAX": 1}
    floats = [t for t in read_graph(default.content).tensors if t.dtype == "FLOAT32"]
    assert len(floats) == 2  # into the softmax and out of it
    assert default.layers != other.layers
    for content in (default.content, other.content):
        assert sqnr_db(default.outputs["output"], predictions(content, tmp_path, x)) > 15


def test_float_precisions(tmp_path):
    model, x = small(), images(16, 8, 8, 3)
    expected = outputs(model, x)
    contents = {name: to_tflite(model, name) for name in ("none", "fp16", "dynamic")}
    received = {name: predictions(content, tmp_path, x) for name, content in contents.items()}
    assert relative_difference(received["none"], expected) < 1e-5
    assert sqnr_db(expected, received["fp16"]) > 60
    assert 25 < sqnr_db(expected, received["dynamic"]) < 60
    size = len(contents["none"])
    assert size > 3.9 * model.count_params()
    assert 0.48 * size < len(contents["fp16"]) < 0.54 * size
    assert 0.23 * size < len(contents["dynamic"]) < 0.32 * size
    for content in contents.values():
        graph = read_graph(content)
        ends = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
        assert [(x.dtype, x.shape) for x in ends] == [
            ("FLOAT32", (1, 8, 8, 3)),
            ("FLOAT32", (1, 5)),
        ]
    weights = {
        name: {tensor.dtype for tensor in read_graph(content).tensors if tensor.size > 5000}
        for name, content in contents.items()
    }
    assert weights == {"none": {"FLOAT32"}, "fp16": {"FLOAT16"}, "dynamic": {"INT8"}}


def test_a_model_in_mixed_precision_is_converted_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small()
    finally:
        keras.config.set_dtype_policy("float32")
    twin = small()
    twin.set_weights(model.get_weights())
    x = images(4, 8, 8, 3)
    converted, expected = convert(model, x), outputs(twin, x)
    assert relative_difference(converted.outputs["output"], expected) < 1e-5
    assert relative_difference(predictions(converted.content, tmp_path, x), expected) < 1e-5


@pytest.mark.parametrize(("quantize", "here"), [("none", True), ("int8", True), ("none", False)])
def test_an_operation_that_litert_lacks_is_named_in_a_line(quantize, here, tmp_path, monkeypatch):
    monkeypatch.setattr(converter, "_can_run_here", lambda: here)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    x = keras.Input(batch_shape=(1, 4, 4, 3), name="image")
    y = layers.Conv2D(2, 1, activation="tanh", name="conv")(x)
    model = keras.Model(x, ops.erfinv(0.5 * y), name="odd")
    with pytest.raises(ValueError, match=r"model 'odd'.*Received: .*Erfinv") as caught:
        convert(model, images(2, 4, 4, 3), quantize, images(20, 4, 4, 3))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("what"), "KeyError: 'what'"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (
            RuntimeError("x\nloc(a): error: 'tf.Erfinv' op is neither\n'tf.Betainc' op is neither"),
            "operations that LiteRT lacks: Betainc, Erfinv",
        ),
    ],
)
def test_reasons_are_a_line(error, line):
    assert reason(error) == line


EXPORT = """
import keras
import numpy as np
from keras import layers
from keras_fastvit.conversion.exporting.converter import convert

x = keras.Input(batch_shape=(1, 8, 8, 3), name="image")
y = layers.Conv2D(6, 3, activation="gelu", name="first")(x)
model = keras.Model(x, layers.Dense(5, name="head")(layers.GlobalAveragePooling2D(name="pool")(y)))
images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
converted = convert(model, images, "int8", images)
assert keras.backend.backend() == "jax"
own = np.concatenate([model(images[i : i + 1]) for i in range(20)])
print(np.abs(own - converted.outputs["output"]).max() / np.abs(own).max(), len(converted.layers))
"""


def test_another_backend_converts_too():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", EXPORT], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    difference, count = done.stdout.split()
    assert float(difference) < 1e-4
    assert int(count) == 5  # GELU as a product with its gate
