"""The sidecar: what is in it, what is embedded, and that a wrong one is found out."""

import json
import shutil

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.schema import read_graph
from keras_fastvit.json_files import LARGEST
from tests.models import images
from tests.tflite_files import to_tflite

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """A small classifier's file in float32 and in int8."""
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)]
    )
    return {"float32": to_tflite(model), "int8": to_tflite(model, images(20, 8, 8, 3))}


def description(content: bytes) -> dict:
    return {
        "format": 1,
        "model": "fastvit_t8",
        "weights": None,
        "quantize": "none",
        "target": "cpu",
        "without": [],
        **sidecar.tensors(content, 0.9, "softmax"),
        "labels": ["Katze", "Wölfin"],
        "versions": sidecar.versions(),
        "calibration": None,
    }


@pytest.fixture(params=["float32", "int8"])
def path(request, tmp_path, contents):
    """A file with its sidecar."""
    path, content = tmp_path / "M.tflite", contents[request.param]
    embedded = description(content)
    content = sidecar.embed(content, embedded)
    path.write_bytes(content)
    check = {"images": 3, "max_difference": 0.0, "sqnr_db": float("inf"), "agreement": 1.0}
    finished = sidecar.finished(embedded, path, content, check)
    sidecar.beside(path).write_text(sidecar.to_json(finished), encoding="utf-8")
    return path


def test_what_an_app_needs(path):
    found, file = sidecar.read(path), TFLiteModel(path)
    assert list(found)[:4] == ["format", "file", "sha256", "size"]
    assert (found["file"], found["size"]) == ("M.tflite", path.stat().st_size)
    quantized = file.input_dtype == np.int8
    for name, shape, quantization in (
        ("input", (1, 8, 8, 3), file.input_quantization),
        ("output", (1, 2), file.output_quantization),
    ):
        tensor = found[name]
        assert tuple(tensor["shape"]) == shape
        assert tensor["dtype"] == ("int8" if quantized else "float32")
        assert (tensor["scale"], tensor["zero_point"]) == (quantization or (None, None))
    assert found["input"]["name"] == "image"
    assert found["input"]["mean"] == [0.485, 0.456, 0.406]
    assert found["input"]["std"] == [0.229, 0.224, 0.225]
    assert found["output"]["name"] == "output"
    assert found["labels"] == ["Katze", "Wölfin"]
    assert found["versions"].keys() >= {"keras_fastvit", "keras", "tensorflow", "numpy"}
    # JSON has no infinity: other languages' readers refuse the whole file.
    assert found["self_check"]["sqnr_db"] is None
    assert "Infinity" not in sidecar.beside(path).read_text()


def test_the_embedded_copy_changes_nothing_else(path, contents):
    content = path.read_bytes()
    plain = contents[sidecar.read(path)["input"]["dtype"]]
    assert sidecar.embedded(content) == description(plain)
    assert sidecar.embedded(plain) is None
    before, after = read_graph(plain), read_graph(content)
    assert (before.operators, before.inputs, before.outputs) == (
        after.operators,
        after.inputs,
        after.outputs,
    )
    assert [(t.name, t.shape, t.dtype, t.scales, t.zero_points) for t in after.tensors] == [
        (t.name, t.shape, t.dtype, t.scales, t.zero_points) for t in before.tensors
    ]
    assert set(after.metadata) == {*before.metadata, "keras_fastvit"}
    unembedded = path.with_name("plain.tflite")
    unembedded.write_bytes(plain)
    inputs = images(4, 8, 8, 3)
    np.testing.assert_array_equal(
        TFLiteModel(path).predict(inputs), TFLiteModel(unembedded).predict(inputs)
    )
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(str(path)).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["output"]}}


def test_weights_stay_aligned(path, contents):
    """Runtimes use them where they lie in the file; a float must not straddle words."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if buffer.DataLength() >= 4:
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 4 == 0


def test_without_a_sidecar(path):
    sidecar.beside(path).unlink()
    assert sidecar.read(path) is None
    with pytest.raises(FileNotFoundError, match="nothing at"):
        sidecar.read(path.with_name("no.tflite"))


def test_a_file_that_is_not_the_sidecars(path):
    other = path.with_name("N.tflite")
    other.write_bytes(path.read_bytes()[:-1] + b"!")
    shutil.copy(sidecar.beside(path), sidecar.beside(other))
    with pytest.raises(ValueError, match=r"N.json' is not about '.*N.tflite' as it is now.* Rec"):
        sidecar.read(other)


def change(*keys, to):
    def changed(found):
        inner = found
        for key in keys[:-1]:
            inner = inner[key]
        if to is None:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = to
        return json.dumps(found)

    return changed


def several(found, count, output=False):
    """A sidecar with a list of that many outputs, in place of its one or beside it."""
    alone = found["output"] if output else found.pop("output")
    return json.dumps({**found, "outputs": [alone] * count})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda found: "", "0 bytes that are no JSON"),
        (lambda found: json.dumps(found)[:-9], "that are no JSON"),
        (lambda found: "[]", "Received: a list"),
        (lambda found: "{}", "Received: format None"),
        (change("format", to=2), "Received: format 2"),
        (change("input", to=None), "Received: no input"),
        (change("input", "std", to=None), "Received: no input.std"),
        (change("input", "std", to=[1, 1, 0]), r"input.std \[1, 1, 0\]"),
        (change("input", "mean", to=[1, 1]), r"input.mean \[1, 1\]"),
        (change("input", "mean", to=["a", 1, 1]), "input.mean"),
        (change("input", "crop_pct", to=0), "crop_pct 0"),
        (change("input", "crop_pct", to=True), "input.crop_pct: true"),
        (change("input", "shape", to=[1, 8, 8, "3"]), "shape"),
        (change("output", "activation", to=7), "output.activation: 7"),
        (change("output", "activation", to="sigmoid"), r"\"sigmoid\", where linear or softmax"),
        (change("input", "color", to="BGR"), r"input.color: \"BGR\", where RGB or null is known"),
        (change("input", "interpolation", to="nearest"), "input.interpolation"),
        (change("input", "dtype", to="float16"), "input.dtype"),
        (change("input", "std", to=[1, 1, 10**400]), "input.std"),
        (change("input", "shape", to=[1, 8, 8, 10**400]), "shape"),
        (change("input", "crop_pct", to=float("nan")), "NaN is no number"),
        (change("input", "scale", to=float("inf")), "Infinity is no number"),
        (change("input", "zero_point", to=10**400), "input.zero_point"),
        (lambda found: "[" * 10**5, "that are no JSON"),
        (lambda found: " " * LARGEST + json.dumps(found), "more than 16777216 bytes"),
        (lambda found: several(found, 0), r"outputs: \[\], where a list of several"),
        (lambda found: several(found, 1), "outputs: .*, where a list of several"),
        (lambda found: several(found, 2, output=True), "not one of output and outputs"),
        (change("labels", to=["cat"]), r"1 labels for an output of shape \[1, 2\]"),
        (change("labels", to=["cat", 7]), "2 labels"),
        (change("labels", to=["cat", "\x1b[2Jdog"]), r"the label '\\x1b\[2Jdog', which is not one"),
        (change("labels", to=["cat", "a\u2028b"]), r"the label 'a\\u2028b'"),
        (change("labels", to=["cat", "\ud800"]), r"the label '\\ud800'"),
        (change("labels", to=["cat", "x" * 1001]), "which is not one line"),
        (change("output", "shape", to=[1, 2, 2]), r"2 labels for an output of shape \[1, 2, 2\]"),
        (change("output", "shape", to=[1, 2, 2, 3]), "2 labels for an output of shape"),
        (change("sha256", to=None), "SHA-256 None"),
        (change("sha256", to="0" * 64), "SHA-256 000"),
    ],
)
def test_a_damaged_sidecar(path, damage, message):
    sidecar.beside(path).write_text(damage(sidecar.read(path)), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        sidecar.read(path)
    assert "Received: " in str(error.value)
    assert "M.json" in str(error.value)


def test_labels_of_pixels(path):
    sidecar.beside(path).write_text(change("output", "shape", to=[1, 8, 8, 2])(sidecar.read(path)))
    assert sidecar.read(path)["labels"] == ["Katze", "Wölfin"]


def test_a_damaged_copy(contents):
    content = sidecar.embed(contents["float32"], {"format": 1})
    with pytest.raises(ValueError, match=r"in the metadata entry 'keras_fastvit'.* no model"):
        sidecar.embedded(content)
