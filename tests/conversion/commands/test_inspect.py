"""What `inspect` says of a file, and that no file kills it."""

import contextlib
import json
import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_fastvit import fuse
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import delegation
from keras_fastvit.conversion.tflite.inspection import inspect
from keras_fastvit.conversion.tflite.schema import operators, read_graph
from tests.commands import command
from tests.models import TINY, tiny
from tests.tflite_files import (
    crashing_content,
    damaged,
    edited,
    tiny_contents,
    write_sidecar,
    write_tiny_files,
)

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("tflite_files")]


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    return write_tiny_files(tmp_path)


PLACES = 2 * 2
"""Of a TINY's last stage, where its attention is."""


def macs_of_layers(model: keras.Model) -> dict[str, int]:
    """Multiply-accumulates of a TINY in inference form, but for the products in its attention."""
    macs = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 0, "FULLY_CONNECTED": 0}
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            macs["DEPTHWISE_CONV_2D"] += math.prod((*layer.kernel_size, *layer.output.shape[1:]))
        elif isinstance(layer, keras.layers.Conv2D):
            inputs = layer.kernel.shape[:-1]
            macs["CONV_2D"] += math.prod((*inputs, *layer.output.shape[1:]))
        elif isinstance(layer, keras.layers.EinsumDense):
            macs["FULLY_CONNECTED"] += PLACES * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            inputs = layer.kernel.shape[:-1]
            macs["FULLY_CONNECTED"] += math.prod((*inputs, *layer.output.shape[1:]))
    return macs


class TestInspect:
    def test_float32(self, files):
        found = inspect(files[0])
        content = files[0].read_bytes()
        assert found.path == files[0]
        assert found.size == len(content)
        assert {kind.name: kind.count for kind in found.operators} == operators(content)
        assert all(kind.delegated == kind.count for kind in found.operators)
        assert found.partitions == 1
        assert found.weights.keys() == {"FLOAT32", "INT32"}
        assert found.activations.keys() == {"FLOAT32"}
        assert found.per_channel == found.per_tensor == 0
        (image,), (logits,) = found.inputs, found.outputs
        assert (image.shape, image.dtype, image.scale) == ((1, 64, 64, 3), "FLOAT32", None)
        assert (logits.shape, logits.dtype, logits.zero_point) == ((1, 5), "FLOAT32", None)
        assert found.embedded is found.sidecar is None
        assert "min_runtime_version" in found.metadata

    def test_int8_is_cut_by_what_the_delegate_has_not(self, files):
        found = inspect(files[1])
        outside = {kind.name for kind in found.operators if kind.delegated < kind.count}
        assert outside == {"GELU", "BATCH_MATMUL", "SOFTMAX"}
        assert all(kind.delegated == 0 for kind in found.operators if kind.name in outside)
        # No two of its GELUs are neighbours.
        gelus = sum(kind.count for kind in found.operators if kind.name == "GELU")
        assert found.partitions > gelus
        assert found.activations.keys() == {"INT8"}
        weights = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}  # one each, and a bias
        assert found.per_channel == sum(k.count for k in found.operators if k.name in weights)
        assert found.per_tensor == 1  # what attention is scaled by
        assert max(found.weights, key=found.weights.__getitem__) == "INT8"
        (image,), (logits,) = found.inputs, found.outputs
        assert image.dtype == logits.dtype == "INT8"
        assert image.scale == pytest.approx(0.036, rel=0.1)
        assert -128 <= image.zero_point <= 127

    def test_bytes_of_the_weights(self, files):
        """The two files have the same weights, of four bytes and of one."""
        float32, int8 = inspect(files[0]), inspect(files[1])
        parameters = fuse(tiny()).count_params()
        assert float32.weights["FLOAT32"] == pytest.approx(4 * parameters, rel=0.01)
        assert int8.weights["INT8"] == pytest.approx(parameters, rel=0.05)
        assert sum(float32.weights.values()) < float32.size

    def test_macs_are_those_of_the_layers(self, files):
        model = fuse(tiny())
        found = inspect(files[0])
        by_name = {kind.name: kind.macs for kind in found.operators}
        attention = 2 * PLACES**2 * TINY.widths[3]  # query × key, weights × value
        expected = macs_of_layers(model)
        assert {name: by_name[name] for name in expected} == expected
        assert by_name["BATCH_MATMUL"] == attention
        assert by_name["ADD"] == 0
        assert found.macs == sum(by_name.values()) == sum(expected.values()) + attention
        assert found.operators[0].name == "CONV_2D"  # most work first

    def test_products_of_matrices(self, tmp_path):
        """The inner dimension, whichever side is transposed."""
        import tensorflow as tf

        for transposed in (False, True):
            holder = tf.Module()
            shapes = [(1, 7, 5) if transposed else (1, 5, 7), (1, 7, 3)]
            holder.forward = tf.function(
                lambda a, b, transposed=transposed: tf.matmul(a, b, transpose_a=transposed),
                [tf.TensorSpec(shape, tf.float32) for shape in shapes],
            )
            function = holder.forward.get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
            graph = read_graph(converter.convert())
            assert [o.macs for o in graph.operators if o.name == "BATCH_MATMUL"] == [5 * 7 * 3]

    def test_shared_values_count_once(self, files):
        def share(model):
            tensors = model.subgraphs[0].tensors
            sizes = [0 if (d := model.buffers[t.buffer].data) is None else len(d) for t in tensors]
            first, second = sorted(range(len(sizes)), key=sizes.__getitem__)[-2:]
            assert sizes[first] == sizes[second] > 0
            tensors[second].buffer = tensors[first].buffer

        before = inspect(files[0]).weights["FLOAT32"]
        files[0].write_bytes(edited(files[0].read_bytes(), share))
        largest = max(t.size for t in read_graph(files[0].read_bytes()).tensors)
        assert inspect(files[0]).weights["FLOAT32"] == before - largest

    def test_what_export_has_said(self, files):
        path = write_sidecar(files[0], TINY.name, None)
        description = json.loads(path.read_text())
        embedded = {k: v for k, v in description.items() if k not in ("file", "sha256", "size")}
        del embedded["self_check"]
        path.unlink()
        files[0].write_bytes(sidecar.embed(files[0].read_bytes(), embedded))
        found = inspect(files[0])
        assert found.embedded == embedded
        assert found.sidecar is None
        assert found.metadata["keras_fastvit"] > 100
        write_sidecar(files[0], TINY.name, "mine.weights.h5")
        assert inspect(files[0]).sidecar["weights"] == "mine.weights.h5"


def test_delegation_says_what_is_inside_and_outside(files):
    for path in files:
        found = delegation(path)
        assert found.inside + found.outside == operators(path.read_bytes())
    assert found.inside["CONV_2D"] > 0
    assert "GELU" not in found.inside


class TestDamage:
    @pytest.mark.parametrize("seed", range(24))
    def test_no_damage_kills_it(self, tmp_path, seed):
        name = "tiny_int8.tflite" if seed % 2 else "tiny.tflite"
        path = tmp_path / name
        path.write_bytes(damaged(tiny_contents()[name], seed))
        with contextlib.suppress(ValueError):
            inspect(path)

    def test_what_the_runtime_does_not_look_at(self, files):
        def lose_metadata(model):
            model.metadata[0].buffer = 10**6

        files[0].write_bytes(edited(files[0].read_bytes(), lose_metadata))
        with pytest.raises(ValueError, match=r"as its schema says. Received: "):
            inspect(files[0])


class TestMain:
    def test_tables(self, files, capsys):
        write_sidecar(files[1], TINY.name, None, labels=["a", "b", "c", "d", "e"])
        assert command("inspect", files[1]) == 0
        printed = capsys.readouterr().out
        found = inspect(files[1])
        for kind in found.operators:
            row = rf"{kind.name} +│ +{kind.count} │ +{kind.delegated} │"
            assert re.search(row, printed), kind
        assert f"XNNPACK's partitions: {found.partitions}" in printed
        assert f"{found.size:,} bytes" in printed
        assert re.search(rf"scale[\s│]+{found.inputs[0].scale:.6g}", printed)
        assert '["a", "b", "c", "d", "e"]' in printed
        assert f"{found.per_channel} per channel" in printed

    def test_says_once_what_is_known_twice(self, files, capsys):
        description = json.loads(write_sidecar(files[0], TINY.name, "mine.h5").read_text())
        embedded = dict(description)
        for key in ("file", "sha256", "size", "self_check"):
            del embedded[key]
        files[0].write_bytes(sidecar.embed(files[0].read_bytes(), embedded))
        write_sidecar(files[0], TINY.name, "mine.h5")
        assert command("inspect", files[0]) == 0
        printed = capsys.readouterr().out
        assert "as in the sidecar" in printed
        assert printed.count("mine.h5") == 1
        write_sidecar(files[0], TINY.name, "other.h5")
        assert command("inspect", files[0]) == 0
        printed = capsys.readouterr().out
        assert printed.count("mine.h5") == printed.count("other.h5") == 1

    def test_json(self, files, capsys):
        assert command("inspect", files[0], "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        found = inspect(files[0])
        assert printed["path"] == str(files[0])
        assert printed["macs"] == found.macs
        assert printed["operators"][0] == {
            "name": "CONV_2D",
            "count": found.operators[0].count,
            "delegated": found.operators[0].count,
            "macs": found.operators[0].macs,
        }
        assert printed["inputs"][0]["shape"] == [1, 64, 64, 3]
        assert command("inspect", "--json", files[0]) == 0  # in this order, too
        assert json.loads(capsys.readouterr().out) == printed
        assert command("inspect", files[0], "--json", files[0].with_suffix(".txt")) == 0
        assert "CONV_2D" in capsys.readouterr().out
        assert json.loads(files[0].with_suffix(".txt").read_text()) == printed
        assert command("inspect", files[0], "--json", files[0].with_suffix(".json")) == 2
        assert "overwrite a sidecar" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "does not load"),
            (b"<html>not found</html>" * 9, "does not load"),
            ("cut", "does not load"),
            ("crash", "crashes LiteRT"),
            (None, "nothing at"),
            ("sidecar", "SHA-256"),
        ],
    )
    def test_bad_input(self, tmp_path, capsys, content, message):
        path = tmp_path / "model.tflite"
        whole = tiny_contents()["tiny.tflite"]
        if content is not None:
            special = {"cut": whole[:5000], "crash": crashing_content(), "sidecar": whole}
            path.write_bytes(special.get(content, content))
        if content == "sidecar":
            write_sidecar(path, TINY.name, None)
            changed = np.frombuffer(whole, "uint8").copy()
            changed[whole.rindex(b"serving")] ^= 1
            path.write_bytes(changed.tobytes())
        assert command("inspect", path) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert message in printed.err
