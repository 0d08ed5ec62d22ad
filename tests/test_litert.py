"""Running a `.tflite` file, in whichever runtime is installed."""

import sys
import types

import numpy as np
import pytest

from conversion.litert import TFLiteModel, operators

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that doubles a pair of numbers."""
    import tensorflow as tf

    holder = tf.Module()
    holder.forward = tf.function(lambda x: 2.0 * x, [tf.TensorSpec((1, 2), tf.float32)])
    function = holder.forward.get_concrete_function()
    path = tmp_path_factory.mktemp("files") / "double.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    path.write_bytes(converter.convert())
    return path


def test_runs_one_input_after_the_other(path):
    model = TFLiteModel(path)
    assert model.input_shape == model.output_shape == (1, 2)
    inputs = np.arange(6, dtype="float32").reshape(3, 2)
    np.testing.assert_array_equal(model(inputs), 2 * inputs)
    assert operators(path.read_bytes()) == {"MUL": 1}


@pytest.mark.parametrize(
    ("inputs", "received"),
    [(np.zeros((1, 3), "float32"), "(1, 3), dtype float32"), (np.zeros((1, 2)), "dtype float64")],
)
def test_refuses_other_inputs(path, inputs, received):
    with pytest.raises(ValueError, match=r"\(count, 2\) and dtype float32") as error:
        TFLiteModel(path)(inputs)
    assert received in str(error.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 9, None])
def test_refuses_other_files(path, tmp_path, content):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(ValueError, match=r"damaged.tflite' does not load .* Received: "):
        TFLiteModel(damaged)


def test_refuses_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: nothing at"):
        TFLiteModel(tmp_path / "no.tflite")


def test_falls_back_to_tflite_runtime(path, monkeypatch):
    from ai_edge_litert.interpreter import Interpreter

    class Forerunner(Interpreter):
        """Stands in for tflite_runtime, which does not run beside the NumPy that Keras needs."""

    runtime = types.ModuleType("tflite_runtime.interpreter")
    runtime.Interpreter = Forerunner
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", runtime)
    assert type(TFLiteModel(path)._interpreter) is Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    model = TFLiteModel(path)
    assert type(model._interpreter) is Forerunner
    np.testing.assert_array_equal(model(np.ones((1, 2), "float32")), [[2, 2]])


def test_without_a_runtime(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(ImportError, match=r"pip install ai-edge-litert`.*Received: "):
        TFLiteModel(path)
