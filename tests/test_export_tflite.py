"""The `.tflite` export: what the file computes, what is refused, and what is left behind."""

import os
import re
import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from conversion import export_tflite as module
from conversion.export_tflite import LARGEST_DIFFERENCE, export, main
from conversion.litert import TFLiteModel, operators
from keras_fastvit import FastViT
from keras_fastvit.torch_weights import load_torch_state, to_torch_state
from tests.models import relative_difference, run, tiny
from tests.reference import fixtures
from tests.reference.weights_from_names import generate, generate_image

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[1]


def assert_computes_what(model: keras.Model, path: Path, height: int, width: int) -> None:
    """Compares the file with the model itself."""
    inputs = generate_image(0, (2, height, width))
    expected = run(model, inputs)
    assert relative_difference(TFLiteModel(path)(inputs), expected) <= LARGEST_DIFFERENCE
    # The images do not get the same answer, which any file might give.
    assert relative_difference(expected[:1], expected[1:]) > 1e3 * LARGEST_DIFFERENCE


def small(**kwargs: Any) -> FastViT:
    """A small model whose outputs depend on its images as a trained one's do."""
    model = tiny(**kwargs)
    shapes = {name: array.shape for name, array in to_torch_state(model).items()}
    load_torch_state(model, generate(shapes), "generated")
    return model


class TestTheFileComputesWhatTheModelDoes:
    @pytest.mark.parametrize(
        ("variant", "height", "width", "activation"),
        [
            ("fastvit_t8", 64, 64, "softmax"),
            ("fastvit_sa12", 64, 64, None),
            ("fastvit_sa12", 65, 97, "softmax"),
        ],
    )
    def test_real_variants(self, tmp_path, variant, height, width, activation):
        model = FastViT(
            variant,
            input_shape=(height, width, 3),
            classifier_activation=activation,
            data_format="channels_last",
        )
        load_torch_state(model, fixtures.load("timm", variant).weights(), "fixture")
        exported = export(model, tmp_path / "model.tflite")
        assert exported.path == tmp_path / "model.tflite"
        assert exported.size == exported.path.stat().st_size
        assert exported.input_shape == (1, height, width, 3)
        assert exported.output_shape == (1, 1000)
        assert 0 < exported.difference <= LARGEST_DIFFERENCE
        # GELU is one operator, and the weights are constants.
        assert exported.operators["GELU"] == {"fastvit_t8": 17, "fastvit_sa12": 19}[variant]
        assert not {"VAR_HANDLE", "READ_VARIABLE", "ERF"} & exported.operators.keys()
        assert exported.operators["SOFTMAX"] == (variant == "fastvit_sa12") * 2 + bool(activation)
        assert_computes_what(model, exported.path, height, width)

    def test_any_size_becomes_the_given_one(self, tmp_path):
        model = small(input_shape=(None, None, 3), pooling="avg", include_top=False)
        exported = export(model, str(tmp_path / "model.tflite"), image_size=(50, 70))
        assert exported.input_shape == (1, 50, 70, 3)
        assert_computes_what(model, exported.path, 50, 70)

    def test_inference_form_of_a_users_model(self, tmp_path):
        backbone = small(include_top=False, pooling="avg", name="backbone")
        model = keras.Sequential([backbone, layers.Dense(3, activation="tanh")])
        model.build((None, 64, 64, 3))
        fused = keras.saving.load_model(_saved(module.fuse(model), tmp_path / "fused.keras"))
        exported = export(fused, tmp_path / "model.tflite")
        assert_computes_what(model, exported.path, 64, 64)

    def test_mixed_precision_becomes_float32(self, tmp_path):
        exported = export(small(dtype="mixed_bfloat16"), tmp_path / "model.tflite")
        assert_computes_what(small(dtype="float32"), exported.path, 64, 64)

    @pytest.mark.parametrize("backend", ["jax", "torch"])
    def test_from_another_backend(self, tmp_path, backend):
        path = tmp_path / "model.tflite"
        code = f"""
            from conversion.export_tflite import export
            from tests.models import BACKEND
            from tests.test_export_tflite import small
            assert BACKEND == {backend!r}
            export(small(), {str(path)!r})
            """
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend},
            check=True,
        )
        assert_computes_what(small(), path, 64, 64)


def _saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def _functional(function, **kwargs) -> keras.Model:
    image = keras.Input((32, 32, 3), **kwargs)
    return keras.Model(image, function(image), name="of_a_user")


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


class Subclassed(keras.Model):
    def call(self, x):
        return x


class TestRefusals:
    """Each names what was expected and what was received, and leaves nothing behind."""

    @pytest.mark.parametrize(
        ("make", "image_size", "message"),
        [
            (lambda: Subclassed(name="mine"), None, r"functional.*'mine' of type Subclassed$"),
            (
                lambda: tiny(input_shape=(None, None, 3)),
                None,
                r"given as image_size.*image_size=None.*\(None, None, None, 3\)$",
            ),
            (lambda: tiny(), 32, r"\(None, 64, 64, 3\)\. Received: image_size=32$"),
            (
                lambda: _functional(lambda x: x + 1, batch_size=8),
                None,
                r"batch must be None or 1.*\(8, 32, 32, 3\)$",
            ),
            (
                lambda: _functional(lambda x: [x, x + 1]),
                None,
                "one output.* with 1 inputs and 2 outputs$",
            ),
            (
                lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="flat"),
                None,
                r"must be an image.*'flat' with an input of float32, shape \(None, 8\)$",
            ),
            (
                lambda: _functional(lambda x: layers.Rescaling(1 / 255)(x), dtype="uint8"),
                None,
                "must be an image, float32.*an input of uint8",
            ),
            (
                lambda: tiny(data_format="channels_first"),
                None,
                "data_format='channels_last'.*'to_channels_last', which is for channels first$",
            ),
            (
                lambda: tiny(dtype="float16"),
                None,
                "must be float32.*variable 'stem_0/kernel' of float16$",
            ),
            (
                lambda: _functional(Doubled(name="mine")),
                None,
                "Keras' own layers only. Received: layer 'mine' of type Doubled$",
            ),
        ],
        ids=[
            *("subclassed", "no size", "another size", "batch", "outputs", "no image", "uint8"),
            *("channels first", "float16", "custom layer"),
        ],
    )
    def test_models(self, tmp_path, make, image_size, message):
        with pytest.raises(ValueError, match=message):
            export(make(), tmp_path / "model.tflite", image_size)
        assert list(tmp_path.iterdir()) == []

    def test_an_operation_that_litert_lacks(self, tmp_path):
        model = _functional(lambda x: ops.erfinv(ops.tanh(x)))
        with pytest.raises(ValueError, match=r"model 'of_a_user'.* that LiteRT lacks: Erfinv$"):
            export(model, tmp_path / "model.tflite")
        assert list(tmp_path.iterdir()) == []

    def test_weights_that_are_not_numbers(self, tmp_path):
        model = tiny()
        model.get_layer("head").bias.assign([1, 2, 3, 4, np.nan])
        with pytest.raises(ValueError, match=r"must be finite.*Received: 3 NaN or infinite values"):
            export(model, tmp_path / "model.tflite")
        assert list(tmp_path.iterdir()) == []

    def test_without_litert(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "find_spec", lambda name: name != "ai_edge_litert" or None)
        with pytest.raises(
            ImportError, match=r"keras-fastvit\[convert\].*an environment without ai_edge_litert"
        ):
            export(tiny(), tmp_path / "model.tflite")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The content of a sound file for `tiny()`, and Keras' outputs for the images of `export`."""
    path = tmp_path_factory.mktemp("converted") / "model.tflite"
    with pytest.MonkeyPatch.context() as patch:
        results = []
        convert = module._convert
        patch.setattr(
            module, "_convert", lambda *args: results.append(convert(*args)) or results[0]
        )
        export(tiny(), path)
    assert results[0][0] == path.read_bytes()
    return results[0]


class TestWhatIsWritten:
    """With a finished conversion, as these are about what comes before and after it."""

    @pytest.fixture(autouse=True)
    def finished(self, monkeypatch, converted):
        monkeypatch.setattr(module, "_convert", lambda *args: converted)

    def test_replaces_what_was_there(self, tmp_path, converted):
        path = tmp_path / "model.tflite"
        path.write_bytes(b"what was there")
        export(tiny(), path)
        assert path.read_bytes() == converted[0]
        assert list(tmp_path.iterdir()) == [path]

    def test_a_file_that_computes_something_else_is_not_kept(
        self, tmp_path, monkeypatch, converted
    ):
        path = tmp_path / "model.tflite"
        path.write_bytes(b"what was there")
        content, outputs = converted
        outputs = outputs + 1.1 * LARGEST_DIFFERENCE * np.abs(outputs).max()
        monkeypatch.setattr(module, "_convert", lambda *args: (content, outputs))
        with pytest.raises(ArithmeticError, match=r"not kept.*within 1e-05 of.*Received: a diff"):
            export(tiny(), path)
        assert path.read_bytes() == b"what was there"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_file_with_operators_of_tensorflow_is_not_kept(self, tmp_path, monkeypatch):
        import tensorflow as tf

        holder = tf.Module()
        holder.forward = tf.function(tf.linalg.inv, [tf.TensorSpec((3, 3))])
        function = holder.forward.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
        content = converter.convert()
        assert operators(content) == {"FlexIdentity": 2, "FlexMatrixInverse": 1}
        monkeypatch.setattr(module, "_convert", lambda *args: (content, np.zeros((3, 5))))
        with pytest.raises(
            ValueError, match=r"built into LiteRT only. Received: FlexIdentity, FlexMatrixInverse"
        ):
            export(tiny(), tmp_path / "model.tflite")
        assert list(tmp_path.iterdir()) == []

    def test_no_folder(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"expected an existing folder. Received: .*no'"
        ):
            export(tiny(), tmp_path / "no" / "model.tflite")

    def test_a_folder_in_the_way(self, tmp_path):
        with pytest.raises(IsADirectoryError, match=r"expected a file. Received: a folder"):
            export(tiny(), tmp_path)

    def test_a_folder_that_refuses_files(self):
        # One that even root cannot write to.
        with pytest.raises(OSError, match=r"Cannot write '/proc/model.tflite'; nothing was left"):
            export(tiny(), "/proc/model.tflite")

    def test_a_full_disk(self, tmp_path, converted):
        path = tmp_path / "model.tflite"
        path.write_bytes(b"what was there")
        model = tiny()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(converted[0]) - 1, limits[1]))
        try:
            with pytest.raises(OSError, match=r"Cannot write '.*model.tflite'.*File too large"):
                export(model, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == b"what was there"
        assert list(tmp_path.iterdir()) == [path]


class TestCommand:
    def test_says_what_it_wrote(self, tmp_path, capsys):
        path = tmp_path / "model.tflite"
        options = ["--model", "fastvit_t8", "--weights", "fashion_mnist", "--image-size", "48x64"]
        assert main([*options, "--output", str(path)]) == 0
        printed = capsys.readouterr().out
        assert f"{path}: {path.stat().st_size} bytes" in printed
        assert "image (1, 48, 64, 3)" in printed
        assert "probabilities (1, 10)" in printed
        assert "17 GELU" in printed
        assert "allowed: 1e-05" in printed

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"--model": "fastvit_t9"}, "invalid choice: 'fastvit_t9'"),
            ({"--weights": None}, "expected --weights"),
            ({"--weights": "imagenet22k"}, "Received: weights='imagenet22k'"),
            ({"--weights": "W.safetensors"}, "Received: .*W.safetensors"),
            ({"--classes": "7"}, "classifier for 10 classes.*Received: 7"),
            ({"--image-size": "64x"}, "such as 192x320. Received: 64x"),
            ({"--image-size": "31"}, r"at least 32 pixels.*\(31, 31, 3\)"),
            ({"--output": "no/model.tflite"}, "existing folder. Received: 'no'"),
        ],
    )
    def test_bad_input(self, tmp_path, monkeypatch, capsys, options, message):
        monkeypatch.chdir(tmp_path)
        good = {"--model": "fastvit_t8", "--weights": "fashion_mnist", "--output": "model.tflite"}
        given = {name: value for name, value in (good | options).items() if value is not None}
        with pytest.raises(SystemExit) as error:
            main([part for pair in given.items() for part in pair])
        assert error.value.code == 2
        printed = " ".join(capsys.readouterr().err.split())
        assert re.search(message, printed)
        assert "Traceback" not in printed
        assert list(tmp_path.iterdir()) == []
