"""The benchmark of accuracy: what it measures, what its tables say, what it calibrates on."""

import argparse
import gzip
import itertools
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import benchmarks.accuracy as command
from benchmarks import calibration_sets, litert_torch_environment
from benchmarks.accuracy_report import TABLES, TARGETS, Accuracy, Report
from benchmarks.calibration_sets import SOURCES, calibration_set
from benchmarks.plain_tflite import to_plain_tflite
from benchmarks.train_fashion_mnist import load_split, to_inputs, upscale
from keras_fastvit.conversion.tflite import timing as benchmark_tflite
from keras_fastvit.images.preprocessing import preprocess_input

pytestmark = pytest.mark.single_backend

T8 = "fastvit_t8, fashion_mnist"


def accuracy(table, name, **values):
    row = Accuracy(
        checkpoint=T8,
        table=table,
        name=name,
        size=1_000_000,
        top1=0.91,
        loss=0.15,
        agreement=0.995,
        sqnr_db=30.0,
        difference=0.02,
        median=1.0,
    )
    return replace(row, **values)


ROWS = [
    accuracy("precision", "float32", size=4_000_000, difference=2e-6, median=2.0, sqnr_db=120.0),
    accuracy("precision", "fp16", sqnr_db=60.0),
    accuracy("precision", "int8"),
    accuracy("lowering", "not lowered", sqnr_db=30.6),
    accuracy("calibration", "200 noise", median=None, loss=-0.25),
]


@pytest.fixture
def report():
    return Report({T8: 0.9115}, ROWS, 10_000, "200 training images", {"processor": "a processor"})


def test_targets_are_judged_by_what_was_measured(report):
    judged = {name: (value, limit.verdict(value)) for _, name, limit, value, _ in report.judged()}
    assert judged == {
        "float32: largest difference": (2e-6, "met"),
        "fp16: SQNR, dB": (60.0, "met"),
        "int8: size over float32's": (0.25, "met"),
        "int8: loss of top-1, points": (0.15, "met"),
        "int8: agreement, %": (99.5, "met"),
        "int8: SQNR, dB": (30.0, "met"),
        "int8: SQNR lost by the lowering, dB": (pytest.approx(0.6), "met"),
    }


@pytest.mark.parametrize(
    ("row", "values", "name", "verdict"),
    [
        (0, {"difference": 2e-4}, "float32: largest difference", "missed"),
        (1, {"sqnr_db": 54.9}, "fp16: SQNR, dB", "missed"),
        (2, {"size": 1_240_000}, "int8: size over float32's", "missed"),
        (2, {"loss": 0.21}, "int8: loss of top-1, points", "missed"),
        (2, {"loss": -0.1}, "int8: loss of top-1, points", "goal reached"),
        (2, {"agreement": 0.992}, "int8: agreement, %", "missed"),
        (2, {"sqnr_db": 28.9}, "int8: SQNR, dB", "missed"),
        (2, {"sqnr_db": 33.0}, "int8: SQNR, dB", "goal reached"),
        (3, {"sqnr_db": 31.1}, "int8: SQNR lost by the lowering, dB", "missed"),
    ],
)
def test_each_target_can_be_missed_or_reached(report, row, values, name, verdict):
    rows = list(ROWS)
    rows[row] = replace(rows[row], **values)
    judged = replace(report, rows=rows).judged()
    assert {name: limit.verdict(value) for _, name, limit, value, _ in judged}[name] == verdict


def test_a_report_without_what_is_judged_is_refused(report):
    with pytest.raises(ValueError, match=r"Expected a measurement of fp16 .* Received: none"):
        replace(report, rows=[row for row in ROWS if row.name != "fp16"]).to_markdown()


def test_writes_data_and_text(report, tmp_path):
    report.write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *("litert_accuracy.json", "litert_accuracy.md")
    }
    text = (tmp_path / "new" / "litert_accuracy.md").read_text()
    assert "the 10,000 test images" in text
    assert f"## {T8}: 91.15% in Keras" in text
    assert "| int8 | 91.00% | +0.15 | 99.50% | 30.0 dB | 2.0e-02 | 0.250 | 0.50 |" in text
    assert "| 200 noise | 91.00% | -0.25 | 99.50% | 30.0 dB | 2.0e-02 | 0.250 |  |" in text
    assert f"| {T8} | int8: loss of top-1, points | **0.15** | ≤ 0.2 | ≤ 0.1 | met |" in text
    content = json.loads((tmp_path / "new" / "litert_accuracy.json").read_text())
    assert content["rows"][2]["sqnr_db"] == 30.0
    assert [target["verdict"] for target in content["targets"]] == ["met"] * len(TARGETS)


def test_every_setting_has_a_place_in_the_report():
    names = [(setting.table, setting.name) for setting in command.SETTINGS]
    assert len(set(names)) == len(names)
    assert {table for table, _ in names} | {"baseline"} == set(TABLES)
    for setting in command.SETTINGS:
        source, count = setting.calibration
        assert source in SOURCES
        assert count >= 16


@pytest.fixture
def fashion_mnist(tmp_path, monkeypatch):
    """A folder like the data set's, of noise."""
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        pixels = rng.integers(0, 256, (30, 28, 28), dtype=np.uint8)
        for part, header, values in (
            ("images-idx3", 16, pixels),
            ("labels-idx1", 8, np.arange(30, dtype=np.uint8) % 10),
        ):
            content = gzip.compress(bytes(header) + values.tobytes())
            (tmp_path / f"{split}-{part}-ubyte.gz").write_bytes(content)
    monkeypatch.setattr(calibration_sets, "DATA", tmp_path)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("fashion_mnist")
def test_calibration_sets_are_the_same_each_time(source):
    images = calibration_set(source, 20)
    assert images.shape == (20, 64, 64, 3)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, calibration_set(source, 20))
    assert len(np.unique(images, axis=0)) == 20
    black, white = (
        preprocess_input(np.full((1, 1, 3), x, "uint8"), "channels_last") for x in (0, 255)
    )
    assert (images >= black - 1e-6).all()
    assert (images <= white + 1e-6).all()
    # Fashion-MNIST is grey, the others are not.
    grey = bool(np.allclose(np.ptp((images - black) / (white - black), axis=-1), 0, atol=1e-6))
    assert grey == source.endswith("images")


@pytest.mark.usefixtures("fashion_mnist")
def test_training_and_test_images_are_not_mixed_up():
    for source, split in (("training images", "train"), ("test images", "t10k")):
        everything = to_inputs(upscale(load_split(calibration_sets.DATA, split)[0]))
        for image in calibration_set(source, 20):
            assert (image == everything).all(axis=(1, 2, 3)).any()


def test_measures_files_beside_keras(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=8, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    images = (
        calibration_set("noise", 40) + np.linspace(-2, 2, 40, dtype="float32")[:, None, None, None]
    )
    logits = model.predict(images, verbose=0)
    labels = logits.argmax(1)
    labels[:4] = (labels[:4] + 1) % 10  # Keras is wrong on four
    # A file that agrees on all but what its last bias turns.
    kernel, bias = model.layers[-1].get_weights()
    files = {}
    for names, shift, calibration in (
        (("precision", "float32"), 0, None),
        (("precision", "int8"), 0, images),
        (("calibration", "turned"), 1000, None),
    ):
        model.layers[-1].set_weights([kernel, bias + shift * np.eye(10, dtype="float32")[3]])
        files[names] = tmp_path / f"{names[1]}.tflite"
        files[names].write_bytes(to_plain_tflite(model, calibration))
    ticks = itertools.count()  # two seconds a run, however fast the machine is
    monkeypatch.setattr(benchmark_tflite.time, "perf_counter", lambda: 2.0 * next(ticks))
    exact, int8, turned = command.measure("mine", files, images, labels, logits)

    assert (exact.checkpoint, exact.table, exact.name) == ("mine", "precision", "float32")
    assert exact.size == files["precision", "float32"].stat().st_size
    assert (exact.top1, exact.loss, exact.agreement) == (0.9, 0, 1)
    assert exact.difference < 1e-5
    assert exact.sqnr_db > 90
    assert 20 < int8.sqnr_db < 60
    assert 1e-3 < int8.difference < 0.1
    assert int8.median == 2000  # milliseconds
    assert turned.agreement == np.mean(logits.argmax(1) == 3)
    assert turned.top1 == np.mean(labels == 3)
    assert turned.loss == pytest.approx(100 * (0.9 - turned.top1))
    assert turned.median is None


@pytest.mark.parametrize("text", ["sa12.safetensors", "fastvit_x=a.safetensors", "fastvit_t8="])
def test_refuses_other_checkpoints(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected VARIANT=FILE.*: {text}"):
        command.checkpoint(text)


def test_the_command_says_what_it_lacks(monkeypatch, tmp_path, capsys):
    """Whether it is Fashion-MNIST, or the environment of litert-torch."""
    monkeypatch.setattr(litert_torch_environment, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(command, "SETTINGS", ())
    monkeypatch.setattr(command, "DATA", tmp_path)
    with pytest.raises(SystemExit) as error:
        command.main(["--output", str(tmp_path / "out")])
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Received: " in line
    assert not (tmp_path / "out").exists()
