"""ADE20K's layout, its labels and their augmentation, and the command, on scenes made here."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_fastvit import fuse
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.training.segmentation import ade20k
from keras_fastvit.training.segmentation.ade20k import (
    CLASSES,
    IGNORED,
    TrainingScenes,
    find_scenes,
    read_labels,
)
from keras_fastvit.training.segmentation.evaluation import input_size, mean_iou
from keras_fastvit.training.segmentation.scene_augmentation import augmented_scene
from tests.models import TINY

SIZES = {
    "training": [(95, 71), (64, 64), (40, 133), (90, 61), (77, 80)],
    "validation": [(83, 59), (50, 97)],
}


def scene(size: tuple[int, int], seed: int) -> tuple[Any, Any]:
    """A colour photograph, and annotations that it shows: two classes and what is none."""
    rng = np.random.default_rng(seed)
    width, height = size
    values = np.full((height, width), 3, "uint8")
    values[:, width // 2 :] = 150
    values[: height // 4] = 0
    colors = {3: (200, 60, 30), 150: (20, 90, 220), 0: (90, 200, 80)}
    pixels = np.zeros((height, width, 3), "uint8")
    for value, color in colors.items():
        pixels[values == value] = color
    return np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype("uint8"), values


def write(root: Path) -> Path:
    for split, sizes in SIZES.items():
        for number, size in enumerate(sizes):
            pixels, values = scene(size, number)
            name = f"ADE_{split[:5].rstrip('i')}_{number + 1:08d}"
            for part, suffix, array in (("images", "jpg", pixels), ("annotations", "png", values)):
                folder = root / part / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / f"{name}.{suffix}")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ade") / "ADEChallengeData2016")


def arguments(data: Path, run: Path, *more: str) -> list[str]:
    return [
        *("train", "--task", "segmentation"),
        *("--data", str(data), "--model", TINY.name, "--output", str(run), "--image-size", "64"),
        *("--batch-size", "2", "--steps", "2", *more),
    ]


@pytest.mark.single_backend
def test_labels_are_the_files_numbers_less_one(tmp_path: Path) -> None:
    values = np.arange(151, dtype="uint8").reshape(1, 151)
    Image.fromarray(values).save(tmp_path / "all.png")
    labels = read_labels(tmp_path / "all.png")
    assert labels[0, 0] == IGNORED == 255
    np.testing.assert_array_equal(labels[0, 1:], np.arange(150))


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), 151, "uint8"), "labels from 0 to 150. Received: label 151"),
        (np.zeros((4, 4, 3), "uint8"), "one byte a pixel, 0 to 150. Received: mode 'RGB'"),
    ],
)
def test_other_annotations_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    Image.fromarray(array).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "x.png")


@pytest.mark.single_backend
def test_damaged_annotations_are_refused(tmp_path: Path, data: Path) -> None:
    whole = next((data / "annotations/training").iterdir()).read_bytes()
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"x\.png.*a whole PNG file"):
        read_labels(tmp_path / "x.png")


@pytest.mark.single_backend
def test_scenes_are_found_and_read_in_pairs(data: Path) -> None:
    scenes = find_scenes(data, "training")
    assert len(scenes) == 5
    for index, size in enumerate(SIZES["training"]):
        image, labels = scenes.read(index)
        values = scene(size, index)[1]
        assert image.size == size
        np.testing.assert_array_equal(labels == IGNORED, values == 0)
        np.testing.assert_array_equal(labels[values > 0] + 1, values[values > 0])


@pytest.mark.single_backend
@pytest.mark.parametrize("seed", range(12))
def test_labels_follow_their_colors_through_the_augmentation(seed: int) -> None:
    pixels, values = scene((150, 100), seed)
    labels = np.where(values == 0, IGNORED, values - 1).astype("uint8")
    rng = np.random.default_rng(seed)
    part = augmented_scene(Image.fromarray(pixels), labels, 64, IGNORED, rng)
    assert part.shape == (64, 64, 4)
    assert set(np.unique(part[..., 3])) <= {2, 149, IGNORED}
    # Whatever happened to the colours, in each class they are still nearly one.
    inside = np.zeros((64, 64), bool)
    same = part[1:-1, 1:-1, 3]
    inside[1:-1, 1:-1] = np.all(
        [same == part[y : 62 + y, x : 62 + x, 3] for y in range(3) for x in range(3)], axis=0
    )
    middles = []
    for label in (2, 149):
        found = part[inside & (part[..., 3] == label)][:, :3].astype("float64")
        if len(found) > 20:
            middle = np.median(found, axis=0)
            middles.append(middle)
            assert np.mean(np.abs(found - middle) <= 50) > 0.97
    if len(middles) == 2:
        assert np.abs(middles[0] - middles[1]).max() > 40


@pytest.mark.single_backend
def test_what_lies_outside_of_a_scene_is_ignored() -> None:
    class HalfSize:
        def uniform(self, low: float, high: float) -> float:
            return low

        def integers(self, low: int, high: int) -> int:
            return high - 1

        def random(self) -> float:
            return 0.9  # no mirroring, no other colours

    labels = np.full((60, 90), 7, "uint8")
    image = Image.new("RGB", (90, 60), (200, 10, 60))
    part = augmented_scene(image, labels, 64, IGNORED, HalfSize())  # type: ignore[arg-type]
    assert (part[:32, :48, 3] == 7).all()
    assert (part[32:, :, 3] == IGNORED).all()
    assert (part[:, 48:, 3] == IGNORED).all()
    np.testing.assert_allclose(part[:32, :48, :3], np.full((32, 48, 3), (200, 10, 60)), atol=1)
    assert part[40, 50, :3].tolist() == [124, 116, 104]


@pytest.mark.single_backend
def test_each_scene_is_seen_once_a_turn(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = find_scenes(data, "training")
    seen = []
    read = ade20k.Scenes.read
    monkeypatch.setattr(
        ade20k.Scenes, "read", lambda self, index: seen.append(index) or read(self, index)
    )
    batches = TrainingScenes(scenes, 64, batch_size=2, steps=5, seed=3)
    made = [batches.make(epoch, index) for epoch in (0, 1) for index in range(5)]
    assert sorted(seen[:5]) == sorted(seen[5:10]) == sorted(seen[10:15]) == [0, 1, 2, 3, 4]
    assert seen[:5] != seen[5:10]
    images, labels = made[0]
    assert images.shape == (2, 64, 64, 3)
    assert images.dtype == np.float32
    assert labels.shape == (2, 64, 64)
    again = batches.make(0, 0)
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(labels, again[1])
    batches.close()


class _Knows(keras.layers.Layer):
    """Logits by colour: classes 2 and 149 where a scene of `scene` is red and blue."""

    def call(self, x: Any) -> Any:
        red, blue = x[..., :1], x[..., 2:]
        rest = keras.ops.zeros_like(keras.ops.repeat(red, CLASSES - 3, axis=-1)) - 100
        return keras.ops.concatenate([rest[..., :2], red, rest[..., 1:], blue], axis=-1)


# Keras 3.15's confusion matrix, on JAX.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")
def test_the_mean_iou_is_numpys(data: Path) -> None:
    scenes = find_scenes(data, "validation")
    image = keras.Input((None, None, 3))
    model = keras.Model(image, _Knows()(image))
    found = mean_iou(model, scenes, range(2), 64)

    matrix = np.zeros((CLASSES, CLASSES))
    for index in range(2):
        photograph, labels = scenes.read(index)
        resized = photograph.resize(input_size(photograph.size, 64), Image.Resampling.BILINEAR)
        logits = model.predict(
            (np.asarray(resized)[None] / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
            verbose=0,
        )
        logits = keras.ops.image.resize(logits, labels.shape, "bilinear")
        classes = keras.ops.convert_to_numpy(logits)[0].argmax(-1)
        counted = labels != IGNORED
        np.add.at(matrix, (labels[counted], classes[counted]), 1)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    expected = np.mean(np.diag(matrix)[union > 0] / union[union > 0])
    assert found == pytest.approx(expected, abs=1e-5)
    assert 0.9 < found < 1


@pytest.mark.single_backend
def test_the_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr("keras_fastvit.training.segmentation.task.STEPS_PER_EPOCH", 1)
    assert main(arguments(data, run)) == 0
    printed = capsys.readouterr().out
    assert "5 scenes to train on, 2 epochs of 1 steps" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("mIoU"))
    assert line.endswith("on 2 validation scenes")
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert 4 < float(rows[0]["loss"]) < 7  # of 150 classes at random: 5.0
    # 2e-4 for batches of 32, decaying to zero with power 0.9.
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([2e-4 / 16 * 0.5**0.9, 0], abs=1e-10)
    assert json.loads((run / "run.json").read_text())["steps"] == 2

    # The model that was written is the one that was evaluated, in either form.
    evaluated = [
        "train",
        "--task",
        "segmentation",
        "--data",
        str(data),
        "--image-size",
        "64",
        "--evaluate",
    ]
    assert main([*evaluated, str(run / "model.keras")]) == 0
    assert capsys.readouterr().out.splitlines() == [line]
    model = keras.saving.load_model(run / "model.keras")
    fuse(model).save(tmp_path / "fused.keras")
    assert main([*evaluated, str(tmp_path / "fused.keras")]) == 0
    assert capsys.readouterr().out.startswith("mIoU")

    # A finished run is not trained again; one with other arguments is refused.
    assert main(arguments(data, run)) == 0
    assert line in capsys.readouterr().out
    assert main(arguments(data, run, "--seed", "1")) == 2
    assert "Received: seed=1" in capsys.readouterr().err


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        status: Any = main(words)
    except SystemExit as stopped:  # argparse's
        status = stopped.code
    assert status == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.single_backend
def test_missing_folders_and_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write(tmp_path / "ade"), tmp_path / "run"
    lost = tmp_path / "ade/annotations/training/ADE_train_00000002.png"
    lost.rename(tmp_path / "elsewhere.png")
    message = refused(arguments(data, run), capsys)
    assert "5 in" in message
    assert "4 in" in message
    assert "without the other: 1 (ADE_train_00000002.jpg)" in message
    Image.new("L", (7, 9), 1).save(lost)
    with pytest.raises(ValueError, match=r"Expected 64x64 pixels.*Received: 7x9 in"):
        find_scenes(data, "training").read(1)
    lost.write_bytes(b"")
    assert "a whole PNG file" in refused(arguments(data, run), capsys)
    assert "images/validation" in refused(arguments(tmp_path, run), capsys)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--image-size", "40"], "--image-size must be a multiple of 32. Received: 40"),
        (["--steps", "0"], "expected a positive number. Received: 0"),
        (["--learning-rate", "nan"], "expected a positive number. Received: nan"),
        (["--weights", "mobileclip"], "Received: weights='mobileclip' for fastvit_tiny"),
        (["--recipe", "paper"], "--recipe only with --task classification. Received: --task seg"),
        (["--epochs", "2"], "--epochs only with --task classification or hand-mesh"),
        (["--evaluate", "m.keras"], "expected --model and --output to train, or --evaluate alone"),
    ],
)
def test_arguments_that_do_not_fit(
    data: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(arguments(data, tmp_path / "run", *more), capsys)


@pytest.mark.single_backend
def test_other_models_are_not_evaluated(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = keras.Input((8, 8, 3))
    keras.Model(image, image).save(tmp_path / "m.keras")
    message = refused(
        [
            *("train", "--task", "segmentation"),
            *("--data", str(data), "--evaluate", str(tmp_path / "m.keras")),
        ],
        capsys,
    )
    assert "(None, None, None, 150)" in message
