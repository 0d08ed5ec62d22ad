"""Running a `.tflite` file, in whichever runtime is installed."""

import re
import sys
import types

import numpy as np
import pytest

from keras_fastvit.conversion.tflite import runtime as litert
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check
from keras_fastvit.conversion.tflite.schema import operators
from tests.tflite_files import crashing_content

pytestmark = pytest.mark.single_backend


def to_file(path, shape, function):
    import tensorflow as tf

    holder = tf.Module()
    holder.forward = tf.function(function, [tf.TensorSpec(shape, tf.float32)])
    concrete = holder.forward.get_concrete_function()
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder).convert())
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that doubles a pair of numbers."""
    path = tmp_path_factory.mktemp("files") / "double.tflite"
    return to_file(path, (1, 2), lambda x: 2.0 * x)


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


@pytest.mark.parametrize(
    ("shape", "function", "received"),
    [
        ((17, 2), lambda x: 2.0 * x, "(17, 2)"),
        ((1, 2), lambda x: [[1.0], [2.0]] * x, "(2, 2)"),
        ((1, 2), lambda x: x[0, 0] * 2.0, "()"),
    ],
)
def test_refuses_batches(tmp_path, shape, function, received):
    """Of which it would give the first row, and say nothing."""
    path = to_file(tmp_path / "batch.tflite", shape, function)
    with pytest.raises(ValueError, match=r"batch\.tflite' must take one input") as error:
        TFLiteModel(path)
    assert str(error.value).endswith(received)


def test_names_a_file_with_a_damaged_name(path, tmp_path):
    """The runtime looks at a name's bytes only when it is asked for."""
    damaged = tmp_path / "damaged.tflite"
    content = path.read_bytes()
    name = b"serving_default"
    assert name in content
    damaged.write_bytes(content.replace(name, b"\xff" + name[1:]))
    for run in (TFLiteModel, check):
        with pytest.raises(ValueError, match=r"damaged.tflite' does not load .*utf-8"):
            run(damaged)


def test_refuses_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: nothing at"):
        TFLiteModel(tmp_path / "no.tflite")


@pytest.fixture(scope="module")
def int8_path(tmp_path_factory):
    """A file that doubles a pair of numbers between -1 and 3, in int8."""
    import tensorflow as tf

    holder = tf.Module()
    holder.forward = tf.function(lambda x: 2.0 * x, [tf.TensorSpec((1, 2), tf.float32)])
    function = holder.forward.get_concrete_function()
    path = tmp_path_factory.mktemp("files") / "double_int8.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.float32([[x, 2 - x]])] for x in (-1, 0, 3))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


def test_predict_is_a_call_for_floats(path):
    model = TFLiteModel(path)
    assert model.input_dtype == np.float32
    assert model.input_quantization is model.output_quantization is None
    inputs = np.random.default_rng(0).normal(size=(3, 2))
    outputs = model.predict(inputs)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, model(inputs.astype("float32")))


def test_predict_quantises_and_dequantises(int8_path):
    model = TFLiteModel(int8_path)
    assert model.input_dtype == np.int8
    scale, zero_point = model.input_quantization
    assert scale == pytest.approx(4 / 255)
    assert zero_point == -64
    output_scale, output_zero_point = model.output_quantization
    assert output_scale == pytest.approx(8 / 255)
    # On halves between two steps, too, and far outside of the range.
    steps = [-300.0, -64.0, -1.5, -0.5, 0.0, 0.5, 1.5, 2.4, 2.6, 190.0, 192.5, 1e9]
    inputs = np.float32([[step * scale, 0.0] for step in steps])
    quantised = [min(max(round(step) + zero_point, -128), 127) for step in steps]
    expected = model(np.array([[q, zero_point] for q in quantised], "int8"))
    assert expected.dtype == np.int8
    assert len(set(expected[:, 0].tolist())) > 5
    outputs = model.predict(inputs)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(
        outputs, (expected.astype(int) - output_zero_point) * output_scale, rtol=1e-6
    )
    # Within half a step of the input and one of the output.
    inside = (inputs[:, 0] > -1) & (inputs[:, 0] < 3)
    np.testing.assert_allclose(outputs[inside, 0], 2 * inputs[inside, 0], atol=scale + output_scale)


@pytest.fixture(scope="module")
def dividing_path(tmp_path_factory):
    """A file that divides by its input, an integer."""
    import tensorflow as tf

    holder = tf.Module()
    holder.forward = tf.function(lambda x: tf.constant([6]) // x, [tf.TensorSpec((1,), tf.int32)])
    function = holder.forward.get_concrete_function()
    path = tmp_path_factory.mktemp("files") / "divide.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    path.write_bytes(converter.convert())
    return path


def test_names_a_file_that_fails_while_it_runs(dividing_path):
    model = TFLiteModel(dividing_path)
    assert model(np.array([3], "int32")).tolist() == [2]
    with pytest.raises(ValueError, match=r"divide.tflite' does not run.* Received: "):
        model(np.array([0], "int32"))
    with pytest.raises(ValueError, match=r"divide.tflite' does not run.* RuntimeError: "):
        check(dividing_path)


def test_invoke_repeats_the_last_run(path):
    model = TFLiteModel(path)
    model(np.ones((1, 2), "float32"))
    model.invoke()
    assert model._interpreter.get_tensor(model._outputs[0]["index"]).tolist() == [[2, 2]]


class TestCheck:
    def test_passes_what_runs(self, path, int8_path):
        check(path)
        check(str(int8_path))

    def test_names_what_does_not_load(self, path, tmp_path):
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(path.read_bytes()[:300])
        with pytest.raises(ValueError, match=r"damaged.tflite' does not load .* Received: ") as e:
            check(damaged)
        assert "\n" not in str(e.value)

    def test_survives_a_file_that_kills_its_process(self, tmp_path):
        path = tmp_path / "deadly.tflite"
        path.write_bytes(crashing_content())
        with pytest.raises(ValueError, match=r"deadly.tflite' crashes LiteRT.* exit status -"):
            check(path)

    def test_its_process_has_an_end_to_its_memory(self, path, tmp_path, monkeypatch):
        """A damaged shape has been seen to take all of the machine's."""
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        self.assert_limited(path, tmp_path, "RLIMIT_AS")

    def assert_limited(self, path, folder, limit):
        """Runs a file in a runtime that tells the limit which its process has."""
        runtime = folder / "ai_edge_litert"
        runtime.mkdir()
        (runtime / "__init__.py").touch()
        (runtime / "interpreter.py").write_text(
            "import resource\n"
            "def Interpreter(*args, **kwargs):\n"
            f"    raise ValueError(resource.getrlimit(resource.{limit}))\n"
        )
        size = litert.MEMORY + 4 * path.stat().st_size
        with pytest.raises(ValueError, match=re.escape(f"Received: ({size}, {size})")):
            check(path)

    @pytest.mark.parametrize(
        "missing",
        [
            "import sys; sys.modules['resource'] = None",
            "import resource; del resource.RLIMIT_AS, resource.RLIMIT_DATA",
            "import resource\n"
            "def refuse(*args): raise ValueError('current limit exceeds maximum limit')\n"
            "resource.setrlimit = refuse",
            "import resource\n"
            "def refuse(*args): raise OSError('not here')\n"
            "resource.setrlimit = refuse",
        ],
        ids=["Windows", "no such limits", "macOS", "another error"],
    )
    def test_without_an_end_to_its_memory(self, path, tmp_path, monkeypatch, missing):
        """It goes on where the system has no limit, and still refuses what is damaged."""
        ran = tmp_path / "ran"
        (tmp_path / "sitecustomize.py").write_text(f"{missing}\nopen({str(ran)!r}, 'w').close()\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        check(path)
        assert ran.exists()
        damaged = tmp_path / "damaged.tflite"
        damaged.write_bytes(path.read_bytes()[:300])
        with pytest.raises(ValueError, match=r"damaged.tflite' does not load .* Received: "):
            check(damaged)

    def test_a_limit_of_data_where_there_is_none_of_addresses(self, path, tmp_path, monkeypatch):
        (tmp_path / "sitecustomize.py").write_text("import resource; del resource.RLIMIT_AS")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        self.assert_limited(path, tmp_path, "RLIMIT_DATA")

    def test_a_file_that_never_ends(self, path, tmp_path, monkeypatch):
        (tmp_path / "sitecustomize.py").write_text("while True: pass")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ValueError, match=r"double.tflite' does not come .* within 0.1 s"):
            check(path, time_limit=0.1)

    def test_refuses_what_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="Received: nothing at"):
            check(tmp_path)

    def test_without_a_runtime(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
        with pytest.raises(ImportError, match="pip install ai-edge-litert"):
            check(path)

    def test_runs_on_zeros(self, path, monkeypatch):
        """A file that looks its input up in a table must not meet random numbers."""
        given = []
        interpreter = litert.open_interpreter(path)
        monkeypatch.setattr(litert, "open_interpreter", lambda path: Recorder())

        class Recorder:
            def get_input_details(self):
                return interpreter.get_input_details()

            def set_tensor(self, index, value):
                given.append(value)

            def invoke(self):
                given.append("run")

        litert._run_once(path)
        assert given[0].tolist() == [[0, 0]]
        assert given[1:] == ["run"]


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
