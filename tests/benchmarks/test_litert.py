"""The benchmark beside litert-torch: what is timed, what a table says, what is pinned."""

import itertools
import json
import math
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import benchmarks.litert as command
from benchmarks import litert_files as benchmark_files
from benchmarks import litert_torch_environment
from benchmarks.bound import build_bound
from benchmarks.limits import Limit
from benchmarks.litert_report import (
    BOUND,
    JUDGED,
    LITERT_TORCH,
    OURS,
    TARGETS,
    THREADS,
    Report,
    Target,
    TimedFile,
)
from benchmarks.plain_tflite import to_plain_tflite
from keras_fastvit import fuse
from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.tflite import timing as benchmark_tflite
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.schema import operators

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).parents[2]


def timed(maker, precision, milliseconds, variant="fastvit_t8"):
    return TimedFile(
        variant=variant,
        maker=maker,
        precision=precision,
        size=4_000_000,
        operators={"CONV_2D": 27, "ADD": 3},
        partitions=1,
        # with another number of threads another order, which no target is for
        median={n: milliseconds if n == JUDGED else 100 - milliseconds for n in THREADS},
        p90=dict.fromkeys(THREADS, milliseconds + 1),
    )


FILES = [
    timed(LITERT_TORCH, "float32", 20.0),
    timed(LITERT_TORCH, "dynamic", 12.0),
    timed(LITERT_TORCH, "int8", 24.0),
    timed(OURS, "float32", 10.0),
    timed(OURS, "int8", 4.0),
    timed(BOUND, "float32", 8.0),
    timed(BOUND, "int8", 2.0),
]


@pytest.fixture
def report():
    return Report(
        timed=FILES,
        parity={"fastvit_t8": 5e-7},
        rounds=50,
        machine={"processor": "a processor"},
        reference={"litert-torch": "0.10.0"},
    )


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        (Limit(1.9, 2.2), 1.89, "missed"),
        (Limit(1.9, 2.2), 1.9, "met"),
        (Limit(1.9, 2.2), 2.2, "goal reached"),
        (Limit(1.6, 1.3, at_most=True), 1.61, "missed"),
        (Limit(1.6, 1.3, at_most=True), 1.6, "met"),
        (Limit(1.6, 1.3, at_most=True), 1.3, "goal reached"),
        (Limit(0.3, 0.3, at_most=True), 0.2, "met"),
        (Limit(1.9, 2.2), math.nan, "missed"),
        (Limit(1.6, 1.3, at_most=True), math.nan, "missed"),
    ],
)
def test_a_limit_judges(limit, value, verdict):
    assert limit.verdict(value) == verdict


@pytest.mark.parametrize(
    ("target", "ratio"),
    [
        (Target("fastvit_t8", "float32", LITERT_TORCH, ("float32",), Limit(1.9, 2.2)), 2.0),
        (Target("fastvit_t8", "int8", LITERT_TORCH, ("int8",), Limit(4.2, 6)), 6.0),
        # the fastest of several
        (Target("fastvit_t8", "int8", LITERT_TORCH, ("float32", "dynamic"), Limit(2.6, 3)), 3.0),
        # beside the bound the other way round
        (Target("fastvit_t8", "int8", BOUND, ("int8",), Limit(1.7, 1.3, at_most=True)), 2.0),
        (Target("fastvit_sa12", "int8", BOUND, ("int8",), Limit(1.7, 1.3, at_most=True)), None),
        (Target("fastvit_t8", "fp16", BOUND, ("float32",), Limit(1.7, 1.3, at_most=True)), None),
        (Target("fastvit_t8", "int8", BOUND, ("int8", "fp16"), Limit(2, 1, at_most=True)), None),
    ],
)
def test_ratios_are_those_of_the_medians(target, ratio):
    assert target.ratio(FILES) == ratio


def test_every_target_can_be_judged():
    files = [replace(file, variant=variant) for variant in command.BENCHMARKED for file in FILES]
    assert all(target.ratio(files) is not None for target in TARGETS)
    assert all((target.limit.at_most) == (target.maker == BOUND) for target in TARGETS)


def test_the_report_says_what_was_measured(report):
    text = report.to_markdown()
    assert (
        "| fastvit_t8 | litert-torch float32 / ours float32 | **2.00** | ≥ 1.9 | ≥ 2.2 | met |"
        in (text)
    )
    assert "| ours int8 / bound int8 | **2.00** | ≤ 1.7 | ≤ 1.3 | missed |" in text
    assert "int8 / ours int8 | **3.00** | ≥ 2.6 | ≥ 3.5 | met |" in text
    assert (
        "| keras-fastvit int8 | 96.00 ms (5.00), 0.83× | 4.00 ms (5.00), 5.00× | 30 | 1 | 4.0 |"
        in (text)
    )
    assert "a processor" in text
    assert "litert-torch 0.10.0" in text
    assert "5e-07" in text
    assert "fastvit_sa12" not in text  # was not measured

    faster = [replace(file, median={1: 9.0, 2: 9.0}) for file in FILES if file.maker == OURS]
    others = [file for file in FILES if file.maker != OURS]
    text = replace(report, timed=others + faster).to_markdown()
    assert "ours float32 | **2.22** | ≥ 1.9 | ≥ 2.2 | goal reached |" in text


def test_writes_data_text_and_chart(report, tmp_path):
    report.write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *("litert.json", "litert.md", "litert.png")
    }
    content = json.loads((tmp_path / "new" / "litert.json").read_text())
    assert content["timed"][0]["median"] == {"1": 80.0, "2": 20.0}
    assert [(target["ratio"], target["verdict"]) for target in content["targets"]] == [
        *((2.0, "met"), (6.0, "goal reached"), (3.0, "met"), (1.25, "goal reached")),
        (2.0, "missed"),
    ]
    with Image.open(tmp_path / "new" / "litert.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 10  # something is drawn


def products(model, last_side):
    """Weights that are multiplied, by the number of positions."""
    found = Counter()
    for layer in model._flatten_layers():
        if isinstance(layer, (layers.Conv2D, layers.Dense)) and "_se_" not in layer.name:
            positions = int(np.prod(layer.output.shape[1:-1]))
        elif isinstance(layer, layers.EinsumDense):  # attention: in the last stage only
            positions = last_side**2
        else:
            continue
        found[positions] += int(np.prod(layer.kernel.shape))
    return found


@pytest.mark.parametrize(("variant", "attention_blocks"), [("fastvit_t8", 0), ("fastvit_sa12", 2)])
def test_the_bound_is_the_models_dense_and_1x1_convolutions(variant, attention_blocks):
    side, classes, width = 96, 10, VARIANTS[variant].widths[-1]
    model = CONSTRUCTORS[variant](
        weights=None, input_shape=(side, side, 3), classes=classes, data_format="channels_last"
    )
    bound = build_bound(VARIANTS[variant], side, classes)
    expected = products(fuse(model), side // 32)
    # its second projection takes all of query, key and value
    expected[(side // 32) ** 2] += attention_blocks * 2 * width**2
    assert products(bound, side // 32) == expected
    assert {type(layer) for layer in bound.layers} == {
        *(layers.InputLayer, layers.Conv2D, layers.AveragePooling2D, layers.Concatenate),
        *(layers.GlobalAveragePooling2D, layers.Dense),
    }


def test_the_bound_keeps_its_files(tmp_path):
    files = benchmark_files.bound_files("fastvit_t8", tmp_path)
    assert set(files) == {"float32", "int8"}
    assert TFLiteModel(files["int8"]).input_dtype == np.int8
    assert operators(files["int8"].read_bytes()) == {
        **{"CONV_2D": 25, "AVERAGE_POOL_2D": 4, "CONCATENATION": 4},
        **{"MEAN": 1, "FULLY_CONNECTED": 1},
    }
    before = {path: path.stat().st_mtime_ns for path in files.values()}
    assert benchmark_files.bound_files("fastvit_t8", tmp_path) == files
    assert {path: path.stat().st_mtime_ns for path in files.values()} == before


def test_stale_files_are_not_met_again(tmp_path, monkeypatch):
    root = tmp_path / "root"
    for name in benchmark_files.DECISIVE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    monkeypatch.setattr(benchmark_files, "ROOT", root)
    before = benchmark_files.kept_folder(tmp_path)
    assert benchmark_files.kept_folder(tmp_path) == before
    pins = root / "requirements" / "litert_torch.txt"
    pins.write_text(pins.read_text().replace("litert-torch==0.10.0", "litert-torch==0.11.0"))
    assert benchmark_files.kept_folder(tmp_path) != before


def small(scale=1.0, side=256):
    """A model of the benchmark's input that has a few operators."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(4, 3, strides=16)(inputs)
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([scale * kernel, bias])
    return model


def test_parity_is_that_of_the_same_weights(tmp_path):
    files = [tmp_path / f"{i}.tflite" for i in range(3)]
    for path, scale in zip(files, (1.0, 1.00001, 1.01), strict=True):
        path.write_bytes(to_plain_tflite(small(scale)))
    assert command.parity(files[0], files[0]) == 0
    assert 0 < command.parity(files[0], files[1]) < 1e-4
    with pytest.raises(ArithmeticError, match=r"must compute the same.* Received: .*e-0[23] of it"):
        command.parity(files[0], files[2])


def test_parity_refuses_nan(tmp_path):
    files = [tmp_path / "a.tflite", tmp_path / "b.tflite"]
    for path, scale in zip(files, (1.0, math.nan), strict=True):
        path.write_bytes(to_plain_tflite(small(scale)))
    with pytest.raises(ArithmeticError, match="Received: a difference of nan"):
        command.parity(*files)


def test_measures_files(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ROUNDS", 3)
    ticks = itertools.count()  # two seconds a run, however fast the machine is
    monkeypatch.setattr(benchmark_tflite.time, "perf_counter", lambda: 2.0 * next(ticks))
    images = benchmark_files.random_images(2)
    files = {(OURS, "float32"): tmp_path / "a.tflite", (OURS, "int8"): tmp_path / "b.tflite"}
    for path, calibration in zip(files.values(), (None, images), strict=True):
        path.write_bytes(to_plain_tflite(small(), calibration))
    measured = command.measure("fastvit_t8", files)
    assert [(file.maker, file.precision) for file in measured] == list(files)
    for file, path in zip(measured, files.values(), strict=True):
        assert file.size == path.stat().st_size
        assert file.operators == {"CONV_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1}
        assert file.partitions == 1
        assert file.median == file.p90 == dict.fromkeys(THREADS, 2000)  # milliseconds


def test_the_plain_converter_needs_tensorflows_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"Expected KERAS_BACKEND=tensorflow\. Received: jax"):
        to_plain_tflite(small())


def requirements(name):
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_everything_in_litert_torchs_environment_is_pinned():
    lines = requirements("litert_torch.txt") + requirements("reference.txt")
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pins = dict(line.lower().split("==") for line in lines)
    assert len(pins) == len(lines)
    constraints = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert pins["litert-torch"] == pins["ai-edge-quantizer"] == "0.10.0"
    assert pins["timm"] == "1.0.31"
    # the runtime that calibrates is the one that times, and torch the one that timm runs in here
    for package in ("ai-edge-litert", "torch"):
        assert pins[package] == constraints[package]
    assert set(litert_torch_environment.PACKAGES) <= set(pins)


def test_the_makefile_installs_the_pins_anew_when_they_change():
    makefile = (ROOT / "Makefile").read_text()
    stamp = re.search(r"^\$\(LITERT_TORCH\)/\.installed: (.*)$", makefile, re.MULTILINE)[1]
    assert {"requirements/litert_torch.txt", "requirements/reference.txt"} <= set(stamp.split())
    folder = re.search(r"^LITERT_TORCH := (\S+)$", makefile, re.MULTILINE)[1]
    assert ROOT / folder / "bin" / "python" == litert_torch_environment.PYTHON
    assert folder in (ROOT / ".gitignore").read_text().splitlines()


def test_says_that_the_environment_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(litert_torch_environment, "PYTHON", tmp_path / "python")
    with pytest.raises(ImportError, match=r"`make bench` makes.* Received: nothing there"):
        litert_torch_environment.versions()


def test_a_failure_over_there_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(litert_torch_environment, "PYTHON", Path(sys.executable))
    output = tmp_path / "out.tflite"
    images = np.zeros((1, 4, 4, 3), "float32")
    with pytest.raises(
        RuntimeError, match=r"quantize .*Received: ModuleNotFoundError: .*quantizer"
    ):
        litert_torch_environment.quantize(tmp_path / "in.tflite", "static", images, output)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_lacks(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(litert_torch_environment, "PYTHON", tmp_path / "python")
    arguments = ["--variant", "fastvit_t8", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as error:
        command.main([*arguments, "--build", str(tmp_path / "build")])
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Received: " in line
    assert not (tmp_path / "out").exists()
