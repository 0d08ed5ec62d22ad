"""`--run RUN`: export and evaluate with what a run knows of its model and its images."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_fastvit import FastViTT8, fuse
from keras_fastvit.conversion.commands.finished_run import training_images, validation_images
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.images.folders import find_images
from keras_fastvit.training.data.folders import find_training_data, write_training_data
from keras_fastvit.training.run_folder import read_run
from tests.commands import command
from tests.photographs import write_photographs

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("tflite_files")]

NAMES = ("c", "c++", "7_up")
"""Folders that only their own names tell apart: no letters differ, and a number that is none."""


@pytest.fixture(scope="module")
def fused(tmp_path_factory: Any) -> Path:
    """A classifier of three classes in inference form."""
    path = tmp_path_factory.mktemp("fused") / "fused.keras"
    # With trained weights: int8 needs outputs that are more than noise.
    backbone = FastViTT8(False, "fashion_mnist", input_shape=(64, 64, 3), pooling="avg")
    scores = keras.layers.Dense(3, activation="softmax")(backbone.output)
    fuse(keras.Model(backbone.input, scores, name="fastvit_t8")).save(path)
    return Path(path)


def written(folder: Path, root: Path, fused: Path) -> Path:
    """The folder of a run that has trained `fused` on the images of `root`."""
    folder.mkdir()
    facts = {"data": str(root), "model": "fastvit_t8", "weights": None, "image_size": 64}
    (folder / "run.json").write_text(json.dumps(facts))
    write_training_data(find_training_data(root, seed=0), folder / "data.json")
    (folder / "fused.keras").symlink_to(fused)
    return folder


def photographs(root: Path, split: bool) -> Path:
    if split:
        write_photographs(root / "Train", count=8)
        write_photographs(root / "valid", count=2, seed=1)
        write_photographs(root / "test", count=1, seed=2)
    else:
        write_photographs(root, count=10)
    for folder in (root / "Train", root / "valid", root / "test") if split else (root,):
        for old, new in zip(sorted(folder.iterdir()), NAMES, strict=True):
            old.rename(folder / new)
        (folder / NAMES[0] / "notes.txt").write_text("no image")
    return root


def test_from_a_run_to_figures(tmp_path: Path, fused: Path, capsys: Any) -> None:
    root = photographs(tmp_path / "photographs", split=True)  # without: the README's fine_tune.sh
    folder = written(tmp_path / "run", root, fused)
    path, figures = tmp_path / "int8.tflite", tmp_path / "figures.json"
    options = ["--quantize", "int8", "--output", path, "--json", figures]
    assert command("export", "--run", folder, *options) == 0
    described = sidecar.read(path)
    assert described is not None
    assert described["labels"] == sorted(NAMES)
    assert described["input"]["crop_pct"] == 0.9  # the variant's
    assert described["calibration"] == {"images": 24, "skipped": 0}
    written_figures = json.loads(figures.read_text())
    assert written_figures["sha256"] == described["sha256"]
    assert sum(written_figures["operators"].values()) > 50

    capsys.readouterr()
    assert command("evaluate", path, "--run", folder, "--json", "-") == 0
    int8, keras = json.loads(capsys.readouterr().out)
    assert (int8["images"], keras["images"]) == (6, 6)
    assert int8["folders"] == keras["folders"] == "by the labels"
    assert int8["reference"] == keras["model"] == "fused.keras"
    assert int8["agreement"] is not None
    # The same as when told everything.
    options = [folder / "fused.keras", "--data", root / "valid", "--labels", tmp_path / "names"]
    (tmp_path / "names").write_text("\n".join(sorted(NAMES)))
    assert command("evaluate", path, *options, "--json", "-") == 0
    others = json.loads(capsys.readouterr().out)
    for key in ("images", "top1", "top5", "calibration_error", "agreement", "sqnr_db"):
        assert [x[key] for x in others] == [x[key] for x in (int8, keras)]


@pytest.mark.parametrize("split", [True, False])
def test_images_that_were_validated_with_were_not_trained_on(
    tmp_path: Path, fused: Path, split: bool
) -> None:
    root = photographs(tmp_path / "photographs", split)
    run = read_run(written(tmp_path / "run", root, fused))
    train, validation = training_images(run), validation_images(run)
    assert not set(train) & set(validation.images)
    if split:
        assert {path.parent.parent for path in train} == {root / "Train"}
        assert {path.parent.parent for path in validation.images} == {root / "valid"}
    else:
        images = {x for x in find_images(root).images if x.suffix == ".png"}
        assert images == {*train, *validation.images}
    assert validation.names == tuple(sorted(NAMES))
    for path, index in zip(validation.images, validation.folders, strict=True):
        assert path.parent.name == validation.names[index]
        Image.open(path).verify()
    assert np.bincount(validation.folders).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "--output", "M.tflite"], "either --model or --run. Received: neither"),
        (
            ["export", "--run", "run", "--model", "fastvit_t8", "--output", "M.tflite"],
            "either --model or --run. Received: both",
        ),
        (["export", "--run", "run", "--classes", "7", "--output", "M.tflite"], "a run has its own"),
        (["export", "--run", "run", "--no-ema", "--output", "M.tflite"], "expected no"),
        (
            ["export", "--run", "run", "--text-embeddings", "T.npz", "--output", "M.tflite"],
            "expected no",
        ),
        (["export", "--run", "nowhere", "--output", "M.tflite"], "without a data.json"),
        (["evaluate", "--run", "run", "--classes", "7"], "--classes is for a variant"),
        (["evaluate", "--run", "run", "--no-ema"], "--no-ema is for a variant"),
        (["evaluate", "--run", "nowhere"], "without a data.json"),
        (["export", "--run", "run", "--output", "M.tflite", "--json", "M.json"], "overwrite"),
    ],
)
def test_bad_input(
    tmp_path: Path, monkeypatch: Any, capsys: Any, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    assert message in capsys.readouterr().err


def test_images_that_are_gone(tmp_path: Path, fused: Path, capsys: Any) -> None:
    root = photographs(tmp_path / "photographs", split=True)
    folder = written(tmp_path / "run", root, fused)
    root.rename(tmp_path / "elsewhere")
    assert command("evaluate", "--run", folder) == 2
    assert "are not where they were" in capsys.readouterr().err
    assert command("evaluate", "--run", folder, "--data", tmp_path / "elsewhere" / "valid") == 0
