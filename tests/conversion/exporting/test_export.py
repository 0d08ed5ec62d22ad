"""The `.tflite` export: what the file computes, what is refused, and what is left behind."""

import hashlib
import json
import re
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.blocks import AttentionBlock
from keras_fastvit.conversion.__main__ import main as command
from keras_fastvit.conversion.exporting import export as module
from keras_fastvit.conversion.exporting import request
from keras_fastvit.conversion.exporting.checks import LARGEST_DIFFERENCE
from keras_fastvit.conversion.exporting.converter import Conversion
from keras_fastvit.conversion.exporting.converter_process import to_int8_tflite
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.exporting.report import summary
from keras_fastvit.conversion.quantization.calibration import Calibration
from keras_fastvit.conversion.quantization.layer_by_layer import quantize as decide
from keras_fastvit.conversion.quantization.layer_report import LayerError
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteFile, TFLiteModel
from keras_fastvit.conversion.tflite.schema import operators
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.images.normalizations import NORMALIZATIONS
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state
from tests.models import images, randomize, relative_difference, run, tiny
from tests.reference import fixtures
from tests.reference.weights_from_names import generate, generate_image
from tests.tflite_files import to_tflite

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[3]
PHOTOGRAPHS = ROOT / "demo_images/fashion_mnist"


def assert_computes_what(model: keras.Model, path: Path, height: int, width: int) -> None:
    """Compares the file with the model itself, whose output is logits."""
    inputs = generate_image(0, (2, height, width))
    expected = run(model, inputs)
    assert relative_difference(TFLiteModel(path)(inputs), expected) <= 1e-5
    # The images do not get the same answer, which any file might give.
    assert relative_difference(expected[:1], expected[1:]) > 1e-2


def small(**kwargs) -> FastViT:
    """A small model whose outputs depend on its images as a trained one's do."""
    model = tiny(**kwargs)
    shapes = {name: array.shape for name, array in to_torch_state(model).items()}
    load_torch_state(model, generate(shapes), "generated")
    return model


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# It is replaced, as an earlier export's: that is known by the name of its description.
EARLIER = b"keras_fastvit: what was there"


class TestTheFileComputesWhatTheModelDoes:
    @pytest.mark.parametrize(
        ("variant", "height", "width", "activation"),
        [("fastvit_t8", 64, 64, "softmax"), ("fastvit_sa12", 65, 97, None)],
    )
    def test_real_variants(self, tmp_path, variant, height, width, activation):
        weights = fixtures.load("timm", variant).weights()
        model, logits = (
            FastViT(
                variant,
                input_shape=(height, width, 3),
                classifier_activation=ending,
                data_format="channels_last",
            )
            for ending in (activation, None)
        )
        load_torch_state(model, weights, "fixture")
        load_torch_state(logits, weights, "fixture")
        exported = export(model, tmp_path / "model.tflite", weights="W", crop_pct=0.95)
        assert exported.path == tmp_path / "model.tflite"
        assert exported.size == exported.path.stat().st_size
        assert exported.input_shape == (1, height, width, 3)
        assert exported.output_shape == (1, 1000)
        assert 0 < exported.check.max_difference <= 1e-5
        # GELU is one operator, and the weights are constants; only attention has a softmax.
        assert exported.operators["GELU"] == {"fastvit_t8": 17, "fastvit_sa12": 19}[variant]
        assert exported.operators["SOFTMAX"] == {"fastvit_t8": 0, "fastvit_sa12": 2}[variant]
        assert not {"VAR_HANDLE", "READ_VARIABLE", "ERF"} & exported.operators.keys()
        assert (exported.delegation.partitions, exported.delegation.outside) == (1, {})
        assert_computes_what(logits, exported.path, height, width)
        described = exported.sidecar
        assert described["output"]["activation"] == (activation or "linear")
        assert (described["model"], described["weights"]) == (variant, "W")
        assert described["input"]["crop_pct"] == 0.95

    def test_any_size_becomes_the_given_one(self, tmp_path):
        model = small(input_shape=(None, None, 3), pooling="avg", include_top=False)
        exported = export(model, str(tmp_path / "model.tflite"), image_size=(50, 70))
        assert exported.input_shape == (1, 50, 70, 3)
        assert_computes_what(model, exported.path, 50, 70)

    def test_mixed_precision_becomes_float32(self, tmp_path):
        exported = export(small(dtype="mixed_bfloat16"), tmp_path / "model.tflite")
        assert_computes_what(small(dtype="float32"), exported.path, 64, 64)

    def test_quantize_target_and_rewrites_reach_the_converter(self, tmp_path, monkeypatch):
        seen = {}
        lower, convert = module.lower, module.convert

        def lowered(*args):
            seen["lower"] = args[1:]
            return lower(*args)

        def converted(model, images, *args, **kwargs):
            seen["convert"] = args
            return convert(model, images)

        monkeypatch.setattr(module, "lower", lowered)
        monkeypatch.setattr(module, "convert", converted)
        exported = export(
            *(tiny(), tmp_path / "model.tflite"),
            quantize="fp16",
            target="npu",
            without=["attention"],
        )
        assert seen == {
            "lower": ((64, 64), "npu", ["attention"]),
            "convert": ("fp16", None, "operator"),
        }
        assert exported.sidecar["target"] == "npu"
        assert exported.sidecar["without"] == ["attention"]


def _functional(function, **kwargs) -> keras.Model:
    image = keras.Input((32, 32, 3), **kwargs)
    return keras.Model(image, function(image), name="of_a_user")


def test_int8_leaves_a_layer_norm_in_float(tmp_path):
    """XNNPACK has its operators in float alone; around them the file is int8, in one piece."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, strides=2, name="conv")(inputs)
    x = AttentionBlock(mlp_ratio=1, norm_type="layer_norm", name="block")(x)
    model = randomize(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    x = images(16, 16, 16, 3)
    exported = export(model, tmp_path / "model.tflite", quantize="int8", calibration=x)
    assert (exported.delegation.partitions, exported.delegation.outside) == (1, {})
    assert exported.operators["RSQRT"] == exported.operators["SQUARED_DIFFERENCE"] == 1
    assert exported.check.sqnr_db > 25


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(name="factor")

    def call(self, x):
        return self.factor * x


class Subclassed(keras.Model):
    def call(self, x):
        return x


MODELS = {
    "subclassed": (lambda: Subclassed(name="mine"), None, "'mine' of type Subclassed$"),
    "no size": (
        lambda: tiny(input_shape=(None, None, 3)),
        None,
        r"given as image_size.*image_size=None.*\(None, None, None, 3\)$",
    ),
    "another size": (lambda: tiny(), 32, r"\(None, 64, 64, 3\)\. Received: image_size=32$"),
    "batch": (
        lambda: _functional(lambda x: x + 1, batch_size=8),
        None,
        r"batch must be None or 1.*\(8, 32, 32, 3\)$",
    ),
    "inputs": (
        lambda: keras.Model([x := keras.Input((8, 8, 3)), y := keras.Input((8, 8, 3))], x + y),
        None,
        "one input.* with 2 inputs$",
    ),
    "outputs of one name": (
        lambda: _functional(lambda x: {"a": [x], "a_0": x + 1}),
        None,
        "names of their own.*outputs a_0, a_0$",
    ),
    "no image": (
        lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="flat"),
        None,
        r"must be an image.*'flat' with an input of float32, shape \(None, 8\)$",
    ),
    "uint8": (
        lambda: _functional(lambda x: layers.Rescaling(1 / 255)(x), dtype="uint8"),
        None,
        "must be an image, float32.*an input of uint8",
    ),
    "channels first": (
        lambda: tiny(data_format="channels_first"),
        None,
        "data_format='channels_last'.*'to_channels_last', which is for channels first$",
    ),
    "float16": (
        lambda: tiny(dtype="float16"),
        None,
        "must be float32.*variable 'stem_0/kernel' of float16$",
    ),
    "custom layer": (
        lambda: _functional(Scaled(name="mine")),
        None,
        "weights.*Keras' layers.*'mine' of type Scaled with the weight 'factor'$",
    ),
}

ARGUMENTS = {
    "no suffix": ({"path": "model"}, ValueError, r"must end in \.tflite\. Received: '.*model'"),
    "precision": ({"quantize": "int4"}, ValueError, "none, fp16, dynamic, int8.*Received: 'int4'"),
    "gelu": ({"gelu": "tanh"}, ValueError, "`gelu` must be one of.*Received: 'tanh'"),
    "target": ({"target": "tpu"}, ValueError, "cpu, gpu, npu.*Received: 'tpu'"),
    "rewrite": ({"without": ["all"]}, ValueError, r"`without`.*Received: .*\['all'\]"),
    "no calibration": ({"quantize": "int8"}, ValueError, "int8 needs calib.*calibration=None"),
    "few": ({"calibration": images(15, 64, 64, 3)}, ValueError, r"at least 16.*\(15, 64, 64, 3\)"),
    "size": ({"calibration": images(16, 32, 32, 3)}, ValueError, r"shape \(64, 64, 3\).*16, 32"),
    "folder": ({"calibration": "no"}, FileNotFoundError, "Received: nothing at 'no'"),
    "labels": ({"labels": ["cat", "dog"]}, ValueError, "Received: 2 labels for 5 classes"),
    "normalization": (
        {"normalization": "none"},
        ValueError,
        "imagenet, clip, unit, pixels. Received: 'none'",
    ),
}


class TestRefusals:
    """Each names what was expected and what was received, and leaves nothing behind."""

    @pytest.mark.parametrize(("make", "image_size", "message"), MODELS.values(), ids=MODELS)
    def test_models(self, tmp_path, make, image_size, message):
        with pytest.raises(ValueError, match=message):
            export(make(), tmp_path / "model.tflite", image_size=image_size)
        assert names(tmp_path) == []

    @pytest.mark.parametrize(("arguments", "kind", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
    def test_arguments(self, tmp_path, monkeypatch, arguments, kind, message):
        monkeypatch.setattr(module, "convert", None)  # before the long work
        arguments = {"path": "model.tflite", **arguments}
        with pytest.raises(kind, match=message):
            export(tiny(), tmp_path / arguments.pop("path"), **arguments)
        assert names(tmp_path) == []

    def test_labels_for_a_feature_map(self, tmp_path):
        with pytest.raises(ValueError, match="Received: 2 labels for 64 classes"):
            export(tiny(include_top=False), tmp_path / "model.tflite", labels=["cat", "dog"])

    def test_a_folder_of_rgb_images_for_another_number_of_channels(self, tmp_path):
        model = keras.Sequential([keras.Input((32, 32, 1)), layers.Conv2D(1, 3)])
        with pytest.raises(ValueError, match=r"RGB images.*\(1, 32, 32, 1\)"):
            export(model, tmp_path / "model.tflite", calibration=PHOTOGRAPHS)

    def test_an_operation_that_litert_lacks(self, tmp_path):
        model = _functional(lambda x: ops.erfinv(ops.tanh(x)))
        with pytest.raises(ValueError, match=r"model 'of_a_user'.* that LiteRT lacks: Erfinv$"):
            export(model, tmp_path / "model.tflite")
        assert names(tmp_path) == []

    def test_weights_that_are_not_numbers(self, tmp_path):
        model = tiny()
        model.get_layer("head").bias.assign([1, 2, 3, 4, np.nan])
        with pytest.raises(
            ValueError, match=r"must be finite. Received: variable 'head/bias' with"
        ):
            export(model, tmp_path / "model.tflite")
        assert names(tmp_path) == []

    def test_outputs_that_are_not_numbers(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "convert", to_conversion)
        image = keras.Input((32, 32, 3))
        features = layers.GlobalAveragePooling2D()(image)
        model = keras.Model(image, layers.Dense(2)(1e38 * features * 1e38))
        with pytest.raises(ValueError, match=r"outputs of .* finite. Received: \d NaN or infinite"):
            export(model, tmp_path / "model.tflite")
        assert names(tmp_path) == []

    @pytest.mark.parametrize("missing", ["ai_edge_litert", "matplotlib"])
    def test_without_a_package(self, tmp_path, monkeypatch, missing):
        monkeypatch.setattr(request, "find_spec", lambda name: name != missing or None)
        with pytest.raises(
            ImportError, match=rf"keras-fastvit\[convert\].*an environment without {missing}"
        ):
            export(
                *(tiny(), tmp_path / "model.tflite"),
                quantize="int8",
                calibration=images(16, 64, 64, 3),
            )


CALIBRATION = images(20, 64, 64, 3)
LAYERS = [LayerError("stem_0", "Conv2D", 40.0), LayerError("head", "Dense", 30.0)]


def to_conversion(
    model, images, quantize="none", calibration=None, gelu="sigmoid", **kwargs
) -> Conversion:
    """In place of `convert`, which starts a process: TensorFlow's converter in this one."""
    outputs = {"output": np.concatenate([run(model, image[None]) for image in images])}
    if quantize != "int8":
        return Conversion(to_tflite(model), outputs, [])
    decided = decide(model, calibration, gelu)
    return Conversion(to_int8_tflite(decided, True), outputs, LAYERS, decided.gelu)


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> dict[str, Conversion]:
    """By precision: a sound conversion of `tiny()`, and Keras' outputs for the images compared."""
    path = tmp_path_factory.mktemp("converted") / "model.tflite"
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for quantize in ("none", "int8"):

            def convert(*args, quantize=quantize, **kwargs):
                return found.setdefault(quantize, to_conversion(*args))

            patch.setattr(module, "convert", convert)
            export(tiny(), path, quantize=quantize, calibration=CALIBRATION, gelu="operator")
    return found


def export_tiny(path: Path, quantize: str = "none", **kwargs):
    arguments = {"quantize": quantize, "calibration": CALIBRATION, "gelu": "operator", **kwargs}
    return export(tiny(), path, **arguments)


class TestWhatIsWritten:
    """With a finished conversion, as these are about what comes before and after it."""

    @pytest.fixture(autouse=True)
    def finished(self, monkeypatch, converted):
        def convert(model, images, quantize, *args, **kwargs):
            return converted[quantize]

        monkeypatch.setattr(module, "convert", convert)
        monkeypatch.setattr(module, "lower", lambda model, *args: model)

    def test_float32(self, tmp_path):
        path, labels = tmp_path / "model.tflite", ["a", "b", "c", "d", "é"]
        exported = export_tiny(path, labels=labels)
        assert names(tmp_path) == ["model.json", "model.tflite", "model_report.md"]
        described = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
        assert described == exported.sidecar == sidecar.read(path)
        assert described["size"] == exported.size == path.stat().st_size
        assert described["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert described["labels"] == labels
        assert described["calibration"] is None
        assert described["input"]["scale"] is described["output"]["zero_point"] is None
        assert described["self_check"]["images"] == 20
        embedded = sidecar.embedded(path.read_bytes())
        late = ("file", "sha256", "size", "self_check")
        assert embedded == {k: v for k, v in described.items() if k not in late}

    def test_int8(self, tmp_path):
        path = tmp_path / "model.tflite"
        exported = export_tiny(path, "int8")
        assert names(tmp_path) == [
            *("model.json", "model.tflite"),
            *("model_layers.csv", "model_layers.png", "model_report.md"),
        ]
        described, tflite = sidecar.read(path), TFLiteModel(path)
        for tensor, quantization in (
            ("input", tflite.input_quantization),
            ("output", tflite.output_quantization),
        ):
            assert described[tensor]["dtype"] == "int8"
            assert (described[tensor]["scale"], described[tensor]["zero_point"]) == quantization
        assert described["calibration"] == {"images": 20, "skipped": 0}
        assert 12 < exported.check.sqnr_db < 60
        report = (tmp_path / "model_report.md").read_text(encoding="utf-8")
        assert f"{exported.check.sqnr_db:.1f} dB" in report
        assert described["sha256"] in report
        assert report.index("| 30.0 | head |") < report.index("| 40.0 | stem_0 |")
        for linked in re.findall(r"\]\((.+?)\)", report):
            assert (tmp_path / linked).is_file()
        assert exported.delegation.outside["GELU"]
        for name, count in exported.operators.items():
            outside = exported.delegation.outside[name]
            assert f"| {name} | {count} | {count - outside} | {outside} |" in report

    @pytest.mark.parametrize(
        ("name", "given", "expected"),
        [
            ("mine", None, "imagenet"),
            ("fastvit_mci0", None, "unit"),
            ("fastvit_mci3", None, "clip"),
            ("fastvit_mci3", "unit", "unit"),
        ],
    )
    def test_normalization(self, tmp_path, monkeypatch, name, given, expected):
        """By the variant's name if it is not given; of a folder's images too."""
        seen = []

        def read(folder, shape, crop_pct, normalization):
            seen.append(normalization)
            return Calibration(CALIBRATION, {})

        monkeypatch.setattr(module, "read_calibration", read)
        path = tmp_path / "model.tflite"
        model = fuse(tiny(name=name, data_format="channels_last"))
        exported = export(model, path, calibration=PHOTOGRAPHS, normalization=given)
        mean, std = NORMALIZATIONS[expected]
        described = exported.sidecar["input"]
        assert (described["mean"], described["std"]) == (list(mean), list(std))
        assert seen == [expected]

    def test_gelus_that_the_delegate_leaves_out_are_refused(self, tmp_path, monkeypatch, converted):
        unasked = replace(converted["int8"], gelu="sigmoid")
        monkeypatch.setattr(module, "convert", lambda *args, **kwargs: unasked)
        with pytest.raises(ArithmeticError, match=r"XNNPACK.*Received: \d+ GELU outside of it"):
            export_tiny(tmp_path / "model.tflite", "int8")
        assert names(tmp_path) == []

    def test_the_same_twice(self, tmp_path):
        """On one machine; another processor's roundings give another int8 file."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            export_tiny(tmp_path / name / "model.tflite", "int8")
        for path in (tmp_path / "a").iterdir():
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()

    def test_replaces_what_was_there(self, tmp_path, converted):
        path = tmp_path / "model.tflite"
        path.write_bytes(EARLIER)
        export_tiny(path)
        assert operators(path.read_bytes()) == operators(converted["none"].content)
        assert names(tmp_path) == ["model.json", "model.tflite", "model_report.md"]

    @pytest.mark.parametrize(
        ("quantize", "off", "message"),
        [
            ("none", 1.1 * LARGEST_DIFFERENCE, "within 1e-04 of.*Received: a diff"),
            ("int8", 0.3, r"at least 12 dB.*Received: \d"),
        ],
    )
    def test_a_file_that_computes_something_else_is_not_kept(
        self, tmp_path, monkeypatch, converted, quantize, off, message
    ):
        path = tmp_path / "model.tflite"
        path.write_bytes(EARLIER)
        outputs = converted[quantize].outputs["output"]
        outputs = outputs + off * np.abs(outputs).max()
        wrong = replace(converted[quantize], outputs={"output": outputs})
        monkeypatch.setattr(module, "convert", lambda *args, **kwargs: wrong)
        with pytest.raises(ArithmeticError, match=f"not kept.*{message}"):
            export_tiny(path, quantize)
        assert path.read_bytes() == EARLIER
        assert names(tmp_path) == ["model.tflite"]

    def test_the_final_bytes_are_checked(self, tmp_path, monkeypatch, converted):
        """A fault of the embedding would be found."""
        content = bytearray(converted["none"].content)
        content[len(content) // 3 : len(content) // 3 + 4000] = bytes(4000)
        monkeypatch.setattr(sidecar, "embed", lambda *args: bytes(content))
        with pytest.raises((ArithmeticError, ValueError)):
            export_tiny(tmp_path / "model.tflite")
        assert names(tmp_path) == []

    def test_a_file_with_operators_of_tensorflow_is_not_kept(self, tmp_path, monkeypatch):
        import tensorflow as tf

        holder = tf.Module()
        holder.forward = tf.function(tf.linalg.inv, [tf.TensorSpec((3, 3))])
        function = holder.forward.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
        content = converter.convert()
        assert operators(content) == {"FlexIdentity": 2, "FlexMatrixInverse": 1}
        conversion = Conversion(content, {"output": np.zeros((3, 5))}, [])
        monkeypatch.setattr(module, "convert", lambda *args, **kwargs: conversion)
        with pytest.raises(
            ValueError, match=r"built into LiteRT only. Received: FlexIdentity, FlexMatrixInverse"
        ):
            export_tiny(tmp_path / "model.tflite")
        assert names(tmp_path) == []

    def test_no_folder(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"expected an existing folder. Received: .*no'"
        ):
            export_tiny(tmp_path / "no" / "model.tflite")

    @pytest.mark.parametrize("name", ["model.tflite", "model.json", "model_report.md"])
    def test_a_folder_in_the_way(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(IsADirectoryError, match=rf"{name}': expected a file. Received: a fol"):
            export_tiny(tmp_path / "model.tflite")
        assert names(tmp_path) == [name]

    def test_a_folder_that_refuses_files(self):
        # One that even root cannot write to.
        with pytest.raises(OSError, match=r"Cannot write model.json, model.tflite.* to '/proc'"):
            export_tiny("/proc/model.tflite")

    @pytest.mark.parametrize("room", ["the file", "the sidecar"])
    def test_a_full_disk(self, tmp_path, monkeypatch, converted, room):
        path = tmp_path / "model.tflite"
        path.write_bytes(EARLIER)
        model, limits = tiny(), resource.getrlimit(resource.RLIMIT_FSIZE)

        def limit(size: int) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

        if room == "the sidecar":  # the last that is written
            to_json = sidecar.to_json
            calls = iter([to_json, lambda description: limit(100) or to_json(description)])
            monkeypatch.setattr(sidecar, "to_json", lambda description: next(calls)(description))
        else:
            limit(len(converted["none"].content) // 2)
        try:
            with pytest.raises(OSError, match=r"Cannot write .*model.tflite.*File too large"):
                export(model, path, calibration=CALIBRATION)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == EARLIER
        assert names(tmp_path) == ["model.tflite"]


class TestCommand:
    def test_a_variant(self, tmp_path, capsys):
        path = tmp_path / "model.tflite"
        options = ["--model", "fastvit_t8", "--weights", "fashion_mnist", "--image-size", "48x64"]
        assert command(["export", *options, "--output", str(path)]) == 0
        printed = capsys.readouterr().out
        assert f"{path}: {path.stat().st_size} bytes" in printed
        assert "image (1, 48, 64, 3) float32" in printed
        assert "(1, 10) float32, softmax is left to the app" in printed
        assert "17 GELU" in printed
        assert "allowed: at most 1e-04" in printed
        described = sidecar.read(path)
        assert described["weights"] == "fashion_mnist"
        assert described["input"]["crop_pct"] == 1.0
        assert described["labels"][9] == "Ankle boot"

    def test_a_users_file_in_training_form(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(module, "convert", to_conversion)
        backbone = small(include_top=False, pooling="avg", input_shape=(None, None, 3))
        model = keras.Sequential([backbone, layers.Dense(3, activation="softmax")], name="mine")
        model.build((None, None, None, 3))
        model.save("mine.keras")
        Path("names.txt").write_text("cat\ndog\nKönig\n", encoding="utf-8")
        Path("photographs").mkdir()
        for path in sorted(PHOTOGRAPHS.rglob("*.png"))[::13]:
            shutil.copy(path, "photographs")
        Path("photographs", "notes.txt").touch()
        options = ["--model", "mine.keras", "--image-size", "64", "--labels", "names.txt"]
        options += ["--crop-pct", "0.8", "--calibration", "photographs"]
        assert command(["export", *options, "--output", "mine.tflite"]) == 0
        assert "skipped      1 (notes.txt)" in capsys.readouterr().out
        described = sidecar.read("mine.tflite")
        assert described["self_check"]["images"] == 16
        assert described["labels"] == ["cat", "dog", "König"]
        assert (described["model"], described["weights"]) == ("mine", "mine.keras")
        assert described["input"]["crop_pct"] == 0.8
        assert described["output"]["activation"] == "softmax"
        inputs = images(2, 64, 64, 3)
        logits = TFLiteModel("mine.tflite").predict(inputs)
        received = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        np.testing.assert_allclose(received, model.predict(inputs, verbose=0), atol=1e-5)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"--model": "fastvit_t9"}, "expected one of fastvit_t8, .*Received: fastvit_t9"),
            ({"--model": "no.keras", "--weights": None}, "Received: no 'no.keras'"),
            ({"--model": "text.keras", "--weights": None}, "Cannot load a model.*4 other bytes"),
            ({"--model": "text.keras"}, "expected no --weights.*weights='fashion_mnist'"),
            ({"--model": "text.keras", "--weights": None, "--no-ema": ""}, "--no-ema is for a"),
            ({"--weights": None}, "expected --weights"),
            ({"--weights": "imagenet22k"}, "Received: weights='imagenet22k'"),
            ({"--weights": "W.safetensors"}, "Received: .*W.safetensors"),
            ({"--classes": "7"}, "classifier for 10 classes.*Received: 7"),
            ({"--image-size": "64x"}, "such as 192x320. Received: 64x"),
            ({"--image-size": "31"}, r"at least 32 pixels.*\(31, 31, 3\)"),
            ({"--crop-pct": "90"}, "such as 0.9. Received: 90"),
            ({"--quantize": "int8"}, "int8 needs calibration.*Received: calibration=None"),
            ({"--calibration": "."}, "at least 16 images. Received: 0 in '.'"),
            ({"--calibration": "text.keras"}, "needs a folder.*'text.keras', which is no folder"),
            ({"--labels": "text.keras"}, "Received: 1 labels for 10 classes"),
            ({"--labels": "no.txt"}, "Received: 'no.txt', where there is nothing"),
            ({"--without": "thinking"}, "invalid choice: 'thinking'"),
            ({"--output": "no/model.tflite"}, "existing folder. Received: 'no'"),
            ({"--output": "model.keras"}, r"must end in .tflite. Received: 'model.keras'"),
        ],
    )
    def test_bad_input(self, tmp_path, monkeypatch, capsys, options, message):
        monkeypatch.chdir(tmp_path)
        Path("text.keras").write_text("text")
        good = {"--model": "fastvit_t8", "--weights": "fashion_mnist", "--output": "model.tflite"}
        given = {name: value for name, value in (good | options).items() if value is not None}
        try:
            status = command(["export", *(part for pair in given.items() for part in pair if part)])
        except SystemExit as error:  # of the parser
            status = error.code
        assert status == 2
        printed = " ".join(capsys.readouterr().err.split())
        assert re.search(message, printed)
        assert "Traceback" not in printed
        assert names(tmp_path) == ["text.keras"]


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_several_outputs_go_by_their_names(tmp_path, quantize):
    """They differ in kind, scale and shape: none can be taken for another."""
    image = keras.Input((32, 32, 3))
    backbone = tiny(input_shape=(32, 32, 3), include_top=False)
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs)(image)
    level, deep = pyramid["P2"], pyramid["P5"]
    heads = {
        "scores": layers.Conv2D(6, 3, padding="same", name="scores")(level),
        "boxes": layers.Conv2D(6, 3, padding="same", name="boxes")(level),
        "angle": layers.Dense(1, name="angle")(layers.GlobalAveragePooling2D()(deep)),
    }
    model = randomize(keras.Model(image, heads))
    model.get_layer("boxes").set_weights([10 * x for x in model.get_layer("boxes").get_weights()])
    path, x = tmp_path / "model.tflite", images(16, 32, 32, 3)
    exported = export(model, path, quantize=quantize, calibration=x)
    expected = {name: np.asarray(y) for name, y in model.predict(x, verbose=0).items()}
    received = TFLiteFile(path).predict_each(x)
    assert set(received) == set(expected) == {"scores", "boxes", "angle"}
    for name, y in expected.items():
        assert received[name].shape == y.shape
        assert sqnr_db(y, received[name]) > (90 if quantize == "none" else 18), name
    described = sidecar.read(path)
    assert "output" not in described
    assert {x["name"]: tuple(x["shape"][1:]) for x in described["outputs"]} == {
        name: y.shape[1:] for name, y in expected.items()
    }
    assert exported.check.agreement is None
    assert "boxes (1, " in summary(exported)
    with pytest.raises(ValueError, match=r"one output\. Received: 1 inputs and 3 outputs"):
        TFLiteModel(path)
    with pytest.raises(ValueError, match=r"one output\. Received: 2 labels for a model with 3"):
        export(model, path, labels=["a", "b"])
